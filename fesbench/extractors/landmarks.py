"""Landmarks as dlib finds them on an image: detection on the output itself, unlike every face crop.

The detector's own error is part of every value that uses it; the row ``real`` shows how large that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fesbench.extractors.base import Extractor, check_inputs
from fesbench.extractors.deepface_adapter import DLIB
from fesbench.extractors.hog import HogSettings, boxes
from fesbench.extractors.loading import LoadedNetwork
from fesbench.vocabulary import N_LANDMARKS


class DlibLandmarks(LoadedNetwork, Extractor):
    """dlib's HOG detector and its predictor of 68 landmarks, on the whole image.

    An image in which no face is found is not valid. Of several faces the largest is taken.
    """

    name = "dlib-landmarks"
    summary = "dlib's 68 landmarks, detected on the image itself"
    weights = ("dlib-landmarks",)
    needs_landmarks = False
    dimension = 2 * N_LANDMARKS
    packages = DLIB
    settings: HogSettings = HogSettings()

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks float32 (N, 136): x, y of each point in pixels; known landmarks are not used."""
        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        valid = np.zeros(len(images), dtype=bool)
        detector, predictor = self._load()
        for row, image in enumerate(images):
            pixels = np.ascontiguousarray(image)
            if found := boxes(detector, pixels, self.settings):
                shape = predictor(pixels, max(found, key=lambda box: box.area()))
                values[row] = [value for point in shape.parts() for value in (point.x, point.y)]
                valid[row] = True
        return values, valid

    def _build(self) -> tuple[Any, Any]:
        import dlib

        predictor = dlib.shape_predictor(str(self._manager.path(self.weights[0])))
        return dlib.get_frontal_face_detector(), predictor
