"""Fréchet distances of features that lie in a file: mean and covariance are gathered block by block.

Means and scatter matrices (sums of outer products about the mean) of blocks are joined, and those of rows
that are left out taken off again, by the exact formulas of T. F. Chan, G. H. Golub, R. J. LeVeque (Updating
formulae and a pairwise algorithm for computing sample variances, 1979), in float64: no sum of squares about
zero, whose rounding would grow with the mean. Equal to what `frechet_math` has of arrays in memory to 1e-10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fesbench.data.views import LazyRows, RowsOf

Floats = npt.NDArray[np.float64]

BLOCK = 4096
"""Rows that are read at once: 64 MB of 2,048 features."""

WELL_CONDITIONED = 1e-6
"""Smallest pivot ratio at which the scatter matrix's Cholesky factor replaces QR of the rows."""


@dataclass(frozen=True)
class Moments:
    """Number, mean (d,) and scatter matrix (d, d) of rows."""

    n: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, rows: Any) -> Moments:
        """Those of (n, d) rows of any array or `LazyRows`."""
        width = rows.shape[1]
        found = cls(0, np.zeros(width), np.zeros((width, width)))
        for block in blocks(rows):
            mean = block.mean(axis=0)
            centered = block - mean
            found = found.joined(cls(len(block), mean, centered.T @ centered))
        return found

    def joined(self, other: Moments) -> Moments:
        """Those of both sets of rows together."""
        n, gap = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        return Moments(n, self.mean + gap * (other.n / n), scatter)

    def without(self, other: Moments) -> Moments:
        """Those of the rows that are left when some are taken away."""
        n = self.n - other.n
        mean = self.mean + (self.mean - other.mean) * (other.n / n)
        gap = other.mean - mean
        return Moments(n, mean, self.scatter - other.scatter - np.outer(gap, gap) * (n * other.n / self.n))


def floats(features: Any) -> Any:
    """Features as a float64 array; `LazyRows` as they are, to be read a block at a time."""
    return features if isinstance(features, LazyRows) else np.asarray(features, dtype=np.float64)


def blocks(rows: Any) -> Iterator[Floats]:
    """The rows in order, float64, `BLOCK` at a time."""
    for start in range(0, len(rows), BLOCK):
        yield np.asarray(rows[start : start + BLOCK], dtype=np.float64)


class Side:
    """One feature set, and what a Fréchet distance reads of parts of it.

    Args:
        rows: (n, d) features, any array or `LazyRows`.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self._whole = Moments.of(rows)

    def part(self, kept: npt.NDArray[np.int64] | None = None) -> tuple[int, Floats, float, Floats]:
        """Number, mean (d,), sum of squares about it, and a factor R (r, d) with R^T R the scatter matrix.

        Args:
            kept: ascending rows; None: all.
        """
        moments, rows = self._whole, self.rows
        if kept is not None and len(kept) < len(rows):
            rows = RowsOf(self.rows, kept)
            lost = np.setdiff1d(np.arange(len(self.rows)), kept, assume_unique=True)
            # what is taken off must not be most of it, or its rounding would be seen in what is left
            few = len(lost) < len(kept)
            moments = moments.without(Moments.of(RowsOf(self.rows, lost))) if few else Moments.of(rows)
        return moments.n, moments.mean, float(np.trace(moments.scatter)), factor(moments, rows)


def factor(moments: Moments, rows: Any) -> Floats:
    """R (r, d) with R^T R the scatter matrix of rows, r <= d."""
    if moments.n > len(moments.mean):
        try:
            found = np.asarray(np.linalg.cholesky(moments.scatter).T, dtype=np.float64)
        except np.linalg.LinAlgError:
            pass
        else:
            pivots = np.diag(found)
            if pivots.min() > WELL_CONDITIONED * pivots.max():
                return found
    # QR of blocks, each stacked under the factor so far
    found = np.zeros((0, len(moments.mean)))
    for block in blocks(rows):
        found = np.asarray(np.linalg.qr(np.concatenate([found, block - moments.mean]), mode="r"))
    return found
