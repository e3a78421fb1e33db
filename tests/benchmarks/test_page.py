"""The page of performance is that of the figures that are checked in; the simulation, on a few cells."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.benchmarks.cluster import Plan, draw, makespan, plans
from tests.benchmarks.page import CURVES, PAGE, latest, line, page, read_history, read_memory

TOLD = "run 'python -m tests.benchmarks.page' and commit docs/performance.md and docs/images/cluster.svg"


def test_page_and_picture_are_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read_history(), read_memory()), TOLD
    assert CURVES.read_text(encoding="utf-8") == draw(plans()), TOLD


def test_cells_go_to_the_first_worker_that_is_free() -> None:
    # 3 and 1, then 1 behind 1, then 2 behind both: 3 | 1 1 2
    assert makespan([3, 1, 1, 2], 2) == 4
    assert makespan([1, 1, 4], 2) == 5
    assert makespan([4, 1, 1], 2) == 4


def test_the_shared_part_and_the_longest_cell_bound_a_run() -> None:
    plan = Plan("", (4.0, 2.0, 2.0), shared=2.0)
    assert [plan.seconds(n) for n in (1, 2, 3, 64)] == [10, 6, 6, 6]
    assert plan.most == pytest.approx(10 / 6)
    assert plan.bound == "longest cell"
    assert Plan("", (4.0, 2.0), shared=5.0).bound == "shared judges"
    for one in plans():
        curve = [one.speedup(n) for n in range(1, 65)]
        assert curve[0] == 1
        assert all(n + 1 >= value for n, value in enumerate(curve))
        assert curve[-1] <= one.most + 1e-9
        assert all(later >= earlier * 0.8 for earlier, later in pairwise(curve))


def test_a_file_of_figures_becomes_a_line_and_the_newest_of_each_is_shown() -> None:
    bench = {
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
        "machine_info": {"machine": "x86_64", "cpu": {"count": 2}, "python_version": "3.11.7"},
        "datetime": "2026-11-28T17:00:00",
        "benchmarks": [
            {"extra_info": {"ratios": {"speed": 2.00049}, "seconds": 3}},
            {"extra_info": {}},
        ],
    }
    found = line(json.loads(json.dumps(bench)))
    assert (found["commit"], found["date"], found["ratios"]) == ("01234567+", "2026-11-28", {"speed": 2.0})
    older = {**found, "commit": "older", "ratios": {"speed": 1.0, "size": 5.0}}
    shown = {name: (value, one["commit"]) for name, value, one in latest([older, found])}
    assert shown == {"speed": (2.0, "01234567+"), "size": (5.0, "older")}
