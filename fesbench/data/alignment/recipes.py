"""Named, versioned recipes that turn an image with a face into a square, aligned image.

- ``none@1``: the image is aligned already (avatars); a square image of another size is resized with
  Lanczos, which filters when it shrinks.
- ``none-gray@1``: the same on the image's luma (ITU-R 601), repeated in three channels.
- ``dlib68-128@1``: dlib's face chip. A similarity transform (least squares) puts five points (the four eye
  corners and the base of the nose, which expressions move least) onto dlib's mean face with dlib's default
  padding of 0.25. 128 is the default size; another size scales the template.
- ``dlib68-128-gray@1``: the same on the image's luma (ITU-R 601), repeated in three channels; for sets that
  mix gray and color.
- ``celeba-178-128@1``: the framing of CelebA's aligned images, their central 178 pixels scaled to the size,
  as StarGAN takes them; by the centers of the eyes and of the mouth.
- ``mtcnn-112@1``: the tight crop that face recognition models are trained on (ArcFace), by the centers of the
  eyes, the tip of the nose and the corners of the mouth.

The last two go by the mouth, which expressions move: an open one makes the face smaller in the image. The
first ones do not, and suit comparisons of expressions better.

Landmarks that the data gives are used. Where it gives none they are found by dlib, and under ``mtcnn-112@1``
by MTCNN; ``dlib68-128@1:opencv`` is the same recipe with another detector (see `detectors`), and
its name says so wherever it stands.

Shrinking is antialiased: the image is warped at a whole multiple of the size, at least as fine as the
source, and reduced by box means. Pixels from outside the image repeat its border. The result is the same to
the byte at every call; it does not depend on threads or batches.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from fesbench.data.alignment.templates import ARCFACE, CELEBA, DLIB, Template
from fesbench.errors import DataError, UnknownNameError, UsageError
from fesbench.vocabulary import N_LANDMARKS

DETECTORS = ("dlib", "opencv", "mtcnn")

REASONS = {
    "unreadable": "no readable image",
    "no-face": "no face found",
    "several-faces": "several faces found",
    "outside": "landmarks outside the image",
    "no-landmarks": "no landmarks",
    "bad-landmarks": "landmarks that cannot be (their number, not finite)",
    "small-face": "the face is too small",
    "not-square": "not square, and its alignment is 'none'",
}
"""Why an image is left out, by a key that does not change."""


class FaceError(DataError):
    """An image whose face cannot be aligned; the message says why, without the file's name.

    Attributes:
        key: one of `REASONS`.
    """

    def __init__(self, key: str, message: str | None = None) -> None:
        super().__init__(message or REASONS[key])
        self.key = key


@dataclass(frozen=True)
class Recipe:
    """One way to align.

    Attributes:
        name: with its version, and with the detector where that is not the recipe's own.
        template: where the points of the face go; None: the image stays as it is, but for its size.
        detector: what finds a face where the data gives no landmarks; "" where none is needed.
        gray: whether color is taken away.
    """

    name: str
    template: Template | None = None
    detector: str = ""
    gray: bool = False

    @property
    def needs_landmarks(self) -> bool:
        """Whether 68 landmarks of the source image are needed."""
        return self.template is not None

    def apply(
        self, image: np.ndarray, landmarks: np.ndarray | None, size: int, five: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Align one image.

        Args:
            image: uint8 (H, W, 3) RGB.
            landmarks: float (68, 2), pixels of ``image``; None = unknown.
            size: side of the result, pixels.
            five: float (5, 2), a detector's own eye centers, nose tip and mouth corners; they align where the
                template can use them, else the landmarks do.

        Returns:
            uint8 (size, size, 3), and the landmarks in it, float32 (68, 2), or None.

        Raises:
            FaceError: see `REASONS`.
        """
        if self.template is None:
            return _resized(_luma(image) if self.gray else image, landmarks, size)
        if landmarks is None:
            raise FaceError("no-landmarks")
        check_landmarks(landmarks)
        if five is not None and self.template.from_five is not None:
            points = self.template.from_five(five)
        else:
            points = self.template.source(landmarks)
        check_points(points, landmarks, image.shape[:2])
        matrix = similarity(points, self.template.target(size))
        moved = landmarks.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
        return warp(_luma(image) if self.gray else image, matrix, size), moved.astype(np.float32)


ALIGNMENTS = {
    recipe.name: recipe
    for recipe in (
        Recipe("none@1"),
        Recipe("none-gray@1", gray=True),
        Recipe("dlib68-128@1", DLIB, "dlib"),
        Recipe("dlib68-128-gray@1", DLIB, "dlib", gray=True),
        Recipe("celeba-178-128@1", CELEBA, "dlib"),
        Recipe("mtcnn-112@1", ARCFACE, "mtcnn"),
    )
}


def alignment(name: str) -> Recipe:
    """The recipe of that name, such as "dlib68-128@1" or "dlib68-128@1:opencv".

    Raises:
        UnknownNameError: no such recipe or detector.
        UsageError: a detector that the recipe has anyway, or that has nothing to do there.

    >>> alignment("dlib68-128@1:opencv").detector
    'opencv'
    """
    base, colon, detector = name.partition(":")
    if base not in ALIGNMENTS:
        raise UnknownNameError("alignment", base, ALIGNMENTS)
    recipe = ALIGNMENTS[base]
    if not colon:
        return recipe
    if detector not in DETECTORS:
        raise UnknownNameError("detector", detector, DETECTORS)
    if recipe.template is None:
        raise UsageError(f"alignment {base} looks for no face; leave out ':{detector}'")
    if detector == recipe.detector:
        raise UsageError(f"'{detector}' is the detector of {base} itself; leave out ':{detector}'")
    return dataclasses.replace(recipe, name=name, detector=detector)


