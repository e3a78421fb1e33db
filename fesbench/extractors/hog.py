"""dlib's HOG detector of frontal faces, as every extractor that looks for faces runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.extractors.settings import Settings, setting


@dataclass(frozen=True)
class HogSettings(Settings):
    """dlib's HOG detector of frontal faces on the whole RGB image; the largest face, where one is taken."""

    recipe = "hog-1"
    small: int = setting(128, "pixels of the shorter side below which an image is enlarged first")
    doublings: int = setting(1, "times that a small image is doubled: the detector's window is 80 px")
    threshold: float = setting(0.0, "score above which a face is reported")


def boxes(detector: Any, image: np.ndarray, settings: HogSettings) -> list[Any]:
    """dlib's rectangles around the faces of an image uint8 (H, W, 3) RGB."""
    doublings = settings.doublings if min(image.shape[:2]) < settings.small else 0
    found, _, _ = detector.run(np.ascontiguousarray(image), doublings, settings.threshold)
    return list(found)
