"""Finding the same person or the same picture on two sides of a split.

Three tests: by identity (spellings that differ only in case or blanks are one person), by file hash, and by
picture. The last finds re-encoded or slightly resized copies in two steps: perceptual hashes (imagehash's
``phash`` with 256 bits) that differ in few bits give candidates, and the gray pictures of the candidates, 32
pixels wide, must then agree on average within a few gray levels. The second step is what tells a copy from
another avatar in the same pose, or another person before the same wall.

The usual 64 bits and "at most 2 differ" would not do: at 64 px they call three pairs among 70 avatars (as
statues) copies. Measured on 210 pictures of these avatars at 64 px: of different people, the nearest differ
in 22 bits and 5.3 gray levels, and those within 40 bits in 5.9 levels or more; JPEG copies of quality 75
differ in 16 bits and 1.3 levels at most, of quality 30 in 28 bits (95 % of them) and 2.8 levels; copies that
went through 32 px in 10 bits and 1.8 levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fesbench.data.manifest import Manifest
from fesbench.data.splits import SIDES, Split
from fesbench.errors import LeakageError

HASH_SIDE = 16
NEAR = 32
"""Most differing bits, of 256, between a picture and its copy."""

SAME_GRAY = 4.0
"""Largest mean difference, in gray levels of 255, between a picture and its copy at 32 pixels."""

_LIST = 10


@dataclass(frozen=True)
class LeakagePair:
    """Two images (or, for "identity", one of each spelling) that stand on different sides.

    Attributes:
        kind: what they have in common.
        first, second: the images' names.
        first_side, second_side: where they stand.
        distance: differing bits of the perceptual hashes; 0 for the exact kinds.
    """

    kind: Literal["identity", "file", "picture"]
    first: str
    first_side: str
    second: str
    second_side: str
    distance: int = 0

    def __str__(self) -> str:
        return f"{self.first} ({self.first_side}) and {self.second} ({self.second_side}): same {self.kind}"


def check_leakage(
    manifest: Manifest, images: np.ndarray, split: Split, near: int = NEAR
) -> list[LeakagePair]:
    """Refuse a split that leaks.

    Args:
        manifest: N rows.
        images: uint8 (N, S, S, 3), the rows' pictures.
        split: who stands where; people in no side play no part.
        near: most differing bits of 256 between the perceptual hashes of two copies.

    Returns:
        An empty list (of the pairs that were found).

    Raises:
        LeakageError: with the number of pairs, and the first ten by name.
    """
    pairs = find_leakage(manifest, images, split, near)
    if pairs:
        listed = "\n".join(f"  {pair}" for pair in pairs[:_LIST])
        more = f"\n  and {len(pairs) - _LIST} more" if len(pairs) > _LIST else ""
        raise LeakageError(
            f"{len(pairs)} pairs of images leak between the sides of the split; remove one of each pair from "
            f"the data, or give both one identity:\n{listed}{more}"
        )
    return pairs


def find_leakage(manifest: Manifest, images: np.ndarray, split: Split, near: int = NEAR) -> list[LeakagePair]:
    """All pairs that leak, the exact kinds first; arguments as for `check_leakage`."""
    side_of = {who: side for side in SIDES for who in split.side(side)}
    sides = [side_of.get(who, "") for who in manifest.table["identity"]]
    names = manifest.table["image"].tolist()
    people = [" ".join(str(who).casefold().split()) for who in manifest.table["identity"]]

    def pair(kind: Literal["identity", "file", "picture"], a: int, b: int, distance: int = 0) -> LeakagePair:
        return LeakagePair(kind, names[a], sides[a], names[b], sides[b], distance)

    found = [pair("identity", a, b) for a, b in _shared(people, sides, once=True)]
    exact = list(_shared(manifest.table["sha256"].tolist(), sides, once=False))
    found += [pair("file", a, b) for a, b in exact]
    known = set(exact)
    for a, b, distance in _near_pairs(images, np.array(sides), near):
        if (a, b) not in known:
            found.append(pair("picture", a, b, distance))
    return found


def _shared(keys: list[str], sides: list[str], *, once: bool) -> Iterator[tuple[int, int]]:
    """Pairs of rows with one key on two sides; ``once``: only the first pair for each two sides."""
    rows: dict[str, list[int]] = {}
    for row, (key, side) in enumerate(zip(keys, sides, strict=True)):
        if key and side:
            rows.setdefault(key, []).append(row)
    for same in rows.values():
        seen: set[frozenset[str]] = set()
        for k, a in enumerate(same):
            for b in same[k + 1 :]:
                both = frozenset((sides[a], sides[b]))
                if len(both) == 2 and not (once and both in seen):
                    seen.add(both)
                    yield a, b


def _near_pairs(images: np.ndarray, sides: np.ndarray, near: int) -> Iterator[tuple[int, int, int]]:
    placed = np.flatnonzero(sides != "")
    if not len(placed):
        return
    hashes, small = _describe(images, placed)
    for k, first in enumerate(SIDES):
        for second in SIDES[k + 1 :]:
            left, right = (np.flatnonzero(sides[placed] == side) for side in (first, second))
            for block in np.array_split(left, max(1, len(left) // 256)):
                bits = np.bitwise_count(hashes[block][:, None] ^ hashes[right][None]).sum(axis=2)
                for i, j in np.argwhere(bits <= near):
                    a, b = block[i], right[j]
                    if np.abs(small[a] - small[b]).mean() <= SAME_GRAY:
                        first_row, second_row = sorted((int(placed[a]), int(placed[b])))
                        yield first_row, second_row, int(bits[i, j])


def _describe(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Perceptual hashes, uint64 (n, 4), and gray pictures, float32 (n, 32, 32)."""
    from PIL import Image

    hashes = np.empty((len(rows), HASH_SIDE * HASH_SIDE // 64), np.uint64)
    small = np.empty((len(rows), 32, 32), np.float32)
    side = HASH_SIDE * 4
    for start in range(0, len(rows), 256):
        block = rows[start : start + 256]
        grays = [Image.fromarray(images[row]).convert("L") for row in block]
        sized = np.stack([np.asarray(gray.resize((side, side), Image.Resampling.LANCZOS)) for gray in grays])
        hashes[start : start + len(block)] = np.packbits(_bits(sized), axis=1).view(np.uint64)
        small[start : start + len(block)] = sized.reshape(len(block), 32, 2, 32, 2).mean(axis=(2, 4))
    return hashes, small


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """``imagehash.phash(image, hash_size=16)`` of many images at once.

    Args:
        images: uint8 (N, H, W, 3) RGB.

    Returns:
        Bool (N, 256), each hash row by row.
    """
    hashes, _ = _describe(images, np.arange(len(images)))
    return np.unpackbits(hashes.view(np.uint8), axis=1).astype(bool)


def _bits(gray: np.ndarray) -> np.ndarray:
    """Signs of the low DCT frequencies against their median: bool (n, HASH_SIDE ** 2)."""
    side = gray.shape[1]
    k, x = np.arange(HASH_SIDE)[:, None], np.arange(side)[None]
    # the unnormalized DCT-II, as scipy.fftpack.dct computes it, for the low frequencies alone
    basis = 2 * np.cos(np.pi * k * (2 * x + 1) / (2 * side))
    low = np.einsum("ky,nyx,lx->nkl", basis, gray.astype(np.float64), basis, optimize=True)
    flat = low.reshape(len(gray), -1)
    return flat > np.median(flat, axis=1, keepdims=True)
