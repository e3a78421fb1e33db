"""Face crops from known landmarks, never from detection: the same place in the image for every method.

dlib's network wants dlib's own chip; the others want a similarity alignment to five template points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fesbench.extractors.settings import Settings, setting


@dataclass(frozen=True)
class FaceSettings(Settings):
    """A crop around known landmarks."""

    recipe = "face-1"
    eyes: float = setting(4.0, "pixels between the outer eye corners below which there is no face to see")
    height: float = setting(2.0, "pixels from the eyes to the base of the nose below which there is none")


@dataclass(frozen=True)
class ChipSettings(FaceSettings):
    """dlib's chip by its 68-point convention, RGB; bilinear, black beyond the image."""

    recipe = "chip-1"
    side: int = setting(150, "pixels of a side")
    padding: float = setting(0.25, "share of the face's template that is added on each side")
    # dlib takes whole pixels only: the chip would jump by the rounding of landmarks, at 64 px by more than
    # two of its pixels.
    subpixel: int = setting(256, "steps a pixel in which landmarks are read")
    mean: tuple[float, ...] = setting((122.782, 117.001, 104.298), "taken off the pixels (R, G, B)")
    scale: float = setting(256.0, "what the pixels are then divided by")


@dataclass(frozen=True)
class AlignedSettings(FaceSettings):
    """A square crop whose five points lie on the template of ArcFace's training crops (InsightFace) as well
    as a similarity allows, BGR; bilinear, averaged where it shrinks, black beyond the image.
    """

    recipe = "aligned-1"
    size: int = setting(112, "pixels of a side")
    zoom: float = setting(1.0, "size of the face: 1 is ArcFace's tight framing, looser crops are below it")
    left_eye: tuple[float, float] = setting((38.2946, 51.6963), "of the template")
    right_eye: tuple[float, float] = setting((73.5318, 51.5014), "of the template")
    nose: tuple[float, float] = setting((56.0252, 71.7366), "of the template")
    mouth_left: tuple[float, float] = setting((41.5493, 92.3655), "of the template")
    mouth_right: tuple[float, float] = setting((70.7299, 92.2041), "of the template")
    base: float = setting(112.0, "pixels of a side of the template")
    full: float = setting(255.0, "pixel value that becomes 1")


def usable(
    landmarks: np.ndarray, height: int, width: int, settings: FaceSettings = FaceSettings()
) -> np.ndarray:
    """Whether a crop can be made: finite landmarks, eyes apart, and the face's center inside the image.

    Args:
        landmarks: float (N, 68, 2) pixels.
        height: of the images.
        width: of the images.
        settings: how far apart eyes and nose must be.

    Returns:
        bool (N,).
    """
    finite = np.isfinite(landmarks).all(axis=(1, 2))
    points = np.where(finite[:, None, None], landmarks, 0.0).astype(np.float64)
    apart = np.linalg.norm(points[:, 36] - points[:, 45], axis=1) >= settings.eyes
    tall = np.linalg.norm(points[:, [36, 45]].mean(axis=1) - points[:, 33], axis=1) >= settings.height
    center = points[:, 17:].mean(axis=1)
    inside = ((center >= 0) & (center <= (width - 1, height - 1))).all(axis=1)
    return finite & apart & tall & inside


def dlib_chip(
    image: np.ndarray, landmarks: np.ndarray, settings: ChipSettings = ChipSettings()
) -> np.ndarray:
    """The chip that dlib's face network was trained on, by dlib's 68-point convention.

    Equal to ``dlib.get_face_chip`` where landmarks are whole pixels.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        settings: side, padding and subpixels.

    Returns:
        uint8 (side, side, 3) RGB, black beyond the image.
    """
    import dlib

    finer = settings.subpixel
    # C++'s cast in dlib.point wants Python ints.
    points = [dlib.point(int(x), int(y)) for x, y in np.rint(landmarks.astype(np.float64) * finer)]
    face = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), points)
    large = dlib.get_face_chip_details(face, settings.side, settings.padding)
    rect = large.rect
    # A dlib rectangle spans right - left + 1 pixels.
    x, y = (rect.left() + rect.right()) / 2 / finer, (rect.top() + rect.bottom()) / 2 / finer
    half_width = ((rect.right() - rect.left() + 1) / finer - 1) / 2
    half_height = ((rect.bottom() - rect.top() + 1) / finer - 1) / 2
    here = dlib.drectangle(x - half_width, y - half_height, x + half_width, y + half_height)
    details = dlib.chip_details(here, _chip_dims(settings.side), large.angle)
    return np.asarray(dlib.extract_image_chip(np.ascontiguousarray(image), details))


@cache
def _chip_dims(side: int) -> Any:
    import dlib

    return dlib.chip_dims(side, side)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centers, nose tip, mouth corners, left before right in the image: (..., 68, 2) -> (..., 5, 2)."""
    eyes = [landmarks[..., 36:42, :].mean(axis=-2), landmarks[..., 42:48, :].mean(axis=-2)]
    rest = [landmarks[..., 30, :], landmarks[..., 48, :], landmarks[..., 54, :]]
    return np.stack([*eyes, *rest], axis=-2)


def template(settings: AlignedSettings) -> np.ndarray:
    """The template's five points in a crop: float64 (5, 2) pixels."""
    own = settings
    points = np.array([own.left_eye, own.right_eye, own.nose, own.mouth_left, own.mouth_right])
    # Pixel centers: half a pixel is added before and taken off after scaling.
    center = own.base / 2
    return ((points + 0.5 - center) * own.zoom + center) * (own.size / own.base) - 0.5


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


def aligned_crop(image: np.ndarray, landmarks: np.ndarray, settings: AlignedSettings) -> np.ndarray:
    """A crop whose five points lie on the template as well as a similarity allows.

    Where the crop is smaller than its place in the image, it is sampled more finely and averaged, so that
    nothing aliases; elsewhere it is bilinear.

    Args:
        image: uint8 (H, W, 3).
        landmarks: finite float (68, 2) pixels.
        settings: size and template.

    Returns:
        float32 (size, size, 3) in [0, 255], black beyond the image.
    """
    return warp(image, fit_similarity(five_points(landmarks), template(settings)), settings.size)


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
