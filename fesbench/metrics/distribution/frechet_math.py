"""The Fréchet distance of two feature sets, exact for any number of samples.

``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` needs no matrix square root: with centered feature
matrices A, B, ``tr (S1 S2)^(1/2)`` is the nuclear norm (sum of singular values) of
``A B^T / sqrt((n-1)(m-1))``. A side with more samples than dimensions is first reduced to a triangular factor
R with ``R^T R = A^T A``, which leaves the singular values unchanged. So there is no epsilon, no complex
number, and no rank problem at small n; all in float64. Features that lie in a file, which those of more than
16 MB do, are never in memory as a whole: see `moments`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fesbench.data.views import LazyRows
from fesbench.errors import DataError
from fesbench.metrics.distribution.moments import WELL_CONDITIONED, Side, blocks, floats
from fesbench.statistics.intervals import Interval, jackknife_interval

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-10
"""A negative result is set to 0 when it is within this share of the terms' sum; beyond, an error."""

CHEAP = 700
"""Above this many rows and dimensions a delete-one step takes over 0.1 s: identities go in groups."""

GROUPS = 20


def frechet_distance(a: Any, b: Any) -> float:
    """Fréchet distance between the Gaussians fitted to two feature sets.

    Args:
        a: (n, d) features, n >= 2, an array or `LazyRows`.
        b: (m, d) features, m >= 2.

    Returns:
        The squared distance, >= 0; covariances use n-1.

    Raises:
        DataError: fewer than two samples, different dimensions, or values that are not finite.

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    x, y = _checked(a), _checked(b)
    if x.shape[1] != y.shape[1]:
        raise DataError(f"Fréchet distance of {x.shape[1]} and {y.shape[1]} dimensions; use one extractor")
    if isinstance(x, LazyRows) or isinstance(y, LazyRows):
        return _of_parts(Side(x).part(), Side(y).part())
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    gap = mean_x - mean_y
    spread = float((x**2).sum()) / (len(x) - 1) + float((y**2).sum()) / (len(y) - 1)
    cross = _thin(x) @ _thin(y).T
    return _combine(float(gap @ gap), spread, cross, len(x), len(y))


def frechet_jackknife(
    a: Any,
    b: Any,
    clusters_a: npt.ArrayLike,
    clusters_b: npt.ArrayLike | None,
    *,
    level: float = 0.95,
) -> Interval:
    """Fréchet distance with its delete-one-identity jackknife interval.

    Args:
        a: (n, d) generated features.
        b: (m, d) reference features.
        clusters_a: (n,) identity of each generated row.
        clusters_b: (m,) identity of each reference row; an identity is deleted on both sides. None: only
            from ``a``.
        level: Coverage.
    """
    x, y = _checked(a), _checked(b)
    names, block_x = np.unique(np.asarray(clusters_a), return_inverse=True)
    k = len(names)
    value = frechet_distance(x, y)
    block_y = np.full(len(y), -1) if clusters_b is None else codes_among(np.asarray(clusters_b), names)
    if min(len(x), x.shape[1]) > CHEAP and min(len(y), y.shape[1]) > CHEAP and k > GROUPS:
        block_x, block_y = block_x % GROUPS, np.where(block_y < 0, -1, block_y % GROUPS)
    groups = int(block_x.max()) + 1
    counts_x = np.bincount(block_x, minlength=groups)
    counts_y = np.bincount(block_y[block_y >= 0], minlength=groups)
    if groups < 2 or len(x) - counts_x.max() < 2 or len(y) - counts_y.max() < 2:
        return Interval(value, math.nan, math.nan, "none: too few identities", k)
    kept = ((np.flatnonzero(block_x != i), np.flatnonzero(block_y != i)) for i in range(groups))
    return jackknife_interval(value, frechet_of_subsets(x, y, kept), names=names, level=level)


def frechet_of_subsets(
    a: Any, b: Any, kept: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
) -> Floats:
    """Fréchet distance of many subsets of two feature sets.

    Where features are more than samples, all come from one cross-product: centering a subset is a rank-one
    change of its part, so that no step touches the features again.

    Args:
        a: (n, d) features.
        b: (m, d) features.
        kept: rows of ``a`` and of ``b``, at least two of each, for each subset.

    Returns:
        (subsets,) distances.
    """
    x, y = _checked(a), _checked(b)
    if isinstance(x, LazyRows) or isinstance(y, LazyRows):
        first, second = Side(x), Side(y)
        return np.array([_of_parts(first.part(i), second.part(j)) for i, j in kept])
    if min(len(x), len(y)) > x.shape[1]:
        return np.array([frechet_distance(x[i], y[j]) for i, j in kept])
    # A common shift changes nothing but keeps the differences below free of cancellation.
    center = y.mean(axis=0)
    x, y = x - center, y - center
    cross, norms_x, norms_y = x @ y.T, (x**2).sum(axis=1), (y**2).sum(axis=1)
    found = []
    for i, j in kept:
        n, m = len(i), len(j)
        mean_x, mean_y = x[i].mean(axis=0), y[j].mean(axis=0)
        gap = mean_x - mean_y
        spread = (float(norms_x[i].sum()) - n * float(mean_x @ mean_x)) / (n - 1)
        spread += (float(norms_y[j].sum()) - m * float(mean_y @ mean_y)) / (m - 1)
        part = cross[np.ix_(i, j)]
        rows, columns = part.mean(axis=1, keepdims=True), part.mean(axis=0, keepdims=True)
        found.append(_combine(float(gap @ gap), spread, part - rows - columns + part.mean(), n, m))
    return np.array(found)


def _of_parts(a: tuple[int, Floats, float, Floats], b: tuple[int, Floats, float, Floats]) -> float:
    """The distance of two parts, see `Side.part`."""
    (n, mean_x, square_x, factor_x), (m, mean_y, square_y, factor_y) = a, b
    gap = mean_x - mean_y
    spread = square_x / (n - 1) + square_y / (m - 1)
    return _combine(float(gap @ gap), spread, factor_x @ factor_y.T, n, m)


def _combine(gap: float, spread: float, cross: Floats, n: int, m: int) -> float:
    nuclear = float(np.linalg.svd(cross, compute_uv=False).sum()) / math.sqrt((n - 1) * (m - 1))
    value = gap + spread - 2 * nuclear
    if value >= 0:
        return value
    if value < -ROUNDING * (gap + spread):
        raise ArithmeticError(
            f"Fréchet distance came out as {value}, beyond rounding of its terms {gap + spread}"
        )
    return 0.0


def _thin(centered: Floats) -> Floats:
    """The rows themselves, or if shorter a triangular R with R^T R = A^T A: products keep singular values."""
    n, d = centered.shape
    if n <= d:
        return centered
    gram = centered.T @ centered
    try:
        factor = np.asarray(np.linalg.cholesky(gram).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.qr(centered, mode="r"), dtype=np.float64)
    pivots = np.diag(factor)
    if pivots.min() > WELL_CONDITIONED * pivots.max():
        return factor
    return np.asarray(np.linalg.qr(centered, mode="r"), dtype=np.float64)


def _checked(features: Any) -> Any:
    """Features float64 (n, d); `LazyRows` as they are."""
    values = floats(features)
    if values.ndim != 2 or len(values) < 2:
        raise DataError(
            f"a Fréchet distance needs at least two samples of features; got an array of {values.shape}"
        )
    if not all(np.isfinite(block).all() for block in blocks(values)):
        raise DataError("features for a Fréchet distance hold values that are not finite")
    return values


def codes_among(clusters: npt.NDArray[np.int64], names: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Index of each cluster in ``names``, -1 where it is not there (an identity that is never deleted).

    >>> codes_among(np.array([7, 3, 5]), np.array([3, 7]))
    array([ 1,  0, -1])
    """
    position = np.searchsorted(names, clusters).clip(0, len(names) - 1)
    return np.where(names[position] == clusters, position, -1)
