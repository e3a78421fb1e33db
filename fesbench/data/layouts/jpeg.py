"""Writing images as JPEG, for layouts whose owners do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from fesbench.files import writing

QUALITY = 95


def jpeg(image: np.ndarray, quality: int = QUALITY) -> bytes:
    """A JPEG file of a uint8 image, (H, W, 3) RGB or (H, W) gray."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write `jpeg` of an image; folders are made.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(image))
