"""Precision, recall, density and coverage of 1,000 images a side against torch-fidelity's two of them.

Run with ``pytest tests/benchmarks/test_neighbors_speed.py -s``. Both sides run in one process on the same
threads; the ratio is printed and stored with the benchmark, and never asserted: it is the machine's as much
as ours.
"""

import time

import numpy as np
import pytest
import torch

from fesbench.metrics.distribution.neighbors import PRECISION, RECALL, neighborhoods


def test_against_torch_fidelity(benchmark):
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(0)
    made, real = (rng.normal(size=(1000, 2048)).astype(np.float32) * s for s in (0.98, 1.0))
    people = np.repeat(np.arange(40), 25)
    settings = {"prc_neighborhood": 5, "prc_batch_size": 10000, "save_cpu_ram": False, "verbose": False}
    start = time.perf_counter()
    theirs = prc_features_to_metric(torch.from_numpy(made), torch.from_numpy(real), **settings)
    seconds = time.perf_counter() - start
    found = benchmark.pedantic(neighborhoods, (made, real, people, people), rounds=3, warmup_rounds=1)
    ratio = seconds / benchmark.stats.stats.median
    benchmark.extra_info["ratios"] = {
        "four figures with intervals, speed against torch-fidelity's two": ratio
    }
    print(f"\nfour figures with intervals over 40 subjects: {ratio:.1f} times as fast as two values alone")
    assert found[PRECISION].value == pytest.approx(theirs["precision"], abs=2e-3)
    assert found[RECALL].value == pytest.approx(theirs["recall"], abs=2e-3)
