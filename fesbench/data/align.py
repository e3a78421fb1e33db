"""Named, versioned recipes that turn a picture with a face into a square, aligned image.

- ``none@1``: the picture is aligned already (avatars); a square picture of another size is resized with
  Lanczos, which filters when it shrinks.
- ``dlib68-128@1``: dlib's face chip. A similarity transform (least squares) puts five points (the four eye
  corners and the base of the nose, which expressions move least) onto dlib's mean face with dlib's default
  padding of 0.25. 128 is the default size; another size scales the template.
- ``dlib68-128-gray@1``: the same, then luma (ITU-R 601), repeated in three channels; for sets that mix gray
  and color.

Shrinking is antialiased: the picture is warped at a whole multiple of the size, at least as fine as the
source, and reduced by box means. Pixels from outside the picture repeat its border. The result is the same to
the byte at every call; it does not depend on threads or batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import N_LANDMARKS

FIVE = (36, 39, 42, 45, 33)
"""Outer and inner corner of each eye (image left to right), base of the nose."""

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


class FaceError(DataError):
    """A picture whose face cannot be aligned; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Recipe:
    """One way to align.

    Attributes:
        name: with its version.
        needs_landmarks: whether 68 landmarks of the source picture are needed.
        apply: (uint8 (H, W, 3), float (68, 2) or None, size) -> (uint8 (size, size, 3), landmarks in it or
            None); raises `FaceError`.
    """

    name: str
    needs_landmarks: bool
    apply: Callable[[np.ndarray, np.ndarray | None, int], tuple[np.ndarray, np.ndarray | None]]


def alignment(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: no such recipe.
    """
    if name not in ALIGNMENTS:
        raise UnknownNameError("alignment", name, ALIGNMENTS)
    return ALIGNMENTS[name]


def _none(image: np.ndarray, landmarks: np.ndarray | None, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    from PIL import Image

    height, width = image.shape[:2]
    if height != width:
        raise FaceError(f"not square ({width}x{height}), and its alignment is 'none'")
    if height == size:
        return image, landmarks
    resized = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    if landmarks is None:
        return resized, None
    # pixel centers are whole numbers, so the picture starts at -0.5
    return resized, ((landmarks + 0.5) * (size / height) - 0.5).astype(np.float32)


def _chip(image: np.ndarray, landmarks: np.ndarray | None, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    if landmarks is None:
        raise FaceError("no landmarks")
    check_landmarks(landmarks, image.shape[:2])
    matrix = chip_transform(landmarks, size)
    moved = landmarks.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return warp(image, matrix, size), moved.astype(np.float32)


def _gray_chip(
    image: np.ndarray, landmarks: np.ndarray | None, size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    from PIL import Image

    luma = np.asarray(Image.fromarray(image).convert("L"))
    return _chip(np.repeat(luma[..., None], 3, axis=2), landmarks, size)


ALIGNMENTS = {
    recipe.name: recipe
    for recipe in (
        Recipe("none@1", False, _none),
        Recipe("dlib68-128@1", True, _chip),
        Recipe("dlib68-128-gray@1", True, _gray_chip),
    )
}


def check_landmarks(landmarks: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse landmarks that cannot belong to a picture of this (height, width).

    Points of the jaw may lie a little outside a tightly cut picture; the five that align may not.

    Raises:
        FaceError: wrong count, not finite, outside the picture, or all in one place.
    """
    if landmarks.shape != (N_LANDMARKS, 2):
        raise FaceError(f"{landmarks.shape[0]} landmarks instead of {N_LANDMARKS}")
    if not np.isfinite(landmarks).all():
        raise FaceError("landmarks are not finite numbers")
    five, limit = landmarks[list(FIVE)], np.array(shape[::-1]) - 1
    if (five < 0).any() or (five > limit).any():
        raise FaceError("landmarks outside the image")
    if np.linalg.norm(landmarks[45] - landmarks[36]) < 4:
        raise FaceError("the face is smaller than 4 pixels between the eyes")


def chip_transform(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The similarity (2, 3), float64, from source pixels to pixels of the chip.

    Least squares over the five points (Umeyama, IEEE PAMI 13(4), 1991, in the closed form that two dimensions
    allow: with points as complex numbers, target = a * source + b).
    """
    source = landmarks[list(FIVE)].astype(np.float64)
    target = (TEMPLATE + PADDING) / (1 + 2 * PADDING) * size
    s, t = source @ np.array([1, 1j]), target @ np.array([1, 1j])
    s0, t0 = s - s.mean(), t - t.mean()
    a = np.vdot(s0, t0) / np.vdot(s0, s0).real
    b = t.mean() - a * s.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp by a similarity (2, 3) from source to target pixels: uint8 (size, size, 3), antialiased."""
    from PIL import Image

    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    fine = max(1, math.ceil(math.hypot(inverse[0, 0], inverse[1, 0]) - 1e-9))
    # Pillow counts from the corner of the first pixel and samples at centers: u = x + 0.5
    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    corner = np.linalg.inv(shift) @ inverse @ shift @ np.diag([1 / fine, 1 / fine, 1])
    side = size * fine
    corners = np.array([(0, 0, 1), (side, 0, 1), (0, side, 1), (side, side, 1)]) @ corner[:2].T
    height, width = image.shape[:2]
    low = np.ceil(np.maximum(2 - corners.min(axis=0), 0)).astype(int)
    high = np.ceil(np.maximum(corners.max(axis=0) + 2 - (width, height), 0)).astype(int)
    if max(*low, *high) > 8 * max(width, height):
        raise FaceError("landmarks outside the image")
    padded = np.pad(image, ((low[1], high[1]), (low[0], high[0]), (0, 0)), mode="edge")
    corner[:2, 2] += low
    # in floats: on 8-bit pictures Pillow's warp truncates, which darkens everything by half a gray level
    channels = [
        Image.fromarray(np.ascontiguousarray(padded[..., k], np.float32)).transform(
            (side, side),
            Image.Transform.AFFINE,
            tuple(corner[:2].reshape(-1)),
            resample=Image.Resampling.BICUBIC,
        )
        for k in range(3)
    ]
    warped = np.stack([np.asarray(channel) for channel in channels], axis=2)
    means = warped.reshape(size, fine, size, fine, 3).mean(axis=(1, 3), dtype=np.float64)
    return np.clip(np.rint(means), 0, 255).astype(np.uint8)
