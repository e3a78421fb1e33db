"""Landmarks for motion: detected on the image itself, and finer than its pixels.

`DlibLandmarks` answers in whole pixels of the image; at 64 px that rounding alone is a third of what moves
from frame to frame. Here the predictor reads an enlarged image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fesbench.extractors.base import check_inputs
from fesbench.extractors.hog import HogSettings, boxes
from fesbench.extractors.landmarks import DlibLandmarks
from fesbench.extractors.settings import setting


@dataclass(frozen=True)
class FineSettings(HogSettings):
    """dlib's HOG detector on the RGB image, its predictor on the enlarged one (bicubic); the largest face."""

    recipe = "hog-fine-1"
    enlarged: int = setting(256, "pixels of the shorter side that an image is enlarged to, by a whole factor")


class FineLandmarks(DlibLandmarks):
    """dlib's HOG detector on the image, and its predictor of 68 landmarks on the image enlarged (bicubic).

    An image in which no face is found is not valid. Of several faces the largest is taken.
    """

    name = "dlib-landmarks-fine"
    summary = "dlib's 68 landmarks, detected on the enlarged image"
    weights = ("dlib-landmarks",)

    settings: FineSettings = FineSettings()

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks float32 (N, 136): x, y of each point in pixels of the image; known ones are not used."""
        import dlib
        from PIL import Image

        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        valid = np.zeros(len(images), dtype=bool)
        detector, predictor = self._load()
        height, width = images.shape[1:3]
        factor = -(-self.settings.enlarged // min(height, width))
        for row in range(len(images)):
            pixels = np.ascontiguousarray(images[row])
            if found := boxes(detector, pixels, self.settings):
                best = max(found, key=lambda box: box.area())
                size = (width * factor, height * factor)
                large = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
                ends = (best.right() + 1) * factor - 1, (best.bottom() + 1) * factor - 1
                box = dlib.rectangle(best.left() * factor, best.top() * factor, *ends)
                points = np.array([(point.x, point.y) for point in predictor(large, box).parts()])
                values[row] = ((points + 0.5) / factor - 0.5).reshape(-1)
                valid[row] = True
        return values, valid
