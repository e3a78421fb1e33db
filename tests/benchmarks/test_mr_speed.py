"""How fast masked regression is fitted, as ratios within one run; nothing here asserts a time.

``tox -e bench`` prints them. The per-pixel NumPy loop is measured on every 8th
row and column, with all three channels, and scaled by 64 (its cost per pixel does not depend on the place).
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fesbench.baselines._ridge import fit_local_ridge
from fesbench.baselines._ridge_tables import LEVELS, assemble, tabulate

SIZE, PAIRS, WINDOW, PENALTY, STRIDE = 128, 200, 3, 0.4, 8


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    shape = (PAIRS, SIZE, SIZE, 3)
    return draw.integers(0, 256, shape, dtype=np.uint8), draw.integers(0, 256, shape, dtype=np.uint8)


def loop(x: np.ndarray, t: np.ndarray, pixels: range) -> dict[tuple[int, int, int], np.ndarray]:
    """The card's formula, one pixel after another; images in [0, 1]."""
    half, found = WINDOW // 2, {}
    for channel in range(3):
        for row in pixels:
            for column in pixels:
                columns = [
                    x[:, row + dy, column + dx, channel]
                    for dy in range(-half, half + 1)
                    for dx in range(-half, half + 1)
                    if 0 <= row + dy < SIZE and 0 <= column + dx < SIZE
                ]
                A = np.stack([*columns, np.ones(len(x))], axis=1)
                gram = A.T @ A + PENALTY * np.eye(A.shape[1])
                found[channel, row, column] = np.linalg.solve(gram, A.T @ t[:, row, column, channel])
    return found


def ready_systems(pairs: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pixel's penalized system, as torch's batched solver takes them."""
    size = WINDOW**2 + 1
    memory = torch.zeros(size, size + 1, SIZE, SIZE * 3, dtype=torch.float64)
    found = assemble(tabulate(*pairs, WINDOW), slice(0, SIZE), WINDOW, memory).permute(2, 3, 0, 1) / LEVELS**2
    upper = found[..., :-1].triu()
    systems = upper + upper.triu(1).mT
    systems.diagonal(dim1=-2, dim2=-1).add_(PENALTY)
    return systems.contiguous(), found[..., -1].contiguous()


def seconds(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the shortest of some runs: what the work takes when nothing else disturbs it."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def test_the_fit_agrees_with_the_loop(pairs) -> None:
    weights, biases = fit_local_ridge(*pairs, window=WINDOW, penalty=PENALTY)
    pixels = range(0, SIZE, STRIDE)
    scaled = [images / 255.0 for images in pairs]
    expected = loop(*scaled, pixels)
    for (channel, row, column), wanted in expected.items():
        mine = weights[channel, :, row, column].reshape(WINDOW, WINDOW)
        rows = slice(1 if row == 0 else 0, 2 if row == SIZE - 1 else 3)
        columns = slice(1 if column == 0 else 0, 2 if column == SIZE - 1 else 3)
        np.testing.assert_allclose(mine[rows, columns].flatten(), wanted[:-1], atol=1e-6)
        np.testing.assert_allclose(biases[channel, row, column], wanted[-1], atol=1e-6)


def test_the_fit_needs_under_a_gigabyte(pairs) -> None:
    """NumPy's and torch's peaks together, above the images themselves."""
    tracemalloc.start()
    held = most = 0
    with torch.profiler.profile(profile_memory=True) as profile:
        fit_local_ridge(*pairs, window=WINDOW, penalty=PENALTY)
    in_numpy = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    assert 10 * 2**20 < most + in_numpy < 2**30
    print(f"\nmr fit holds at most {(most + in_numpy) / 2**20:.0f} MiB")


def test_fit_against_the_loop_and_the_bare_solve(benchmark, pairs) -> None:
    benchmark.pedantic(
        lambda: fit_local_ridge(*pairs, window=WINDOW, penalty=PENALTY), rounds=5, warmup_rounds=1
    )
    scaled = [images / 255.0 for images in pairs]
    fit = seconds(lambda: fit_local_ridge(*pairs, window=WINDOW, penalty=PENALTY), 5)
    slow = seconds(lambda: loop(*scaled, range(0, SIZE, STRIDE)), 2) * STRIDE**2
    systems, sides = ready_systems(pairs)
    floor = seconds(lambda: torch.linalg.solve(systems, sides), 5)
    benchmark.extra_info["ratios"] = {
        "MR's fit, speed against the loop over pixels": slow / fit,
        "time of MR's fit / of the bare batched solve": fit / floor,
    }
