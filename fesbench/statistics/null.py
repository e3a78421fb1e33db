"""A null band: what a distance says where there is no difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RANGE = (0.025, 0.975)


@dataclass(frozen=True)
class NullBand:
    """Distances between two halves of the real subjects, over random splits, and a row's own in their place.

    Attributes:
        n: images of the first half.
        splits: number of splits.
        median, low, high: of the distances between real halves, and their 95 % range.
        own: median of the distances where the row's images of the same subjects are the first half.
    """

    n: int
    splits: int
    median: float
    low: float
    high: float
    own: float

    @property
    def inside(self) -> bool:
        """Whether the row cannot be told from real halves."""
        return self.own <= self.high


def null_band(n: int, null: npt.ArrayLike, own: npt.ArrayLike) -> NullBand:
    """The band of distances (S,) of S splits.

    >>> null_band(10, [1.0, 2.0, 3.0], [2.0, 2.0, 9.0]).inside
    True
    """
    values, mine = (np.asarray(side, dtype=np.float64) for side in (null, own))
    low, high = np.quantile(values, RANGE)
    return NullBand(n, len(values), float(np.median(values)), float(low), float(high), float(np.median(mine)))
