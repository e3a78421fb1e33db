"""Differences between two rows that were measured on the same subjects.

The interval of a difference is not the difference of two intervals: what makes a subject hard for one method
makes it hard for the other, and that part cancels. So both sides are resampled with the same draws of
subjects, from the sums and counts of each subject (means) or from stored replicates (everything else).
Judges are a second factor: `JudgeTerm.between` says what they add, and p inverts the interval all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.statistics.intervals import (
    FEW_CLUSTERS,
    Interval,
    bca_at,
    bca_p,
    bootstrap_interval,
    expanded,
    jackknife_interval,
    outer,
    unexpanded,
)
from fesbench.statistics.judges import NO_JUDGES, JudgeTerm, crossed

Bounds = Callable[[float], tuple[float, float]]
Floats = npt.NDArray[np.float64]

REPLICATES = 2000


@dataclass(frozen=True)
class Difference:
    """``a - b``.

    Attributes:
        value: The difference.
        low, high: Its 95 % interval; NaN where the subjects allow none.
        p: Two-sided p-value of "no difference"; NaN where there is none.
        higher, lower, people: Of how many subjects a is higher and lower, of how many who have both; 0, 0,
            0 where a figure has no value per subject.
        method: How interval and p were made.
    """

    value: float
    low: float
    high: float
    p: float
    higher: int
    lower: int
    people: int
    method: str


def difference_of_means(
    sums_a: Floats,
    counts_a: Floats,
    sums_b: Floats,
    counts_b: Floats,
    *,
    seed: int,
    level: float = 0.95,
    judges: JudgeTerm = NO_JUDGES,
) -> Difference:
    """Difference of two means over the same subjects.

    Args:
        sums_a, counts_a: (K,) sum and number of values of each subject under a.
        sums_b, counts_b: (K,) under b; a subject may lack values on one side (count 0).
        seed: Of the resamples.
        level: Coverage.
        judges: The judges' part of the difference.

    Raises:
        DataError: unlike lengths, or a side without values.
    """
    parts = np.stack([np.asarray(x, dtype=np.float64) for x in (sums_a, counts_a, sums_b, counts_b)])
    parts = parts[:, (parts[1] + parts[3]) > 0]
    if parts.shape[1] == 0 or not (parts[1].sum() and parts[3].sum()):
        raise DataError("a paired difference needs values on both sides")
    value, both = _difference(parts.sum(axis=1)), (parts[1] > 0) & (parts[3] > 0)
    gap = parts[0, both] / parts[1, both] - parts[2, both] / parts[3, both]
    gap = np.where(np.abs(gap) <= 1e-12 * np.abs(parts[:, both]).max(axis=0), 0.0, gap)
    counts = int((gap > 0).sum()), int((gap < 0).sum()), len(gap)
    if min((parts[1] > 0).sum(), (parts[3] > 0).sum()) < 2:
        return Difference(value, math.nan, math.nan, math.nan, *counts, "none: one identity")
    bounds_at, p, method = _mean_bounds(value, parts, seed)
    low, high, p = crossed(value, p, bounds_at, judges, level)
    return Difference(value, low, high, p, *counts, judges.told(method))


def _difference(total: Floats) -> float:
    return float(total[0] / total[1] - total[2] / total[3])


def _mean_bounds(value: float, parts: Floats, seed: int) -> tuple[Bounds, float, str]:
    """Outer bounds of t and BCa at a level, and the larger of their p-values: small where 0 is outside."""
    from scipy.special import stdtrit

    k, total = parts.shape[1], parts.sum(axis=1)
    mean_a, mean_b = total[0] / total[1], total[2] / total[3]
    residual = (parts[0] - mean_a * parts[1]) / total[1] - (parts[2] - mean_b * parts[3]) / total[3]
    error = math.sqrt(k / (k - 1) * float(residual @ residual))
    if k < FEW_CLUSTERS and error <= 1e-12 * abs(value):
        # A few subjects, all alike: a spread that cannot be seen is taken to be as large as the difference.
        error = abs(value) / math.sqrt(k)
    p = _t_p(value, error, k - 1)

    def student(level: float) -> tuple[float, float]:
        half = float(stdtrit(k - 1, (1 + level) / 2)) * error
        return value - half, value + half

    if k < FEW_CLUSTERS:
        return student, p, "t over identities"
    drawn = _draws(k, seed) @ parts.T
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
        left = total[:, None] - parts
        deleted = left[0] / left[1] - left[2] / left[3]
    draws, deleted = draws[np.isfinite(draws)], deleted[np.isfinite(deleted)]

    drawn_bounds = bca_at(value, draws, deleted)

    def bounds_at(level: float) -> tuple[float, float]:
        found = Interval(value, *student(level), "t over identities", k)
        # Beyond the outermost draw there is nothing to see, and t goes on.
        whole = outer(found, drawn_bounds(min(expanded(level, k), 1 - 2 / len(draws))), "")
        return whole.low, whole.high

    p = max(p, unexpanded(bca_p(value, draws, deleted), k))
    return bounds_at, p, f"outer bounds of t over identities and expanded bca, {REPLICATES} replicates"


@lru_cache(maxsize=8)
def _draws(k: int, seed: int) -> Floats:
    """(R, K) how often each subject is drawn; made once for all figures of a comparison."""
    even = np.full(k, 1 / k)
    return np.random.default_rng(seed).multinomial(k, even, size=REPLICATES).astype(np.float64)


def difference_of_deleted(
    value: float,
    deleted_a: Floats,
    deleted_b: Floats,
    *,
    clusters: int,
    level: float = 0.95,
    judges: JudgeTerm = NO_JUDGES,
) -> Difference:
    """Difference of two figures from their leave-one-subject-out values, in one order of subjects.

    Args:
        value: The difference on every subject.
        deleted_a, deleted_b: (G,) figures without each subject, or without each group of subjects.
        clusters: Number of subjects.
        level: Coverage.
        judges: The judges' part of the difference.
    """
    deleted = np.asarray(deleted_a, dtype=np.float64) - np.asarray(deleted_b, dtype=np.float64)
    g = len(deleted)
    names = np.arange(clusters)

    def bounds_at(level: float) -> tuple[float, float]:
        found = jackknife_interval(value, deleted, names=names, level=level)
        return found.low, found.high

    error = math.sqrt((g - 1) / g * float(((deleted - deleted.mean()) ** 2).sum()))
    low, high, p = crossed(value, _t_p(value, error, g - 1), bounds_at, judges, level)
    method = jackknife_interval(value, deleted, names=names, level=level).method
    return Difference(value, low, high, p, 0, 0, 0, judges.told(f"paired {method}"))


def difference_of_draws(
    value: float,
    draws_a: Floats,
    draws_b: Floats,
    *,
    clusters: int,
    level: float = 0.95,
    judges: JudgeTerm = NO_JUDGES,
) -> Difference:
    """Difference of two figures from their values on the same bootstrap draws of subjects.

    The p-value inverts the interval: twice the smaller share of draws on one side of 0, by Student's t.
    """
    draws = np.asarray(draws_a, dtype=np.float64) - np.asarray(draws_b, dtype=np.float64)
    kept = draws[np.isfinite(draws)]

    def bounds_at(level: float) -> tuple[float, float]:
        found = bootstrap_interval(value, draws, clusters=clusters, level=level)
        return found.low, found.high

    if clusters < FEW_CLUSTERS:
        p = _t_p(value, float(kept.std(ddof=1)), clusters - 1)
    else:
        smaller = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
        p = unexpanded(min(1.0, 2 * (1 + smaller) / (1 + len(kept))), clusters)
    method = bootstrap_interval(value, draws, clusters=clusters, level=level).method
    low, high, p = crossed(value, p, bounds_at, judges, level)
    return Difference(value, low, high, p, 0, 0, 0, judges.told(f"paired {method}"))


def _t_p(value: float, error: float, freedom: int) -> float:
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(value) / error))
