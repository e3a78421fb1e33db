"""Which samples a batch holds: counter-based, so that the same (seed, step) always gives the same ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from a tuple of names and numbers; unlike ``hash``, the same in every process."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True)
class Rows:
    """Rows of the store with the labels that they count as.

    Attributes:
        rows: int64 (n,); (n, T) for clips.
        labels: int64 (n,).
    """

    rows: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, kept: np.ndarray) -> Rows:
        return Rows(self.rows[kept], self.labels[kept])

    def __add__(self, other: Rows) -> Rows:
        return Rows(np.concatenate([self.rows, other.rows]), np.concatenate([self.labels, other.labels]))

    def shuffled(self, generator: np.random.Generator) -> Rows:
        """The same rows with their labels permuted."""
        return Rows(self.rows, generator.permutation(self.labels))


class Orders:
    """Permutations by name, length, seed and epoch; the two latest epochs of each are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, int, int], np.ndarray] = {}

    def take(self, name: str, n: int, seed: int, step: int, batch_size: int) -> np.ndarray:
        """The places of a step's samples: the step's piece of an endless row of permutations of n.

        Returns:
            int64 (batch_size,) in 0 ... n - 1; an epoch's last piece is filled from the next epoch.
        """
        epochs, offsets = np.divmod(step * batch_size + np.arange(batch_size), n)
        found = np.empty(batch_size, dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            found[here] = self._order(name, n, seed, int(epoch))[offsets[here]]
        return found

    def _order(self, name: str, n: int, seed: int, epoch: int) -> np.ndarray:
        key = (name, n, seed, epoch)
        if key not in self._kept:
            for old in [k for k in self._kept if k[:3] == key[:3] and k[3] != epoch - 1]:
                del self._kept[old]
            self._kept[key] = np.random.default_rng(derive_seed(seed, name, "order", epoch)).permutation(n)
        return self._kept[key]


class Partners:
    """Whom a sample may be joined with: all of its group that are not of its own block.

    A group is a subject and a block one image, for pairs of one subject; or a group is a label and a block a
    subject, for pairs of two. Memory grows with the samples, not with the pairs.

    Args:
        rows: int (n,), the partners' rows of the store.
        groups, blocks: int (n,), blocks from 0 to ``width`` - 1.
        width: above every block, also of the samples that are joined.
    """

    def __init__(self, rows: np.ndarray, groups: np.ndarray, blocks: np.ndarray, width: int) -> None:
        self._width = width
        order = np.lexsort((rows, blocks, groups))
        self._rows, self._keys = rows[order], (groups * width + blocks)[order]

    def count(self, groups: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """How many partners each of some samples has: int64 (m,)."""
        low, high, first, last = self._spans(groups, blocks)
        return (high - low) - (last - first)

    def draw(self, groups: np.ndarray, blocks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The row of one partner of each, all as likely: int64 (m,). Each must have one."""
        low, _, first, last = self._spans(groups, blocks)
        place = low + generator.integers(self.count(groups, blocks))
        return self._rows[place + np.where(place >= first, last - first, 0)]

    def _spans(self, groups: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where each sample's group begins and ends among the partners, and its own block inside of it."""
        low, high = (np.searchsorted(self._keys, (groups + k) * self._width) for k in (0, 1))
        first, last = (np.searchsorted(self._keys, groups * self._width + blocks + k) for k in (0, 1))
        return low, high, first, last
