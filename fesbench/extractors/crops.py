"""Face crops from known landmarks, never from detection: the same place in the image for every method.

dlib's network wants dlib's own chip; the others want a similarity alignment to five template points.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

DLIB_CHIP = 150
_DLIB_PADDING = 0.25
# dlib takes whole pixels only. Its fit is done on an image 256 times as large and scaled back, so that the
# chip does not jump by the rounding of landmarks, which at 64 px is more than two chip pixels.
_SUBPIXEL = 256

_ARCFACE_112 = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""Eyes, nose tip, mouth corners in a 112 px crop: the template of ArcFace's training crops (InsightFace)."""

_LEAST_EYE_DISTANCE = 4.0
"""Outer eye corners closer than this many pixels are no face that a network could recognize."""


def usable(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Whether a crop can be made: finite landmarks, eyes apart, and the face's center inside the image.

    Args:
        landmarks: float (N, 68, 2) pixels.
        height: of the images.
        width: of the images.

    Returns:
        bool (N,).
    """
    finite = np.isfinite(landmarks).all(axis=(1, 2))
    points = np.where(finite[:, None, None], landmarks, 0.0).astype(np.float64)
    apart = np.linalg.norm(points[:, 36] - points[:, 45], axis=1) >= _LEAST_EYE_DISTANCE
    tall = np.linalg.norm(points[:, [36, 45]].mean(axis=1) - points[:, 33], axis=1) >= _LEAST_EYE_DISTANCE / 2
    center = points[:, 17:].mean(axis=1)
    inside = ((center >= 0) & (center <= (width - 1, height - 1))).all(axis=1)
    return finite & apart & tall & inside


def dlib_chip(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The 150 px chip that dlib's face network was trained on, by dlib's 68-point convention.

    Equal to ``dlib.get_face_chip`` where landmarks are whole pixels.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.

    Returns:
        uint8 (150, 150, 3) RGB, black beyond the image.
    """
    import dlib

    # C++'s cast in dlib.point wants Python ints.
    points = [dlib.point(int(x), int(y)) for x, y in np.rint(landmarks.astype(np.float64) * _SUBPIXEL)]
    face = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), points)
    large = dlib.get_face_chip_details(face, DLIB_CHIP, _DLIB_PADDING)
    rect = large.rect
    # A dlib rectangle spans right - left + 1 pixels.
    x, y = (rect.left() + rect.right()) / 2 / _SUBPIXEL, (rect.top() + rect.bottom()) / 2 / _SUBPIXEL
    half_width = ((rect.right() - rect.left() + 1) / _SUBPIXEL - 1) / 2
    half_height = ((rect.bottom() - rect.top() + 1) / _SUBPIXEL - 1) / 2
    here = dlib.drectangle(x - half_width, y - half_height, x + half_width, y + half_height)
    details = dlib.chip_details(here, _chip_dims(), large.angle)
    return np.asarray(dlib.extract_image_chip(np.ascontiguousarray(image), details))


@cache
def _chip_dims() -> Any:
    import dlib

    return dlib.chip_dims(DLIB_CHIP, DLIB_CHIP)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centers, nose tip, mouth corners, left before right in the image: (..., 68, 2) -> (..., 5, 2)."""
    eyes = [landmarks[..., 36:42, :].mean(axis=-2), landmarks[..., 42:48, :].mean(axis=-2)]
    rest = [landmarks[..., 30, :], landmarks[..., 48, :], landmarks[..., 54, :]]
    return np.stack([*eyes, *rest], axis=-2)


def template(size: int, zoom: float) -> np.ndarray:
    """ArcFace's five points in a crop of another size.

    Args:
        size: of the crop in pixels.
        zoom: 1 keeps ArcFace's tight framing; below 1 the face is smaller, as looser training crops have it.

    Returns:
        float64 (5, 2) pixels.
    """
    # Pixel centers: half a pixel is added before and taken off after scaling.
    center = 56.0
    return ((_ARCFACE_112 + 0.5 - center) * zoom + center) * (size / 112.0) - 0.5


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The least-squares rotation, scale and shift from source to target points (Umeyama 1991, no mirror).

    Args:
        source: float (P, 2).
        target: float (P, 2).

    Returns:
        float64 (2, 3) matrix M with ``target ~ M[:, :2] @ source + M[:, 2]``.
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    # In the plane the fit is a division of complex numbers: target = (c + i s) source.
    norm = float((a * a).sum())
    c = float((a * b).sum()) / norm
    s = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / norm
    linear = np.array([[c, -s], [s, c]])
    return np.concatenate([linear, (target.mean(axis=0) - linear @ source.mean(axis=0))[:, None]], axis=1)


def aligned_crop(image: np.ndarray, landmarks: np.ndarray, size: int, zoom: float) -> np.ndarray:
    """A crop whose five points lie on the template as well as a similarity allows.

    Where the crop is smaller than its place in the image, it is sampled more finely and averaged, so that
    nothing aliases; elsewhere it is bilinear.

    Args:
        image: uint8 (H, W, 3).
        landmarks: finite float (68, 2) pixels.
        size: of the crop.
        zoom: see :func:`template`.

    Returns:
        float32 (size, size, 3) in [0, 255], black beyond the image.
    """
    return warp(image, fit_similarity(five_points(landmarks), template(size, zoom)), size)


def warp(image: np.ndarray, to_crop: np.ndarray, size: int) -> np.ndarray:
    """A square crop by a similarity of the plane.

    Args:
        image: uint8 (H, W, 3).
        to_crop: float (2, 3), maps image pixels to crop pixels.
        size: of the crop.

    Returns:
        float32 (size, size, 3) in [0, 255], black beyond the image.
    """
    import torch
    import torch.nn.functional as F

    back = np.linalg.inv(to_crop[:, :2])
    finer = max(1, int(np.ceil(np.sqrt(abs(np.linalg.det(back))) - 1e-6)))
    steps = (np.arange(size * finer) + 0.5) / finer - 0.5
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    places = (grid - to_crop[:, 2]) @ back.T
    height, width = image.shape[:2]
    normalized = (places + 0.5) / np.array([width, height]) * 2 - 1
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    sampled = F.grid_sample(
        pixels,
        torch.from_numpy(normalized[None]).float(),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return np.ascontiguousarray(F.avg_pool2d(sampled, finer)[0].permute(1, 2, 0).numpy())
