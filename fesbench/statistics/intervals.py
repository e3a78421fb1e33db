"""Intervals that treat a subject, not an image, as the unit; `significance` compares two rows.

Images of one identity share a face, a light and the faults of a method on them, so resampling images
makes intervals too short. Everything here works on *clusters* (identities): per-cluster sums are formed
once, and a resample is a draw of clusters, so thousands of replicates cost one small matrix product.

Every function takes its own seed and builds its own generator; global random state is neither read nor
changed. Results do not depend on the order of the rows.

Sources: Efron & Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 11 and 14; Hesterberg, "What
Teachers Should Know about the Bootstrap" (2015), on expanded percentiles; Cameron & Miller, "A Practitioner's
Guide to Cluster-Robust Inference" (2015); Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError

FEW_CLUSTERS = 8
"""Below this number of identities resamples are too few and too coarse; Student's t is used instead."""

CHUNK = 4_000_000
"""Resampled entries held at once (32 MB)."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """A figure recomputed on changed sets of identities, kept so that two rows can be compared in pairs.

    Attributes:
        kind: How the sets were changed; a bootstrap's draw number i is the same for all rows of equal
            clusters.
        values: (R,) the recomputed figures; NaN where a changed set allows none.
        clusters: Identity codes that were deleted or drawn, ascending.
    """

    kind: Literal["delete-one-identity", "identity-bootstrap"]
    values: Floats
    clusters: tuple[int | str, ...]


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval; ``low`` and ``high`` are NaN where one cluster allows none."""

    value: float
    low: float
    high: float
    method: str
    clusters: int
    replicates: Replicates | None = field(default=None, compare=False, repr=False)


