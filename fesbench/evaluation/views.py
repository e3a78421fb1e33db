"""Images that are looked up when they are asked for, in place of arrays that hold them all."""

from __future__ import annotations

from typing import Any

import numpy as np

_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


class StoreRows:
    """Images of rows of a store as if they were one array.

    Args:
        images: of the store, uint8 (M, S, S, 3).
        rows: int64 (N,); -1 = a black image.
    """

    def __init__(self, images: np.ndarray, rows: np.ndarray) -> None:
        self._images, self._rows = images, rows
        self.shape, self.dtype, self.ndim = (len(rows), *images.shape[1:]), images.dtype, images.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: Any) -> np.ndarray:
        rows = self._rows[places]
        found = np.array(self._images[np.maximum(rows, 0)])
        found[rows < 0] = 0
        return found


class Shifted:
    """The same images, each moved by a pixel: to the right, down, to the left, up, by its place in turn.

    What is lost on one side is repeated on the other from the border.
    """

    def __init__(self, images: Any) -> None:
        self._images = images
        self.shape, self.dtype, self.ndim = images.shape, images.dtype, images.ndim

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, places: Any) -> np.ndarray:
        numbers = np.arange(len(self))[places]
        if np.ndim(numbers) == 0:
            return _moved(np.asarray(self._images[places]), int(numbers))
        pictures = zip(self._images[places], numbers.tolist(), strict=True)
        return np.stack([_moved(picture, number) for picture, number in pictures])


def _moved(image: np.ndarray, number: int) -> np.ndarray:
    down, right = _DIRECTIONS[number % len(_DIRECTIONS)]
    height, width = image.shape[:2]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
