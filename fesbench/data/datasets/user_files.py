"""What the user's own folders have in common: image endings, who is shown by a file's name, takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from fesbench.errors import DataError
from fesbench.vocabulary import canonical_label

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")


def is_image(name: str) -> bool:
    """Whether the file's ending is that of an image."""
    return name.lower().endswith(IMAGE_ENDINGS)


def who(name: str) -> str:
    """The subject in ``anna_01.png``: what stands before the first "_", the whole stem without one.

    >>> who("anna_01.png"), who("anna.png")
    ('anna', 'anna')
    """
    stem = PurePath(name).stem
    return stem.partition("_")[0] or stem


def label_of(folder: str) -> str | None:
    """The expression that a folder is named after, None where it is none.

    >>> label_of("Happy"), label_of("rejected")
    ('happiness', None)
    """
    try:
        return canonical_label(folder)
    except DataError:
        return None


def number_takes(rows: Sequence[dict[str, Any]]) -> None:
    """Give each row without a "take" the next number that is free, 0 first, in the order of the names.

    Numbers run within one identity, expression and sequence; takes that are given are kept.

    >>> rows = [{"image": n, "identity": "a", "expression": "fear"} for n in ("2.png", "1.png")]
    >>> number_takes(rows)
    >>> [row["take"] for row in rows]
    [1, 0]
    """
    taken: dict[tuple[str, str, str], set[int]] = {}
    for row in rows:
        if "take" in row:
            taken.setdefault(_shown(row), set()).add(row["take"])
    following: dict[tuple[str, str, str], int] = {}
    for row in sorted((row for row in rows if "take" not in row), key=lambda row: str(row["image"])):
        shown = _shown(row)
        take = following.get(shown, 0)
        while take in taken.get(shown, ()):
            take += 1
        row["take"], following[shown] = take, take + 1


def _shown(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["identity"], row["expression"], row.get("sequence", "")
