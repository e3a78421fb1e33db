"""Features of many images as one array, which beyond a size lies on the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fesbench.data.views import release

HELD = 16 * 2**20
"""Bytes of a table that stay in memory: 2,048 images of FID's features, 32,768 face descriptors."""

Row = tuple[bool, np.ndarray]


class FeatureTable:
    """Values and validity of N images, filled in any order; the width is that of the first row.

    Args:
        count: N, above 0.
        folder: for the file that holds the values where they are many; the system's where there is none.
    """

    values: npt.NDArray[np.float32]

    def __init__(self, count: int, folder: Path) -> None:
        self.valid = np.zeros(count, dtype=bool)
        self._folder = folder

    def put(self, place: int, row: Row) -> None:
        """The features of one image."""
        if not hasattr(self, "values"):
            self.values = float_rows(len(self.valid), len(row[1]), self._folder)
        self.valid[place], self.values[place] = row

    def release(self) -> None:
        """Hold in memory nothing of what was put into a file."""
        if hasattr(self, "values"):
            release(self.values)


def float_rows(count: int, width: int, folder: Path) -> npt.NDArray[np.float32]:
    """Zeros float32 (count, width); above `HELD` bytes a memory map of a file that goes with the array.

    Args:
        count, width: of the table.
        folder: for the file; the system's for such files where there is none.
    """
    if count * width * np.dtype(np.float32).itemsize <= HELD:
        return np.zeros((count, width), dtype=np.float32)
    place = folder if folder.is_dir() else None
    with tempfile.TemporaryFile(prefix="fesbench-features-", dir=place) as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=(count, width))
