"""Distances of features in a file, read block by block, are those of the same features in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.views import RowsOf
from fesbench.errors import DataError
from fesbench.metrics.distribution import kernel, moments, neighbors
from fesbench.metrics.distribution.frechet_math import frechet_distance, frechet_jackknife, frechet_of_subsets
from fesbench.metrics.distribution.frechet_variants import frechet_extrapolated
from fesbench.metrics.distribution.kernel import kernel_distance, subset_kernel_distance
from fesbench.metrics.distribution.moments import Moments
from fesbench.metrics.distribution.neighbors import neighborhoods
from fesbench.metrics.distribution.real_halves import real_halves

RNG = np.random.default_rng(0)


def features(kind: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = RNG.normal(size=(230, 12)), RNG.normal(0.3, 1.4, size=(310, 12))
    if kind == "far from zero":
        a, b = a + 1e4, b + 1e4
    if kind == "dead columns":
        a[:, 3:6], b[:, 4:8] = 0.0, 2.0
    if kind == "fewer than dimensions":
        a, b = a[:9], b[:40]
    return a.astype(np.float32), b.astype(np.float32)


def lazy(values: np.ndarray) -> RowsOf:
    """The same rows, stored in another order."""
    order = RNG.permutation(len(values))
    stored = np.empty_like(values)
    stored[order] = values
    return RowsOf(stored, order)


KINDS = ("usual", "far from zero", "dead columns", "fewer than dimensions")


@pytest.mark.parametrize("kind", KINDS)
def test_frechet_distances_are_those_of_arrays(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "BLOCK", 50)
    a, b = features(kind)
    # the terms of the distance cancel; what is held is a share of them
    scale = float(a.var(axis=0).sum() + b.var(axis=0).sum())
    assert frechet_distance(lazy(a), lazy(b)) == pytest.approx(frechet_distance(a, b), abs=1e-10 * scale)
    kept = [
        (np.sort(RNG.permutation(len(a))[:n]), np.sort(RNG.permutation(len(b))[:m]))
        for n, m in ((len(a), len(b)), (len(a) - 2, len(b) - 9), (3, len(b) // 2), (len(a) // 2, 20))
    ]
    wanted = frechet_of_subsets(a, b, kept)
    assert frechet_of_subsets(lazy(a), lazy(b), kept) == pytest.approx(wanted, abs=1e-10 * scale)


def test_intervals_and_bands_are_those_of_arrays() -> None:
    a, b = features("usual")
    who, known = np.arange(len(a)) % 11, np.arange(len(b)) % 14
    for of in (frechet_jackknife, lambda *given: frechet_extrapolated(*given, seed=1)):
        found, wanted = of(lazy(a), lazy(b), who, known), of(a, b, who, known)
        assert (found.value, found.low, found.high) == pytest.approx(
            (wanted.value, wanted.low, wanted.high), rel=1e-9
        )
    band, true = (real_halves(*pair, who, known, smallest=10) for pair in ((lazy(a), lazy(b)), (a, b)))
    assert band is not None
    assert true is not None
    assert band.null == pytest.approx(true.null, rel=1e-9)
    assert band.own == pytest.approx(true.own, rel=1e-9)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-1e3, 1e3))
def test_moments_are_joined_and_parted(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng([n, m])
    a, b = rng.normal(shift, 1.0, (n, 3)), rng.normal(size=(m, 3))
    whole = Moments.of(np.concatenate([a, b]))
    for found in (Moments.of(a).joined(Moments.of(b)), Moments.of(b).joined(Moments.of(a))):
        assert found.n == whole.n == n + m
        assert np.allclose(found.mean, whole.mean, rtol=1e-12, atol=1e-12 * abs(shift) + 1e-12)
        assert np.allclose(found.scatter, whole.scatter, rtol=1e-10, atol=1e-10 * (1 + shift**2))
    left = whole.without(Moments.of(b))
    assert left.n == n
    assert np.allclose(left.mean, a.mean(axis=0), rtol=1e-12, atol=1e-11 * (1 + abs(shift)))
    centered = a - a.mean(axis=0)
    assert np.allclose(left.scatter, centered.T @ centered, atol=1e-9 * (1 + shift**2))


def test_not_finite_rows_are_refused_wherever_they_lie() -> None:
    a, b = features("usual")
    a[-1, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        frechet_distance(lazy(a), b)


def test_kernels_in_blocks_are_the_whole_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features("usual")
    who, known = np.arange(len(a)) % 11, np.arange(len(b)) % 14
    draws = {"subsets": 5, "size": 60, "seed": 3}
    wanted = kernel_distance(a, b, who, known), subset_kernel_distance(a, b, who, known, **draws)
    monkeypatch.setattr(kernel, "_BLOCK", 16)
    monkeypatch.setattr(kernel, "_COLUMNS", 64)
    monkeypatch.setattr(kernel, "HELD_KERNEL", 100)
    found = (
        kernel_distance(lazy(a), lazy(b), who, known),
        subset_kernel_distance(lazy(a), lazy(b), who, known, **draws),
    )
    for ours, true in zip(found, wanted, strict=True):
        assert (ours.value, ours.low, ours.high) == pytest.approx((true.value, true.low, true.high), rel=1e-9)


def test_neighborhoods_in_chunks_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features("usual")
    who, known = np.arange(len(a)) % 60, np.arange(len(b)) % 14
    wanted = neighborhoods(a, b, who, known)
    monkeypatch.setattr(neighbors, "HELD_DISTANCES", 5000)
    assert neighborhoods(lazy(a), lazy(b), who, known) == wanted
