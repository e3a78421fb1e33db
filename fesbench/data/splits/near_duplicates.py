"""When two images are copies of one another: the rule that leakage and duplicates share.

It finds re-encoded or slightly resized copies in two steps: perceptual hashes (imagehash's ``phash`` with 256
bits) that differ in few bits give candidates, and the gray images of the candidates, 32 pixels wide, must
then agree on average within a few gray levels. The second step is what tells a copy from another avatar in
the same pose, or another subject before the same wall.

The usual 64 bits and "at most 2 differ" would not do: at 64 px they call three pairs among 70 avatars (as
statues) copies. Measured on 210 images of these avatars at 64 px: of different subjects, the nearest differ
in 22 bits and 5.3 gray levels, and those within 40 bits in 5.9 levels or more; JPEG copies of quality 75
differ in 16 bits and 1.3 levels at most, of quality 30 in 28 bits (95 % of them) and 2.8 levels; copies that
went through 32 px in 10 bits and 1.8 levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

RULE = 1
"""Version of the rule; another rule, another number."""

NEAR = 32
"""Most differing bits, of 256, between an image and its copy."""

SAME_GRAY = 4.0
"""Largest mean difference, in gray levels of 255, between an image and its copy at 32 pixels."""

_HASH_SIDE = 16
_BITS = _HASH_SIDE**2
_SMALL = 32
_READ, _LEFT, _RIGHT = 256, 1024, 8192
"""Images described at a time; rows and columns of the table of distances that is held at a time."""

Progress = Callable[[int, int, str], None]
"""(done, in all, what)."""


@dataclass(frozen=True)
class HashDescriptors:
    """What is compared of n images; 2 KiB each.

    Attributes:
        bits: uint8 (n, 32), the perceptual hashes, packed.
        small: uint16 (n, 1024), gray images at 32 pixels, four times their level.
    """

    bits: np.ndarray
    small: np.ndarray


def hash_descriptors(
    images: np.ndarray, rows: np.ndarray, progress: Progress | None = None
) -> HashDescriptors:
    """Describe images for comparison.

    Args:
        images: uint8 (N, H, W, 3) RGB.
        rows: which of them, int (n,).
        progress: called after each block.
    """
    from PIL import Image

    bits = np.empty((len(rows), _BITS // 8), np.uint8)
    small = np.empty((len(rows), _SMALL**2), np.uint16)
    side = _HASH_SIDE * 4
    for start in range(0, len(rows), _READ):
        block = rows[start : start + _READ]
        grays = [Image.fromarray(images[row]).convert("L") for row in block]
        sized = np.stack([np.asarray(gray.resize((side, side), Image.Resampling.LANCZOS)) for gray in grays])
        here = slice(start, start + len(block))
        bits[here] = np.packbits(_signs(sized), axis=1)
        fours = sized.reshape(len(block), _SMALL, 2, _SMALL, 2).sum(axis=(2, 4), dtype=np.uint16)
        small[here] = fours.reshape(len(block), -1)
        if progress is not None:
            progress(start + len(block), len(rows), "describing images")
    return HashDescriptors(bits, small)


def copies(
    known: HashDescriptors,
    left: np.ndarray,
    right: np.ndarray,
    near: int = NEAR,
    progress: Progress | None = None,
) -> Iterator[tuple[int, int, int]]:
    """Pairs that are copies, each with its differing bits.

    All distances are computed, a block at a time: as products of signs, which one matrix product does for a
    block. A pair is given once, also where ``left`` and ``right`` share rows.

    Args:
        known: what is compared.
        left: rows of ``known``, int (a,).
        right: rows of ``known``, int (b,).
        near: most differing bits of 256.
        progress: called after each block of ``left``.

    Yields:
        (a row of ``left``, a row of ``right``, differing bits).

    >>> images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    >>> images[2] = images[0] // 2 * 2
    >>> rows = np.arange(3)
    >>> [(a, b) for a, b, bits in copies(hash_descriptors(images, rows), rows, rows)]
    [(0, 2)]
    """
    same = left is right
    for start in range(0, len(left), _LEFT):
        mine = left[start : start + _LEFT]
        signs = _plus_minus(known.bits[mine])
        for first in range(start if same else 0, len(right), _RIGHT):
            others = right[first : first + _RIGHT]
            # of 256 signs, d differ: the product is 256 - 2 d, exact in float32
            product = signs @ _plus_minus(known.bits[others]).T
            i, j = np.nonzero(product >= _BITS - 2 * near)
            if same:
                later = start + i < first + j
                i, j = i[later], j[later]
            for block in np.array_split(np.arange(len(i)), max(1, len(i) // _RIGHT)):
                a, b = mine[i[block]], others[j[block]]
                gaps = np.abs(known.small[a].astype(np.int32) - known.small[b]).sum(axis=1)
                for k in np.flatnonzero(gaps <= SAME_GRAY * 4 * _SMALL**2):
                    differing = (_BITS - product[i[block[k]], j[block[k]]]) / 2
                    yield int(a[k]), int(b[k]), int(differing)
        if progress is not None:
            progress(min(start + _LEFT, len(left)), len(left), "comparing images")


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """``imagehash.phash(image, hash_size=16)`` of many images at once.

    Args:
        images: uint8 (N, H, W, 3) RGB.

    Returns:
        Bool (N, 256), each hash row by row.

    >>> perceptual_hashes(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 256)
    """
    return np.unpackbits(hash_descriptors(images, np.arange(len(images))).bits, axis=1).astype(bool)


def _plus_minus(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1


def _signs(gray: np.ndarray) -> np.ndarray:
    """Signs of the low DCT frequencies against their median: bool (n, 256)."""
    side = gray.shape[1]
    k, x = np.arange(_HASH_SIDE)[:, None], np.arange(side)[None]
    # the unnormalized DCT-II, as scipy.fftpack.dct computes it, for the low frequencies alone
    basis = 2 * np.cos(np.pi * k * (2 * x + 1) / (2 * side))
    low = np.einsum("ky,nyx,lx->nkl", basis, gray.astype(np.float64), basis, optimize=True)
    flat = low.reshape(len(gray), -1)
    return flat > np.median(flat, axis=1, keepdims=True)
