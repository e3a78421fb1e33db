"""Finding the same subject or the same image in two subsets of a split.

Three tests: by identity (spellings that differ only in case or blanks are one subject), by file hash, and by
image (see `near_duplicates`). A fourth is for the eye: `nearest_faces` lists the subjects of different
subsets who look most alike to a face model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fesbench.data.splits.assign import SUBSETS, Split
from fesbench.data.splits.near_duplicates import NEAR, copies, hash_descriptors
from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.manifest import Manifest
from fesbench.errors import LeakageError

FaceFeatures = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(images, landmarks) -> (embeddings, valid): an extractor's ``extract``."""

_LIST = 10


@dataclass(frozen=True)
class LeakagePair:
    """Two images (or, for "identity", one of each spelling) that stand in different subsets.

    Attributes:
        kind: what they have in common.
        first, second: the images' names.
        first_subset, second_subset: where they stand.
        distance: differing bits of the perceptual hashes; 0 for the exact kinds.
    """

    kind: Literal["identity", "file", "image"]
    first: str
    first_subset: str
    second: str
    second_subset: str
    distance: int = 0

    def __str__(self) -> str:
        return (
            f"{self.first} ({self.first_subset}) and {self.second} ({self.second_subset}): same {self.kind}"
        )


def check_leakage(
    manifest: Manifest, images: np.ndarray, split: Split, near: int = NEAR
) -> list[LeakagePair]:
    """Refuse a split that leaks.

    Args:
        manifest: N rows.
        images: uint8 (N, S, S, 3), the rows' images.
        split: who stands where; subjects in no subset play no part.
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
            f"{len(pairs)} pairs of images leak between the subsets of the split; remove one of each pair "
            f"from the data, or give both one identity:\n{listed}{more}"
        )
    return pairs


def find_leakage(manifest: Manifest, images: np.ndarray, split: Split, near: int = NEAR) -> list[LeakagePair]:
    """All pairs that leak, the exact kinds first; arguments as for `check_leakage`."""
    subset_of = {who: subset for subset in SUBSETS for who in split.subset(subset)}
    subsets = [subset_of.get(who, "") for who in manifest.table["identity"]]
    names = manifest.table["image"].tolist()
    identities = [" ".join(str(who).casefold().split()) for who in manifest.table["identity"]]

    def pair(kind: Literal["identity", "file", "image"], a: int, b: int, distance: int = 0) -> LeakagePair:
        return LeakagePair(kind, names[a], subsets[a], names[b], subsets[b], distance)

    found = [pair("identity", a, b) for a, b in _shared(identities, subsets, once=True)]
    exact = list(_shared(manifest.table["sha256"].tolist(), subsets, once=False))
    found += [pair("file", a, b) for a, b in exact]
    known = set(exact)
    for a, b, distance in _near_pairs(images, np.array(subsets), near):
        if (a, b) not in known:
            found.append(pair("image", a, b, distance))
    return found


def _shared(keys: list[str], subsets: list[str], *, once: bool) -> Iterator[tuple[int, int]]:
    """Pairs of rows with one key in two subsets; ``once``: only the first pair for each two subsets."""
    rows: dict[str, list[int]] = {}
    for row, (key, subset) in enumerate(zip(keys, subsets, strict=True)):
        if key and subset:
            rows.setdefault(key, []).append(row)
    for same in rows.values():
        seen: set[frozenset[str]] = set()
        for k, a in enumerate(same):
            for b in same[k + 1 :]:
                both = frozenset((subsets[a], subsets[b]))
                if len(both) == 2 and not (once and both in seen):
                    seen.add(both)
                    yield a, b


def _near_pairs(images: np.ndarray, subsets: np.ndarray, near: int) -> Iterator[tuple[int, int, int]]:
    placed = np.flatnonzero(subsets != "")
    if not len(placed):
        return
    known = hash_descriptors(images, placed)
    for k, first in enumerate(SUBSETS):
        for second in SUBSETS[k + 1 :]:
            left, right = (np.flatnonzero(subsets[placed] == subset) for subset in (first, second))
            for a, b, bits in copies(known, left, right, near):
                first_row, second_row = sorted((int(placed[a]), int(placed[b])))
                yield first_row, second_row, bits


@dataclass(frozen=True)
class FacePair:
    """Two subjects of different subsets and the distance of their faces to a face model.

    Attributes:
        first, second: rows of the store.
        first_subset, second_subset: where they stand.
        distance: Euclidean, between the model's embeddings.
    """

    first: int
    first_subset: str
    second: int
    second_subset: str
    distance: float


def nearest_faces(store: AlignedStore, split: Split, count: int, features: FaceFeatures) -> list[FacePair]:
    """The subjects of different subsets who look most alike: one pair of subjects once, the nearest first.

    One image of each subject is embedded (neutral where there is one), so that the cost goes by subject. Near
    faces prove nothing by themselves: brothers are near, and so are faces that the model cannot read.

    Args:
        store: the data.
        split: who stands where.
        count: how many pairs at most.
        features: (images uint8 (N, S, S, 3), landmarks float32 (N, 68, 2)) -> (float (N, D), bool (N,)).
    """
    rows, subsets = _portraits(store.manifest, split)
    if not len(rows):
        return []
    values, valid = features(np.asarray(store.images[rows]), store.manifest.landmarks[rows])
    rows, subsets, values = rows[valid], subsets[valid], np.asarray(values, np.float64)[valid]
    best: list[FacePair] = []
    for k in range(len(rows)):
        others = np.flatnonzero(subsets[k + 1 :] != subsets[k]) + k + 1
        distances = np.linalg.norm(values[others] - values[k], axis=1)
        for nth in np.argsort(distances, kind="stable")[:count]:
            other = int(others[nth])
            best.append(
                FacePair(
                    int(rows[k]),
                    str(subsets[k]),
                    int(rows[other]),
                    str(subsets[other]),
                    float(distances[nth]),
                )
            )
        best = sorted(best, key=lambda pair: (pair.distance, pair.first, pair.second))[:count]
    return best


def _portraits(manifest: Manifest, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """One row of each subject with landmarks who has a subset, and the subsets."""
    subset_of = {who: subset for subset in SUBSETS for who in split.subset(subset)}
    usable = np.isfinite(manifest.landmarks).all(axis=(1, 2))
    chosen: dict[str, int] = {}
    neutral = manifest.table["expression"] == "neutral"
    for row in sorted(np.flatnonzero(usable), key=lambda row: (not neutral.iloc[row], row)):
        who = manifest.table["identity"].iloc[row]
        if who in subset_of:
            chosen.setdefault(who, int(row))
    return np.array(list(chosen.values()), np.int64), np.array([subset_of[who] for who in chosen])
