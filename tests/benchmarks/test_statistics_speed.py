"""2,000 resamples of every metric of one cell, and what a pass over each resample's images would cost.

Run with ``pytest tests/benchmarks/test_statistics_speed.py -s``. Features, per-image values and the judge's
answers are ready, as they are when scores are made again; pooled figures of one task and domain. CPU seconds,
so that a busy machine shows the same.
"""

import time

import numpy as np
import pytest

from fesbench.metrics.distribution.frechet_math import frechet_jackknife
from fesbench.metrics.identity.verification_math import make_pairs, tar_interval
from fesbench.statistics.intervals import cluster_mean, cluster_sums
from fesbench.statistics.paired import difference_of_means

PEOPLE = 40
REPLICATES = 2000
MEANS = ("ECS", "FSS", "Rank-1", "SSIM", "PSNR")
LEVELS = (0.01, 0.001)


def cell(requests):
    """Values of each mean, similarities to a gallery of one image a subject, and Inception-like features."""
    rng, who = np.random.default_rng(0), np.arange(requests) % PEOPLE
    features = [np.abs(rng.normal(size=(requests, 2048))).astype(np.float32) for _ in range(2)]
    return who, {name: rng.random(requests) for name in MEANS}, rng.random((requests, PEOPLE)), features


def naive_seconds(who, values, trials=50):
    """One mean by gathering the images of every drawn subject, scaled to all resamples."""
    rng, members = np.random.default_rng(0), [np.flatnonzero(who == person) for person in range(PEOPLE)]
    start = time.process_time()
    for _ in range(trials):
        rows = np.concatenate([members[person] for person in rng.integers(0, PEOPLE, PEOPLE)])
        values["SSIM"][rows].mean()
    return (time.process_time() - start) / trials * REPLICATES


@pytest.mark.slow
@pytest.mark.parametrize("requests", [280, 1000])
def test_all_metrics_of_one_cell(requests, benchmark):
    who, values, similarity, features = cell(requests)

    def means():
        for name in MEANS:
            cluster_mean(values[name], who, seed=0, replicates=REPLICATES)
            difference_of_means(*cluster_sums(values[name], who), *cluster_sums(values["FSS"], who), seed=0)

    def sets():
        pairs = make_pairs(similarity, np.ones(similarity.shape, dtype=bool), who, np.arange(PEOPLE))
        for level in LEVELS:
            tar_interval(pairs, level, seed=0, replicates=REPLICATES)
        frechet_jackknife(features[0], features[1], who, who)

    def everything():
        means()
        sets()

    benchmark.pedantic(everything, rounds=1, warmup_rounds=1)
    start = time.process_time()
    everything()
    seconds = time.process_time() - start
    start = time.process_time()
    means()
    ours = (time.process_time() - start) / (2 * len(MEANS))
    ratio = naive_seconds(who, values) / ours
    benchmark.extra_info |= {
        "CPU seconds": seconds,
        "ratios": {f"bootstrap of a mean, n = {requests}, speed against gathering images": ratio},
    }
    told = f"{seconds:.2f} CPU seconds for every metric; one mean: {ratio:.0f} times less than naive"
    print(f"\n{requests} requests: {told}")
    assert ratio > 1
