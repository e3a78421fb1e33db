"""The same images, moved by a pixel, each when it is asked for."""

from __future__ import annotations

import numpy as np

from fesbench.data.views import LazyRows, Places

_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


class Shifted(LazyRows):
    """The same images, each moved by a pixel: to the right, down, to the left, up, by its place in turn.

    What is lost on one side is repeated on the other from the border.
    """

    def __init__(self, images: LazyRows) -> None:
        super().__init__(images.shape, images.dtype)
        self._images = images

    def _take(self, rows: Places) -> np.ndarray:
        found = self._images[rows]
        for place, (picture, number) in enumerate(zip(found.copy(), rows.tolist(), strict=True)):
            found[place] = _moved(picture, number)
        return np.asarray(found)


def _moved(image: np.ndarray, number: int) -> np.ndarray:
    down, right = _DIRECTIONS[number % len(_DIRECTIONS)]
    height, width = image.shape[:2]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
