"""The gray square of OpenCV's frontal face cascade, at a fixed place relative to known landmarks.

fer and facex crop by that cascade. It jumps by several pixels between two images of one face, and finds no
face in some; a fixed box judges the output of every method at the same place.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SIDE, RISE = 1.1, 0.21
"""The cascade's box in units of the longer side of the box around the 68 points: its side, and how far its
center lies above theirs. Measured: 1.02 and 0.20 on the photograph of scikit-image, 1.19 +- 0.04 and 0.23 +-
0.02 on 48 avatars."""

_LUMA = (0.299, 0.587, 0.114)
"""Rec. 601, as OpenCV's."""


def cascade_crop(
    image: np.ndarray, landmarks: np.ndarray, size: int, *, margin: float = 0.0, antialias: bool = False
) -> np.ndarray:
    """The gray square that a network behind the cascade sees, the face upright or not.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        size: of the crop in pixels.
        margin: added on every side, as a share of the box.
        antialias: whether a box of more pixels than the crop is averaged; else it is sampled.

    Returns:
        float32 (size, size) in [0, 255]; bilinear, and beyond the image the mean of its two bottom rows.
    """
    low, high = landmarks.min(axis=0).astype(np.float64), landmarks.max(axis=0).astype(np.float64)
    extent = float((high - low).max())
    center = (low + high) / 2 - np.array([0.0, RISE * extent])
    side = SIDE * extent * (1 + 2 * margin)
    finer = max(1, int(np.ceil(side / size - 1e-6))) if antialias else 1
    gray = torch.from_numpy(np.ascontiguousarray(image)).float() @ torch.tensor(_LUMA)
    beyond = gray[-2:].mean()
    steps = (np.arange(size * finer) + 0.5) / (size * finer) - 0.5
    height, width = image.shape[:2]
    # Pixel i covers [i - 0.5, i + 0.5]; grid_sample wants the image's edges at -1 and 1.
    x = (center[0] + steps * side + 0.5) / width * 2 - 1
    y = (center[1] + steps * side + 0.5) / height * 2 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1)[None]).float()
    sampled = F.grid_sample((gray - beyond)[None, None], grid, padding_mode="zeros", align_corners=False)
    return np.ascontiguousarray((F.avg_pool2d(sampled, finer)[0, 0] + beyond).numpy())
