"""How far apart two halves of the real subjects are: what a Fréchet distance says of images without fault.

A Fréchet distance of n images is above 0 for equal distributions, the more so the smaller n is. So the
subjects of the reference are split at random into two halves A and B, many times, and for each split

    null = FD(real of A, real of B)        own = FD(generated of A, real of B)

are taken at one n. Nobody is on both sides: a method that hands its sources back gains nothing by showing the
reference's own faces. A row whose median is not above the null's 95 % range cannot be told from real halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fesbench.metrics.distribution.frechet_math import CHEAP, frechet_of_subsets
from fesbench.metrics.distribution.moments import floats
from fesbench.metrics.inputs import Floats, Rows
from fesbench.statistics.null import NullBand, null_band

Statistic = Callable[[Any, Any, Sequence[tuple[Rows, Rows]]], Floats]

SPLITS, FEW_SPLITS = 20, 5
"""Of the reference's subjects; fewer where one distance takes seconds (see `CHEAP`)."""

SEED = 0
FEWEST_SUBJECTS = 4


@dataclass(frozen=True)
class Halves:
    """Distances of every split, null and own (S,), at n images."""

    n: int
    null: Floats
    own: Floats


def real_halves(
    a: Any,
    b: Any,
    clusters_a: npt.ArrayLike,
    clusters_b: npt.ArrayLike | None,
    *,
    smallest: int,
    statistic: Statistic = frechet_of_subsets,
) -> Halves | None:
    """Null and own distances over random halves of the reference's subjects.

    Args:
        a: (n, d) generated features, an array or `LazyRows`.
        b: (m, d) reference features.
        clusters_a, clusters_b: (n,), (m,) identities.
        smallest: images a side below which there is no distance.
        statistic: distances of many subsets, as `frechet_of_subsets`.

    Returns:
        None where identities are unknown, or a half has too few subjects or images.
    """
    x, y = floats(a), floats(b)
    code_x, code_y = np.asarray(clusters_a), np.asarray(clusters_b)
    subjects = np.unique(code_y)
    if clusters_b is None or len(subjects) < FEWEST_SUBJECTS:
        return None
    rng, real, own, half = np.random.default_rng(SEED), [], [], len(subjects) // 2
    dear = min(len(x) // 2, len(y) // 2, y.shape[1]) > CHEAP
    for _ in range(FEW_SPLITS if dear else SPLITS):
        drawn = rng.permutation(subjects)
        first = np.flatnonzero(np.isin(code_y, drawn[:half]))
        second = np.flatnonzero(np.isin(code_y, drawn[half : 2 * half]))
        # Subjects who are not in the reference are all on the first side.
        mine = np.flatnonzero(~np.isin(code_x, drawn[half:]))
        n = min(len(first), len(mine))
        if min(n, len(second)) < smallest:
            return None
        real.append((np.sort(rng.permutation(first)[:n]), second))
        own.append((np.sort(rng.permutation(mine)[:n]), second))
    n = int(np.median([len(rows) for rows, _ in real]))
    return Halves(n, statistic(y, y, real), statistic(x, y, own))


def band_of(parts: Sequence[Halves | None]) -> NullBand | None:
    """The band of a score that is the mean of its parts; None where a part has none."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    null, own = (np.mean(side, axis=0) for side in ([p.null for p in known], [p.own for p in known]))
    return null_band(min(part.n for part in known), null, own)
