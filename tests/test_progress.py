"""What a log shows of a stage: a line now and then, and the time left."""

from __future__ import annotations

import math

import pytest
from rich.progress import Progress

from fesbench import progress
from fesbench.progress import LiveReporter, _LeftColumn


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_stage_in_a_log_says_how_far_it_is_and_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = LiveReporter()
    with reporter.stage("train 3 judges") as stage:
        for done in range(1, 61):
            clock[0] += 4
            stage.update(done, 60, detail=f"judge {1 + (done - 1) // 20} of 3")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert lines[0] == "train 3 judges"
    # a line every 30 s, told at the first update behind it: 4 s a step
    assert lines[1] == "train 3 judges: 8 of 60 (judge 1 of 3), about 3 min left"
    assert lines[-1] == "train 3 judges: 56 of 60 (judge 3 of 3), about 16 s left"
    assert len(lines) == 8


def test_what_was_done_before_says_nothing_of_the_speed(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = LiveReporter()
    with reporter.stage("resumed") as stage:
        stage.update(1000, 1010)
        clock[0] += 40
        stage.update(1002, 1010)
        stage.update(1003, None)
    assert capsys.readouterr().err.splitlines() == ["resumed", "resumed: 1002 of 1010, about 3 min left"]


def test_a_stage_that_knows_better_says_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = LiveReporter()
    with reporter.stage("cells") as stage:
        for done, left in ((0, math.inf), (1, math.inf), (2, 600.0)):
            clock[0] += 40
            stage.update(done, 10, left=left)
    assert capsys.readouterr().err.splitlines() == [
        "cells",
        "cells: 1 of 10",
        "cells: 2 of 10, about 10 min left",
    ]
    column = _LeftColumn()
    progress_bar = Progress(column)
    number = progress_bar.add_task("cells", total=10, until=clock[0] + 75.2)
    (task,) = progress_bar.tasks
    assert str(column.render(task)) == "0:01:15"
    progress_bar.update(number, until=math.inf)
    assert str(column.render(task)) == "-:--:--"
