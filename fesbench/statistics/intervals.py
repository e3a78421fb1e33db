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

ADDED = 0.1
"""Share of a cluster that is added on either side of a rate; see `korn_graubard`."""

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
    outer bounds of it and of the expanded BCa cluster bootstrap. Of right or wrong (values on the ``bounds``
    alone) the bounds of Korn and Graubard count as well, which hold near 0 and 1; values that all sit on one
    bound get the Clopper-Pearson bound for K trials: a resample of equal values has no spread, but 40
    successes of 40 subjects do not prove certainty.
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
    if error == 0.0:
        # Subjects of equal means: what is left of the spread is that of their images.
        error = float(v.std()) / math.sqrt(len(v))
    student = t_interval(value, error, k, level, "t over identities", bounds)
    if bounds is not None and np.isin(v, bounds).all():
        student = outer(student, korn_graubard(sums, counts, bounds, level), "Korn-Graubard")
    if k < FEW_CLUSTERS:
        return student
    draws = resampled_means(sums, counts, np.random.default_rng(seed), replicates)
    deleted = (sums.sum() - sums) / (counts.sum() - counts)
    bootstrap = bca(value, draws, deleted, expanded(level, k))
    return outer(student, bootstrap, f"expanded bca, {replicates} replicates")


def outer(one: Interval, other: tuple[float, float], method: str) -> Interval:
    """The outer bounds of two intervals of one score, each of which is too short where the other holds.

    Student's t fails for skewed values (rates near 1), the bootstrap for few subjects (docs/statistics.md has
    the simulation).
    """
    low, high = min(one.low, other[0]), max(one.high, other[1])
    return Interval(one.value, low, high, f"outer bounds of {one.method} and {method}", one.clusters)


def korn_graubard(
    sums: Floats, counts: Floats, bounds: tuple[float, float], level: float = 0.95
) -> tuple[float, float]:
    """Clopper-Pearson bounds of a rate of clustered trials, for as many trials as its error is worth.

    The effective number of trials is p (1 - p) / error^2, corrected for the degrees of freedom, at most all.
    Its p and error are those of the clusters and of a tenth of a cluster more that is all wrong and a tenth
    of one that is all right: a rate near 1 with few clusters that err shows too little of its own spread.

    Args:
        sums, counts: (K,) sum and number of each cluster's values.
        bounds: what wrong and right count; the mean is on neither.
        level: of coverage.

    Source: Korn & Graubard, Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data (Survey Methodology 24, 1998); the added tenths are fesbench's own, and
    docs/statistics.md has their coverage.
    """
    from scipy.special import betaincinv, stdtrit

    width, tail, k, n = bounds[1] - bounds[0], (1 - level) / 2, len(sums), float(counts.sum())
    right, each, share = (sums - bounds[0] * counts) / width, n / len(counts), ADDED
    p = (float(right.sum()) + share * each) / (n + 2 * share * each)
    squares = float(((right - p * counts) ** 2).sum()) + share * each**2 * (p**2 + (1 - p) ** 2)
    error = (k + 2 * share) / (k + 2 * share - 1) * squares / (n + 2 * share * each) ** 2
    freedom = float(stdtrit(n - 1, 1 - tail) / stdtrit(k - 1, 1 - tail)) ** 2
    trials = min(n, p * (1 - p) / error * freedom)
    hits = trials * float(right.sum()) / n
    low = float(betaincinv(hits, trials - hits + 1, tail))
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail))
    return bounds[0] + width * low, bounds[0] + width * high


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


def unexpanded(p: float, k: int) -> float:
    """The p-value of a bootstrap over k clusters at `expanded` levels: by t's tails, not the normal's.

    >>> round(unexpanded(1 - expanded(0.95, 10), 10), 12)
    0.05
    """
    from scipy.special import ndtri, stdtr

    return float(2 * stdtr(k - 1, ndtri(p / 2) * math.sqrt((k - 1) / k)))


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
    return bca_at(value, draws, deleted)(level)


def bca_at(value: float, draws: Floats, deleted: Floats) -> Callable[[float], tuple[float, float]]:
    """The bounds of `bca` as a function of the level, for those who ask for many."""
    from scipy.special import ndtr, ndtri

    ordered = np.sort(draws)
    first, last = float(ordered[0]), float(ordered[-1])
    if first == last:
        return lambda level: (first, last)
    z0, acceleration = _bca_shift(value, draws, deleted)

    def bound(tail: float) -> float:
        z = z0 + float(ndtri(tail))
        place = float(ndtr(z0 + z / (1 - acceleration * z))) * (len(ordered) - 1)
        below = min(int(place), len(ordered) - 2)
        a, b, share = float(ordered[below]), float(ordered[below + 1]), place - below
        return a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share)

    return lambda level: (bound((1 - level) / 2), bound((1 + level) / 2))


def _bca_shift(value: float, draws: Floats, deleted: Floats) -> tuple[float, float]:
    """Bias correction and acceleration."""
    from scipy.special import ndtri

    # Half the ties count as below; the clip keeps z0 finite when the value lies outside all draws.
    share = ((draws < value).mean() + (draws <= value).mean()) / 2
    z0 = float(ndtri(np.clip(share, 0.5 / len(draws), 1 - 0.5 / len(draws))))
    lean = deleted.mean() - deleted
    spread = float((lean**2).sum()) ** 1.5
    return z0, float((lean**3).sum()) / (6 * spread) if spread > 0 else 0.0


def bca_p(value: float, draws: Floats, deleted: Floats) -> float:
    """The level beyond which the bounds of `bca` leave 0 out: two-sided p-value of a difference of 0.

    Args:
        value, draws, deleted: as `bca` takes them.
    """
    from scipy.special import ndtr, ndtri

    if draws.min() == draws.max():
        return float(draws[0] == 0)
    z0, acceleration = _bca_shift(value, draws, deleted)
    below, least = ((draws < 0).mean() + (draws <= 0).mean()) / 2, 0.5 / len(draws)
    tail = min(below, 1 - below)
    if tail < least:
        # Beyond the outermost draw the tail is the normal's, so that Holm's many comparisons can be passed.
        tail = min(least, max(1e-300, float(ndtr(-abs(draws.mean()) / draws.std()))))
    reached = math.copysign(float(ndtri(tail)), below - 0.5) - z0
    lean = 1 + acceleration * reached
    z = (reached / lean if lean > 0 else math.copysign(math.inf, reached)) - z0
    return float(2 * min(ndtr(z), ndtr(-z)))


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
