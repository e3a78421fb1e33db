"""The time left of a run after its first two cells, on the measured seconds of whole runs."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from fesbench.records.record import Cell, Record, Stage
from fesbench.runs.job import Job
from fesbench.runs.time_left import TimeLeft
from tests.benchmarks.cluster import read_times

DEMO = {
    "copy": 32.4,
    "mean-shift": 22.1,
    "real": 21.1,
    "warp": 23.1,
    "mr": 31.4,
    "pix2pix": 76.8,
    "reggan": 86.9,
    "stargan": 73.2,
    "usgan": 67.5,
    "ganimation": 67.4,
}
"""Seconds of the cells of a run of ``@demo`` that trained every method, on two idle cores."""
UNTRAINED = ("copy", "mean-shift", "real", "warp", "mr", "lsrf", "stargan", "usgan", "ganimation")
"""Of the measured suite: reference rows, closed forms, and what was loaded from the zoo."""


def taking(seconds: float) -> Record:
    cell = Cell(
        method="m", protocol="p", protocol_hash="", data="", data_fingerprint="", preset="", budget="", seed=0
    )
    return Record(cell=cell, stages={"score": Stage(seconds=seconds, finished_at="", inputs="")})


def after_two(cells: dict[str, tuple[float, bool]]) -> float:
    """The estimate over the truth, once two cells are done."""
    seconds, left = [spent for spent, _ in cells.values()], TimeLeft([trains for _, trains in cells.values()])
    for number in left.order[:2]:
        left.done(number, taking(seconds[number]))
    return left.seconds() / sum(seconds[number] for number in left.order[2:])


def test_within_a_quarter_after_two_cells_of_measured_runs() -> None:
    demo = {name: (spent, name not in UNTRAINED[:5]) for name, spent in DEMO.items()}
    suite = {name: (sum(stages.values()), name not in UNTRAINED) for name, stages in read_times().items()}
    assert after_two(demo) == pytest.approx(1, abs=0.25)
    assert after_two(suite) == pytest.approx(1, abs=0.25)


def test_of_every_kind_one_is_run_first_and_nothing_is_said_before() -> None:
    left = TimeLeft([False, False, True, True])
    assert left.order == [0, 2, 1, 3]
    assert left.seconds() == math.inf
    left.done(0, taking(4))
    assert left.seconds() == math.inf
    left.done(2, taking(10))
    assert left.seconds() == 4 + 10
    left.done(1, taking(2))
    assert left.seconds() == 10
    left.done(3, taking(30))
    assert left.seconds() == 0
    # alike cells keep their order; what was done does not wait for what was not
    assert TimeLeft([True, True]).order == [0, 1]
    assert all(sorted(TimeLeft(kinds).order) == [0, 1, 2] for kinds in permutations((True, False, False)))


def test_what_is_loaded_or_fitted_at_once_does_not_train_in_steps() -> None:
    job = Job("stargan", "avatars", "tiny", "smoke")
    assert job.trains
    assert not Job("stargan", "avatars", "tiny", "smoke", weights="x.safetensors").trains
    assert not any(
        Job(name, "avatars", "tiny", "smoke").trains for name in ("mr", "lsrf", "copy", "mean-shift")
    )
