"""The region of a face in an image: the convex hull of its landmarks and of the forehead above them.

The 68 landmarks end at the brows. By the canon of thirds a face is as high from hairline to brows as from
brows to the base of the nose and from there to the chin: the brows raised by half the way from chin to brows
stand for the hairline.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_CHIN, _BROWS = 8, slice(17, 27)
_ON_EDGE = 1e-4
"""Pixels' distance within which a center lies on the outline: landmarks are float32."""


def face_hull(landmarks: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Which pixel centers lie in a face's hull.

    Args:
        landmarks: (68, 2) finite pixels x, y, not all on one line.
        height, width: of the image.

    Returns:
        bool (height, width).
    """
    from scipy.spatial import ConvexHull

    points = landmarks.astype(np.float64)
    brows = points[_BROWS]
    hairline = brows + (brows.mean(axis=0) - points[_CHIN]) / 2
    edges = ConvexHull(np.concatenate([points, hairline])).equations
    y, x = np.mgrid[:height, :width]
    inside: npt.NDArray[np.bool_] = (
        edges[:, :1, None] * x + edges[:, 1:2, None] * y + edges[:, 2:, None] <= _ON_EDGE
    ).all(axis=0)
    return inside
