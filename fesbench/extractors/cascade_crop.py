"""The gray square of OpenCV's frontal face cascade, at a fixed place relative to known landmarks.

fer and facex crop by that cascade. It jumps by several pixels between two images of one face, and finds no
face in some; a fixed box judges the output of every method at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from fesbench.extractors.crops import FaceSettings
from fesbench.extractors.settings import setting


@dataclass(frozen=True)
class CascadeSettings(FaceSettings):
    """An upright gray square where OpenCV's frontal cascade finds the face.

    Box and rise in units of the longer side of the box around the 68 points. Measured: 1.02 and 0.20 on the
    photograph of scikit-image, 1.19 +- 0.04 and 0.23 +- 0.02 on 48 avatars.
    """

    recipe = "cascade-1"
    side: int = setting(64, "pixels of a side")
    box: float = setting(1.1, "side of the box, in sides of the box around the landmarks")
    rise: float = setting(0.21, "how far its center lies above theirs, in the same unit")
    margin: float = setting(0.0, "share of the box that is added on every side")
    averaged: bool = setting(False, "whether a box of more pixels than the crop is averaged, not sampled")
    luma: tuple[float, ...] = setting(
        (0.299, 0.587, 0.114), "weights of R, G, B in gray (Rec. 601, OpenCV's)"
    )
    bottom: int = setting(2, "bottom rows whose mean lies beyond the image")


def cascade_crop(image: np.ndarray, landmarks: np.ndarray, settings: CascadeSettings) -> np.ndarray:
    """The gray square that a network behind the cascade sees, the face upright or not.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        settings: where the square lies, and its pixels.

    Returns:
        float32 (side, side) in [0, 255]; bilinear, and beyond the image the mean of its bottom rows.
    """
    low, high = landmarks.min(axis=0).astype(np.float64), landmarks.max(axis=0).astype(np.float64)
    extent = float((high - low).max())
    center = (low + high) / 2 - np.array([0.0, settings.rise * extent])
    size, side = settings.side, settings.box * extent * (1 + 2 * settings.margin)
    finer = max(1, int(np.ceil(side / size - 1e-6))) if settings.averaged else 1
    gray = torch.from_numpy(np.ascontiguousarray(image)).float() @ torch.tensor(settings.luma)
    beyond = gray[-settings.bottom :].mean()
    steps = (np.arange(size * finer) + 0.5) / (size * finer) - 0.5
    height, width = image.shape[:2]
    # Pixel i covers [i - 0.5, i + 0.5]; grid_sample wants the image's edges at -1 and 1.
    x = (center[0] + steps * side + 0.5) / width * 2 - 1
    y = (center[1] + steps * side + 0.5) / height * 2 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1)[None]).float()
    sampled = F.grid_sample((gray - beyond)[None, None], grid, padding_mode="zeros", align_corners=False)
    return np.ascontiguousarray((F.avg_pool2d(sampled, finer)[0, 0] + beyond).numpy())
