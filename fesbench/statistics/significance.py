"""Is one row better than another? Unpaired differences, Holm, rank groups.

Paired differences: `fesbench.statistics.paired`.

The unit is a subject, as in `fesbench.statistics.intervals`; every function takes its own seed.

Sources: Holm (1979); Welch (1947) and Satterthwaite (1946) for groups of different subjects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.statistics.intervals import (
    FEW_CLUSTERS,
    Floats,
    Interval,
    cluster_sums,
    expanded,
    resampled_means,
    t_interval,
)
from fesbench.statistics.judges import JudgeTerm
from fesbench.statistics.paired import difference_of_means


def unpaired_difference(
    a: npt.ArrayLike,
    a_clusters: npt.ArrayLike,
    b: npt.ArrayLike,
    b_clusters: npt.ArrayLike,
    *,
    seed: int,
    replicates: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Mean of ``a`` minus mean of ``b`` where the two are of different subjects, who are resampled apart.

    Welch's t on the two cluster-robust standard errors with Satterthwaite's degrees of freedom; from 8
    clusters on either side on, the outer bounds of it and of the expanded percentile bootstrap.

    Raises:
        DataError: fewer than two clusters on a side, no values, or NaN.
    """
    sides = [cluster_sums(a, a_clusters), cluster_sums(b, b_clusters)]
    means = [float(sums.sum() / counts.sum()) for sums, counts in sides]
    value, few = means[0] - means[1], min(len(sums) for sums, _ in sides)
    total = sum(len(sums) for sums, _ in sides)
    if few < 2:
        raise DataError("a difference between groups of subjects needs two subjects or more in each")
    squares = []
    for (sums, counts), mean in zip(sides, means, strict=True):
        k, residual = len(sums), sums - mean * counts
        squares.append(k / (k - 1) * float(residual @ residual) / float(counts.sum()) ** 2)
    spread = sum(square**2 / (len(sums) - 1) for square, (sums, _) in zip(squares, sides, strict=True))
    freedom = sum(squares) ** 2 / spread if spread > 0 else float(total - 2)
    found = t_interval(value, math.sqrt(sum(squares)), freedom + 1, level, "welch t over identities")
    if few < FEW_CLUSTERS:
        return Interval(found.value, found.low, found.high, found.method, total)
    rng = np.random.default_rng(seed)
    first, second = (resampled_means(sums, counts, rng, replicates) for sums, counts in sides)
    tail = (1 - expanded(level, few)) / 2
    low, high = np.quantile(first - second, [tail, 1 - tail])
    how = f"outer bounds of welch t and independent cluster bootstrap, {replicates} replicates"
    return Interval(value, min(found.low, float(low)), max(found.high, float(high)), how, total)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Holm's step-down adjusted p-values, in the order given; valid under any dependence."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("p-values must lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def rank_groups(
    names: Sequence[str],
    per_request_values: Mapping[str, npt.ArrayLike],
    clusters: npt.ArrayLike,
    higher_is_better: bool,
    seed: int,
    *,
    level: float = 0.95,
    without_judge: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, int]:
    """Groups 1, 2, ...: a new one starts where a row is significantly worse than its group's first row.

    All pairs are tested by their paired difference and Holm-corrected together, so two rows in different
    adjacent groups differ from their group's leader at the family-wise level; rows within a group are ties.

    Args:
        names: Rows to rank.
        per_request_values: One value a request for each name, all on the same requests.
        clusters: (N,) identity of each request.
        higher_is_better: Direction of the metric.
        seed: Of the resamples.
        level: 1 - family-wise error.
        without_judge: each name's mean without each judge of one panel: differences are over judges as well.
    """
    if not names:
        return {}
    sums = {name: cluster_sums(per_request_values[name], clusters) for name in names}
    sign = -1.0 if higher_is_better else 1.0
    order = sorted(names, key=lambda name: (sign * float(sums[name][0].sum()), name))
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    spread = without_judge or {}
    terms = [JudgeTerm.between(spread.get(a, ()), spread.get(b, ()), same=True) for a, b in pairs]
    found = [
        difference_of_means(*sums[a], *sums[b], seed=seed, judges=term).p
        for (a, b), term in zip(pairs, terms, strict=True)
    ]
    adjusted = holm([1.0 if math.isnan(p) else p for p in found])
    differs = {pair: bool(p < 1 - level) for pair, p in zip(pairs, adjusted, strict=True)}
    groups, leader, group = {}, order[0], 1
    for name in order:
        if name != leader and differs[leader, name]:
            leader, group = name, group + 1
        groups[name] = group
    return groups
