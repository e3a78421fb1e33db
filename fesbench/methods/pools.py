"""What an epoch goes through, and how a step draws its rows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fesbench.methods.clips import Clip
from fesbench.methods.sampling import Orders, Partners, Rows, derive_seed


class Pool(Protocol):
    """What an epoch goes through once; its length is the epoch's."""

    def __len__(self) -> int: ...

    def draw(self, orders: Orders, name: str, seed: int, step: int, batch_size: int) -> tuple[Rows, ...]:
        """A step's rows: of images or clips, or of sources and targets."""


@dataclass(frozen=True)
class Each:
    """One image or pair after the other."""

    columns: tuple[Rows, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def draw(self, orders: Orders, name: str, seed: int, step: int, batch_size: int) -> tuple[Rows, ...]:
        """The same places of every column."""
        chosen = orders.take(name, len(self), seed, step, batch_size)
        return tuple(column[chosen] for column in self.columns)


@dataclass(frozen=True)
class Apart:
    """Sources and targets that have nothing to do with each other; an epoch is a pass over the larger."""

    sources: Rows
    targets: Rows

    def __len__(self) -> int:
        return max(len(self.sources), len(self.targets)) if len(self.sources) and len(self.targets) else 0

    def draw(self, orders: Orders, name: str, seed: int, step: int, batch_size: int) -> tuple[Rows, ...]:
        """Both in orders of their own."""
        ends = {f"{name} source": self.sources, f"{name} target": self.targets}
        return tuple(rows[orders.take(key, len(rows), seed, step, batch_size)] for key, rows in ends.items())


@dataclass(frozen=True)
class Partnered:
    """Every target once an epoch, each time with a source drawn anew among its partners.

    Attributes:
        targets: n of them, each with a partner.
        groups, blocks: int64 (n,), see `Partners`.
        partners: the sources.
        label_of: int64, by row of the store.
    """

    targets: Rows
    groups: np.ndarray
    blocks: np.ndarray
    partners: Partners
    label_of: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, orders: Orders, name: str, seed: int, step: int, batch_size: int) -> tuple[Rows, ...]:
        """Targets in the epoch's order; the draw of their sources follows the step."""
        chosen = orders.take(name, len(self), seed, step, batch_size)
        generator = np.random.default_rng(derive_seed(seed, name, "partner", step))
        rows = self.partners.draw(self.groups[chosen], self.blocks[chosen], generator)
        return Rows(rows, self.label_of[rows]), self.targets[chosen]


@dataclass(frozen=True)
class Clips:
    """Every clip once an epoch, resampled to a length."""

    clips: tuple[Clip, ...]
    length: int

    def __len__(self) -> int:
        return len(self.clips)

    def draw(self, orders: Orders, name: str, seed: int, step: int, batch_size: int) -> tuple[Rows, ...]:
        """Rows (batch_size, length)."""
        chosen = [self.clips[place] for place in orders.take(name, len(self), seed, step, batch_size)]
        return (
            Rows(
                np.stack([clip.resampled(self.length) for clip in chosen]),
                np.array([clip.label for clip in chosen], dtype=np.int64),
            ),
        )
