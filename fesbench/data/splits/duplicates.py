"""Images that occur more than once in a data set, under whatever names.

160,000 images at 128 px take some minutes on one core, most of them for reading and hashing; the result is
kept beside the store.
"""

from __future__ import annotations

import numpy as np

from fesbench.data.splits.near_duplicates import NEAR, RULE, Progress, copies, hash_descriptors
from fesbench.data.store.aligned import AlignedStore
from fesbench.files import atomic_write

FILE = f"duplicates@{RULE}.npy"


def duplicate_groups(store: AlignedStore, progress: Progress | None = None) -> np.ndarray:
    """Which images are one image: the same file, or copies by the rule of `near_duplicates`.

    What is a copy of a copy belongs to the group too. Images are compared as they lie in the store, after
    alignment.

    Args:
        store: N images.
        progress: called after each block.

    Returns:
        int64 (N,): the smallest row of each image's group; its own row where it is alone.

    Raises:
        DataError: the result cannot be written beside the store.
    """
    path = store.path / FILE
    if path.exists():
        groups = np.load(path, allow_pickle=False)
        if groups.shape == (len(store),) and groups.dtype == np.int64:
            return groups
    rows = np.arange(len(store))
    groups = _file_groups(store)
    # one image of each file is enough to compare
    once = np.flatnonzero(groups == rows)
    known = hash_descriptors(store.images, once, progress)
    everything = np.arange(len(once))
    for a, b, _ in copies(known, everything, everything, NEAR, progress):
        _join(groups, int(once[a]), int(once[b]))
    groups = np.array([_root(groups, row) for row in range(len(store))], np.int64)
    atomic_write(path, lambda stream: np.save(stream, groups))
    return groups


def group_list(groups: np.ndarray) -> list[np.ndarray]:
    """The groups of two images or more: their rows, ascending; in the order of their first rows.

    >>> [rows.tolist() for rows in group_list(np.array([0, 1, 0, 3, 1]))]
    [[0, 2], [1, 4]]
    """
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _file_groups(store: AlignedStore) -> np.ndarray:
    first: dict[str, int] = {}
    return np.array(
        [
            first.setdefault(sha256, row) if sha256 else row
            for row, sha256 in enumerate(store.manifest.table["sha256"])
        ],
        np.int64,
    )


def _root(groups: np.ndarray, row: int) -> int:
    while groups[row] != row:
        groups[row] = groups[groups[row]]
        row = int(groups[row])
    return row


def _join(groups: np.ndarray, a: int, b: int) -> None:
    first, second = sorted((_root(groups, a), _root(groups, b)))
    groups[second] = first
