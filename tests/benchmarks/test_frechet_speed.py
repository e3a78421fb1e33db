"""Fréchet distance against torch-fidelity's on the same 2048-d features: equal values, ratio of times.

Run with ``pytest tests/benchmarks/test_frechet_speed.py -s``. Both sides run in one process on the same
threads; the ratio is printed and stored with the benchmark, and never asserted: it is the machine's as much
as ours.
"""

import time

import numpy as np
import pytest
import torch

from fesbench.metrics.distribution.frechet_math import frechet_distance, frechet_jackknife

D = 2048


def pair(n):
    """Non-negative features with a decaying spectrum, as the Inception's pooled layer gives."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(D, D)).astype(np.float32) / np.sqrt(D)
    scale = 1 / np.sqrt(np.arange(1, D + 1, dtype=np.float32))
    draw = lambda: np.maximum(rng.normal(size=(n, D)).astype(np.float32) * scale @ mix + 0.1, 0)  # noqa: E731
    return draw(), draw() * 1.05


def svd_reference(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    x, y = (a - a.mean(0)) / np.sqrt(len(a) - 1), (b - b.mean(0)) / np.sqrt(len(b) - 1)
    (_, s, v), (_, t, w) = (np.linalg.svd(z, full_matrices=False) for z in (x, y))
    root = np.linalg.svd((s[:, None] * v) @ (t[:, None] * w).T, compute_uv=False).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + (s**2).sum() + (t**2).sum() - 2 * root


def torch_fidelity_fid(a, b):
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    stats = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    return fid_statistics_to_metric(*stats, verbose=False)[KEY_METRIC_FID]


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 5000])
def test_against_torch_fidelity(n, benchmark):
    a, b = pair(n)
    torch_fidelity_fid(a[:, :8], b[:, :8])  # its import is not its speed
    start = time.perf_counter()
    theirs = torch_fidelity_fid(a, b)
    seconds = time.perf_counter() - start
    ours = benchmark.pedantic(
        frechet_distance, (a, b), rounds=5 if n == 300 else 1, warmup_rounds=int(n == 300)
    )
    exact = svd_reference(a, b)
    ratio = seconds / benchmark.stats.stats.median
    benchmark.extra_info |= {
        "ratios": {f"Fréchet distance, n = {n}, speed against torch-fidelity": ratio},
        "relative difference to the SVD reference": abs(ours / exact - 1),
        "difference to torch-fidelity": ours - theirs,
    }
    print(f"\nn={n}: {ratio:.1f} times faster; {ours=:.9f} {exact=:.9f} {theirs=:.9f}")
    assert ours == pytest.approx(exact, rel=1e-6)
    assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-5)


def test_jackknife_over_plain_deletion(benchmark):
    a, b = pair(280)
    people = np.repeat(np.arange(40), 7)
    start = time.perf_counter()
    for person in range(3):
        frechet_distance(a[people != person], b[people != person])
    plain = (time.perf_counter() - start) / 3 * 40
    found = benchmark.pedantic(frechet_jackknife, (a, b, people, people), rounds=3, warmup_rounds=1)
    ratio = plain / benchmark.stats.stats.median
    benchmark.extra_info["ratios"] = {"jackknife over 40 subjects, speed against 40 distances": ratio}
    print(f"\n40 identities: {ratio:.1f} times faster than deleting by hand")
    assert found.low < found.value < found.high