def cluster_sums(values: npt.ArrayLike, clusters: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Sum and count of the values of each cluster, in ascending cluster order.

    Rows are summed in sorted order, so that the result is bit-equal for any order of the rows.

    Raises:
        DataError: no values, a NaN or infinity, or as many clusters as values are not given.
    """
    v, c = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    if v.ndim != 1 or v.shape != c.shape or v.size == 0:
        raise DataError(f"expected as many clusters as values, at least one; got {v.shape} and {c.shape}")
    if not np.isfinite(v).all():
        raise DataError(
            f"{int((~np.isfinite(v)).sum())} of {v.size} values are not finite; drop and count them first"
        )
    codes = np.unique(c, return_inverse=True)[1]
    order = np.lexsort((v, codes))
    sums: Floats = np.bincount(codes[order], weights=v[order]).astype(np.float64)
    return sums, np.bincount(codes).astype(np.float64)


def cluster_mean(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    seed: int,
    replicates: int = 2000,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Mean over all values, with an interval that resamples clusters.

    Student's t with K-1 degrees of freedom and the cluster-robust standard error; from 8 clusters on, the
    outer bounds of it and of the expanded BCa cluster bootstrap. With ``bounds`` (the range of a 0/1 score)
    values that all sit on one bound get the Clopper-Pearson bound for K trials: a resample of equal values
    has no spread, but 40 successes of 40 subjects do not prove certainty.
    """
    sums, counts = cluster_sums(values, clusters)
    k, value = len(sums), float(sums.sum() / counts.sum())
    if k == 1:
        return Interval(value, math.nan, math.nan, "none: one identity", 1)
    v = np.asarray(values, dtype=np.float64)
    if bounds is not None and v.min() == v.max() and v[0] in bounds:
        width = (bounds[1] - bounds[0]) * (1 - ((1 - level) / 2) ** (1 / k))
        low, high = (value, value + width) if value == bounds[0] else (value - width, value)
        return Interval(value, low, high, "clopper-pearson over identities", k)
    residual = sums - value * counts
    error = math.sqrt(k / (k - 1) * float(residual @ residual)) / float(counts.sum())
    student = t_interval(value, error, k, level, "t over identities", bounds)
    if k < FEW_CLUSTERS:
        return student
    draws = resampled_means(sums, counts, np.random.default_rng(seed), replicates)
    deleted = (sums.sum() - sums) / (counts.sum() - counts)
    return outer(student, bca(value, draws, deleted, expanded(level, k)), replicates)


def outer(student: Interval, bootstrap: tuple[float, float], replicates: int) -> Interval:
    """The outer bounds of two intervals of one figure, each of which is too short where the other holds.

    Student's t fails for skewed values (rates near 1), the bootstrap for few subjects (docs/statistics.md has
    the simulation).
    """
    low, high = min(student.low, bootstrap[0]), max(student.high, bootstrap[1])
    method = f"outer bounds of t and expanded bca over identities, {replicates} replicates"
    return Interval(student.value, low, high, method, student.clusters)


def resampled_means(sums: Floats, counts: Floats, rng: np.random.Generator, replicates: int) -> Floats:
    """(replicates,) means of draws of clusters with replacement."""
    k, rows = len(sums), max(1, CHUNK // len(sums))
    means = []
    for start in range(0, replicates, rows):
        drawn = rng.integers(0, k, (min(rows, replicates - start), k))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def expanded(level: float, k: int) -> float:
    """The nominal level at which a bootstrap over k clusters covers as Student's t interval does.

    Quantiles of resamples lack the factor sqrt(k/(k-1)) of the standard error and the long tails of t, so
    that plain bootstrap intervals are too short when clusters are few (Hesterberg 2015, section 3.3).
    """
    from scipy.special import ndtr, stdtrit

    return float(2 * ndtr(math.sqrt(k / (k - 1)) * stdtrit(k - 1, (1 + level) / 2)) - 1)


def bootstrap_interval(
    value: float,
    draws: Floats,
    *,
    clusters: int,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Interval from a figure's bootstrap draws over identities, where no jackknife gives an acceleration.

    Expanded percentiles from 8 clusters on; below, Student's t with the draws' standard deviation.
    """
    kept = draws[np.isfinite(draws)]
    if clusters < FEW_CLUSTERS:
        error = float(kept.std(ddof=1))
        return t_interval(value, error, clusters, level, "t, bootstrap error over identities", bounds)
    tail = (1 - expanded(level, clusters)) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    method = f"expanded percentile identity bootstrap, {len(draws)} replicates"
    return Interval(value, float(low), float(high), method, clusters)


def bca(value: float, draws: Floats, deleted: Floats, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected and accelerated bounds (Efron & Tibshirani 1993, eq. 14.9 to 14.15).

    Args:
        value: The statistic on all data.
        draws: The statistic on each resample.
        deleted: The statistic without each cluster (jackknife), for the acceleration.
        level: Coverage in (0, 1).
    """
    from scipy.special import ndtr, ndtri

    if draws.min() == draws.max():
        return float(draws[0]), float(draws[0])
    # Half the ties count as below; the clip keeps z0 finite when the value lies outside all draws.
    share = ((draws < value).mean() + (draws <= value).mean()) / 2
    z0 = ndtri(np.clip(share, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    lean = deleted.mean() - deleted
    spread = float((lean**2).sum()) ** 1.5
    acceleration = float((lean**3).sum()) / (6 * spread) if spread > 0 else 0.0
    z = z0 + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(draws, ndtr(z0 + z / (1 - acceleration * z)))
    return float(low), float(high)


def t_interval(
    value: float, error: float, k: float, level: float, method: str, bounds: tuple[float, float] | None = None
) -> Interval:
    """Student's t with ``k`` - 1 degrees of freedom around a value, cut to ``bounds``."""
    from scipy.special import stdtrit

    half = float(stdtrit(k - 1, (1 + level) / 2)) * error
    low, high = bounds or (-math.inf, math.inf)
    return Interval(value, max(low, value - half), min(high, value + half), method, int(k))


def jackknife(
    statistic: Callable[[npt.NDArray[np.bool_]], float],
    clusters: npt.ArrayLike,
    *,
    level: float = 0.95,
    groups: int | None = None,
) -> Interval:
    """Delete-one-identity jackknife interval, for statistics that duplicates would bias (Fréchet distances).

    Args:
        statistic: Maps a mask of kept rows (N,) to the figure.
        clusters: (N,) identity of each row.
        level: Coverage.
        groups: Delete identities in this many groups instead of one by one, where the statistic is dear.
    """
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    k = len(names)
    blocks = codes if groups is None or groups >= k else codes % groups
    value = statistic(np.ones(len(codes), dtype=bool))
    if k == 1:
        return Interval(value, math.nan, math.nan, "none: one identity", 1)
    deleted = np.array([statistic(blocks != block) for block in range(int(blocks.max()) + 1)])
    return jackknife_interval(value, deleted, names=names, level=level)


def jackknife_interval(
    value: float, deleted: Floats, *, names: npt.ArrayLike, level: float = 0.95
) -> Interval:
    """Student's t interval from the leave-one-out values, with (groups - 1) degrees of freedom.

    Args:
        value: The figure on everything.
        deleted: (G,) the figure without each identity, or each group of identities.
        names: (K,) all identities in ascending order.
        level: Coverage.
    """
    g, identities = len(deleted), tuple(np.asarray(names).tolist())
    clusters = len(identities)
    error = math.sqrt((g - 1) / g * float(((deleted - deleted.mean()) ** 2).sum()))
    what = "identity" if g == clusters else f"of {g} identity groups"
    interval = t_interval(value, error, g, level, f"jackknife, delete one {what}")
    kept = Replicates("delete-one-identity", deleted, identities)
    return Interval(interval.value, interval.low, interval.high, interval.method, clusters, kept)


def deleted_means(values: npt.ArrayLike, clusters: npt.ArrayLike) -> Replicates | None:
    """The mean of values without each cluster in turn; None for one cluster, which leaves nothing.

    Args:
        values: (N,) finite.
        clusters: (N,) identities.
    """
    sums, counts = cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    names = tuple(np.unique(np.asarray(clusters)).tolist())
    deleted = (sums.sum() - sums) / (counts.sum() - counts)
    return Replicates("delete-one-identity", deleted, names)
