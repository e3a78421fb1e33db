"""A cell's folder ``nearest``: the training images nearest to its outputs, of whoever may be shown."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

FOLDER = "nearest"


def nearest_path(folder: Path, name: str) -> Path:
    """Where a cell keeps the training image of a name of the manifest."""
    return folder / FOLDER / f"{sha256(name.encode()).hexdigest()[:16]}.png"


def nearest_image(folder: Path, name: str) -> Path | None:
    """The file; None where there is no name, or the image may not be shown and so was not kept."""
    path = nearest_path(folder, name)
    return path if name and path.is_file() else None
