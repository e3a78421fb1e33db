"""Where the points of a face belong in an aligned image: the fixed templates of the recipes.

Coordinates count from 0 at the center of the first pixel. A template is stated for an image of side 1 or of
its authors' side, and scaled to any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FIVE = (36, 39, 42, 45, 33)
"""Outer and inner corner of each eye (image left to right), base of the nose: what dlib's chip goes by."""

PADDING = 0.25
TEMPLATE = np.array(
    [
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.6460604764104, 0.2289674387677),
        (0.8595674595992, 0.2134981538014),
        (0.4901123135679, 0.6277975316475),
    ]
)
"""Where `FIVE` go in dlib's unpadded chip of side 1 (dlib/image_transforms/interpolation.h)."""

CELEBA_178 = np.array([(69.745, 91.0), (107.237, 91.0), (88.432, 132.514)])
"""Centers of the eyes and of the mouth in the central 178 x 178 pixels of CelebA's aligned images.

CelebA (Liu, Luo, Wang, Tang, ICCV 2015) aligned its 178 x 218 images by a similarity that puts these three
points on (70.745, 112), (108.237, 112) and (89.432, 153.514), counted from 1: the function
``align_face_celeba`` that its authors gave out, as copies of it on GitHub have it. StarGAN (Choi et al., CVPR
2018) cuts out the central 178 pixels, which takes 20 rows off the top.
"""

ARCFACE_112 = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""Eyes, nose tip, mouth corners in a 112 px crop: ArcFace's training crops (InsightFace), which moved
SphereFace's template (96 x 112, ``face_align_demo.m``) 8 pixels to the right.
"""


@dataclass(frozen=True)
class Template:
    """Points, where they come from, and where they go.

    Attributes:
        source: landmarks (68, 2) -> the points (K, 2) in the same pixels.
        target: side in pixels -> where the K points belong, float64 (K, 2).
        from_five: eye centers, nose tip and mouth corners (5, 2) -> the points (K, 2); None: these five do
            not tell.
    """

    source: Callable[[np.ndarray], np.ndarray]
    target: Callable[[int], np.ndarray]
    from_five: Callable[[np.ndarray], np.ndarray] | None = None


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centers, nose tip, mouth corners, left before right in the image: (68, 2) -> (5, 2).

    >>> five_points(np.arange(136.0).reshape(68, 2))[:, 0].tolist()
    [77.0, 89.0, 60.0, 96.0, 108.0]
    """
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def _eyes_and_mouth(five: np.ndarray) -> np.ndarray:
    return np.stack([five[0], five[1], five[3:].mean(axis=0)])


def _scaled(points: np.ndarray, side: int) -> Callable[[int], np.ndarray]:
    # pixel centers are whole numbers, so an image starts at -0.5
    return lambda size: (points + 0.5) * (size / side) - 0.5


DLIB = Template(
    source=lambda landmarks: landmarks[list(FIVE)],
    target=lambda size: (TEMPLATE + PADDING) / (1 + 2 * PADDING) * size,
)
CELEBA = Template(
    source=lambda landmarks: _eyes_and_mouth(five_points(landmarks)),
    target=_scaled(CELEBA_178, 178),
    from_five=_eyes_and_mouth,
)
ARCFACE = Template(source=five_points, target=_scaled(ARCFACE_112, 112), from_five=lambda five: five)