def check_landmarks(landmarks: np.ndarray) -> None:
    """Refuse what cannot be 68 points.

    Raises:
        FaceError: wrong count, or not finite.
    """
    if landmarks.shape != (N_LANDMARKS, 2):
        raise FaceError("bad-landmarks", f"{landmarks.shape[0]} landmarks instead of {N_LANDMARKS}")
    if not np.isfinite(landmarks).all():
        raise FaceError("bad-landmarks", "landmarks are not finite numbers")


def check_points(points: np.ndarray, landmarks: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse points that no face in an image of this (height, width) can have.

    Points of the jaw may lie a little outside a tightly cut image; those that align may not.

    Raises:
        FaceError: outside the image, or all in one place.
    """
    limit = np.array(shape[::-1]) - 1
    if (points < 0).any() or (points > limit).any():
        raise FaceError("outside")
    if np.linalg.norm(landmarks[45] - landmarks[36]) < 4:
        raise FaceError("small-face", "the face is smaller than 4 pixels between the eyes")


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity (2, 3), float64, that takes the source points (K, 2) to the target points (K, 2).

    Least squares (Umeyama, IEEE PAMI 13(4), 1991, in the closed form that two dimensions allow: with points
    as complex numbers, target = a * source + b).

    >>> points = np.array([[0, 0], [2, 0], [0, 1]])
    >>> (similarity(points, 3 * points + [1, 2]).round(6) + 0).tolist()
    [[3.0, 0.0, 1.0], [0.0, 3.0, 2.0]]
    """
    s, t = (points.astype(np.float64) @ np.array([1, 1j]) for points in (source, target))
    s0, t0 = s - s.mean(), t - t.mean()
    a = np.vdot(s0, t0) / np.vdot(s0, s0).real
    b = t.mean() - a * s.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp by a similarity (2, 3) from source to target pixels: uint8 (size, size, 3), antialiased.

    >>> image = np.full((8, 8, 3), 90, np.uint8)
    >>> warp(image, np.array([[0.5, 0, 0], [0, 0.5, 0]]), 4)[2, 2].tolist()
    [90, 90, 90]
    """
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    fine = max(1, math.ceil(math.hypot(inverse[0, 0], inverse[1, 0]) - 1e-9))
    # Pillow counts from the corner of the first pixel and samples at centers: u = x + 0.5
    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    corner = np.linalg.inv(shift) @ inverse @ shift @ np.diag([1 / fine, 1 / fine, 1])
    side = size * fine
    corners = np.array([(0, 0, 1), (side, 0, 1), (0, side, 1), (side, side, 1)]) @ corner[:2].T
    region, origin = _region(image, corners)
    corner[:2, 2] -= origin
    gray = _is_gray(region[::16, ::16]) and _is_gray(region)
    channels = [_sampled(region[..., k], corner[:2], side, fine) for k in range(1 if gray else 3)]
    means = np.repeat(channels[0][..., None], 3, axis=2) if gray else np.stack(channels, axis=2)
    return np.clip(np.rint(means), 0, 255).astype(np.uint8)


def _is_gray(image: np.ndarray) -> bool:
    return bool((image[..., :1] == image[..., 1:]).all())


def _region(image: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of an image that a warp reads, its border repeated where it reads beyond, and its corner."""
    height, width = image.shape[:2]
    low = np.floor(corners.min(axis=0) - 2).astype(int)
    high = np.ceil(corners.max(axis=0) + 2).astype(int)
    if max(*-low, *(high - (width, height))) > 8 * max(width, height):
        raise FaceError("outside")
    first, last = np.maximum(low, 0), np.minimum(high, (width, height))
    if (first >= last).any():
        raise FaceError("outside")
    inner = image[first[1] : last[1], first[0] : last[0]]
    before, after = first - low, high - last
    if before.any() or after.any():
        inner = np.pad(inner, ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    return inner, low


def _sampled(channel: np.ndarray, corner: np.ndarray, side: int, fine: int) -> np.ndarray:
    """One channel, sampled bicubically at (side, side) places and averaged over fine x fine of them."""
    from PIL import Image

    # in floats: on 8-bit images Pillow's warp truncates, which darkens everything by half a gray level
    warped = Image.fromarray(np.ascontiguousarray(channel, np.float32)).transform(
        (side, side),
        Image.Transform.AFFINE,
        tuple(corner.reshape(-1)),
        resample=Image.Resampling.BICUBIC,
    )
    # box means: rows first, then columns; sums of few float32 are exact in float64, in any order
    rows = np.asarray(warped, np.float64).reshape(side // fine, fine, side).sum(axis=1)
    return sum(rows[:, k::fine] for k in range(fine)) / fine**2


def _resized(
    image: np.ndarray, landmarks: np.ndarray | None, size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    from PIL import Image

    height, width = image.shape[:2]
    if height != width:
        raise FaceError("not-square", f"not square ({width}x{height}), and its alignment is 'none'")
    if height == size:
        return image, landmarks
    resized = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    if landmarks is None:
        return resized, None
    # pixel centers are whole numbers, so the image starts at -0.5
    return resized, ((landmarks + 0.5) * (size / height) - 0.5).astype(np.float32)


def _luma(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    luma = np.asarray(Image.fromarray(image).convert("L"))
    return np.repeat(luma[..., None], 3, axis=2)
