"""Looks at a training: where they are made, that they change nothing, that a resumed run has each once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.methods.base import Method
from fesbench.methods.conditions import label_requests
from fesbench.training.checkpoints import CHECKPOINT
from fesbench.training.validation_log import NAME, ValidationLog
from tests.training.test_training import run, small, view

STEPS = 80


def looks(method: Method, *, clumsy: bool = False) -> Callable[[], dict[str, float]]:
    """Mean pixel of the answers; a clumsy one draws from every generator and leaves eval mode behind."""
    requests = label_requests(view(), np.array([0]), [1, 5])

    def look() -> dict[str, float]:
        with torch.inference_mode():
            found = {"mean": float(method.answer(requests).mean())}
        if clumsy:
            torch.manual_seed(5), torch.rand(7), np.random.seed(5), random.seed(5)
            method.eval()
        return found

    return look


def points(folder: Path) -> list[tuple[str, int, str, float]]:
    lines = (folder / NAME).read_text().splitlines()
    assert lines[0] == "phase,step,name,value"
    cut = [line.split(",") for line in lines[1:]]
    return [(phase, int(step), name, float(value)) for phase, step, name, value in cut]


@pytest.mark.parametrize("name", ["usgan", "pix2pix"])  # instance norm; batch norm and dropout
def test_weights_are_equal_to_the_bit_with_and_without_looks(name: str, tmp_path: Path) -> None:
    seen, unseen = small(name), small(name)
    before = torch.get_rng_state()
    run(seen, tmp_path / "seen", validate=looks(seen, clumsy=True))
    assert torch.equal(torch.get_rng_state(), before)
    run(unseen, tmp_path / "unseen")
    assert len(points(tmp_path / "seen")) == 3
    for file in (CHECKPOINT, "losses.csv"):
        assert (tmp_path / "seen" / file).read_bytes() == (tmp_path / "unseen" / file).read_bytes()
    assert not (tmp_path / "unseen" / NAME).exists()


def test_eight_points_lie_evenly_and_show_the_method_as_it_stands(tmp_path: Path) -> None:
    method = small("usgan")
    look = looks(method)
    run(method, tmp_path, steps=STEPS, validate=look)
    found = points(tmp_path)
    assert [(phase, step, name) for phase, step, name, _ in found] == [
        ("adversarial", step, "mean") for step in range(10, STEPS + 1, 10)
    ]
    assert len({value for *_, value in found}) == 8
    assert found[-1][3] == pytest.approx(look()["mean"], rel=1e-6)


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [(6, [6]), (19, [19]), (20, [10, 20]), (35, [12, 24, 35]), (83, [11, 21, 32, 42, 52, 63, 73, 83])],
)
def test_points_are_ten_steps_apart_at_least(steps: int, wanted: list[int], tmp_path: Path) -> None:
    log = ValidationLog(tmp_path / NAME, steps)
    log.validate = lambda: {"x": 1.0}
    log.open(None)
    for step in range(1, steps + 1):
        if log.due(step / steps, 1e9):
            log.look("one", step, step / steps)
    log.close()
    assert [step for _, step, *_ in points(tmp_path)] == wanted


def test_costly_looks_are_put_off_and_the_last_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("fesbench.training.validation_log.time.monotonic", lambda: now[0])

    def slow() -> dict[str, float]:
        now[0] += 2.0
        return {"x": 1.0}

    log = ValidationLog(tmp_path / NAME, STEPS)
    log.validate = slow
    log.open(None)
    for step in range(1, STEPS + 1):  # a second each: two looks fit into 40, three into 60
        if log.due(step / STEPS, float(step)):
            log.look("one", step, step / STEPS)
    log.close()
    assert [step for _, step, *_ in points(tmp_path)] == [10, 40, 60, 80]
    assert log.seconds == 8.0


def test_points_are_spread_over_all_phases(tmp_path: Path) -> None:
    method = small("reggan")
    first, *others = [phase.name for phase in method.phases()]
    steps = {first: 1, **dict.fromkeys(others, STEPS)}
    assert method.phases()[0].closed_form
    run(method, tmp_path, steps=steps, validate=looks(method))
    total, places, before = 1 + STEPS * len(others), [], 0
    for phase, step, *_ in points(tmp_path):
        before = sum(list(steps.values())[: list(steps).index(phase)])
        places.append(before + step)
    assert places == [int(np.ceil(total * k / 8 - 1e-9)) for k in range(1, 9)]


def test_a_fit_is_looked_at_once(tmp_path: Path) -> None:
    method = small_fit()
    run(method, tmp_path, validate=looks(method))
    assert [row[1] for row in points(tmp_path)] == [1]


def small_fit() -> Method:
    from fesbench.methods.card import Problem
    from fesbench.methods.registry import methods
    from fesbench.vocabulary import EXPRESSIONS

    kind = methods()["mean-shift"]
    return kind(Problem(64, EXPRESSIONS, (6, 12), 0), kind.hyper_of("tiny"))


@pytest.mark.parametrize("stop", [1, 8])
def test_a_resumed_run_has_every_point_once(stop: int, tmp_path: Path) -> None:
    method = small("pix2pix")
    run(method, tmp_path / "whole", steps=STEPS, validate=looks(method))
    method, calls = small("pix2pix"), []
    look = looks(method)

    def broken() -> dict[str, float]:
        calls.append(1)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return look()

    with pytest.raises(KeyboardInterrupt):
        run(method, tmp_path / "cut", steps=STEPS, validate=broken)
    method = small("pix2pix")
    run(method, tmp_path / "cut", steps=STEPS, validate=looks(method))
    for file in (NAME, CHECKPOINT, "losses.csv"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


def test_points_behind_the_saved_state_are_made_anew(tmp_path: Path) -> None:
    """Killed ten points' worth of steps behind the last save."""
    method = small("usgan")
    run(method, tmp_path / "whole", steps=STEPS, validate=looks(method))
    method = small("usgan")

    def stop(progress) -> None:
        if progress.step > 41:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):  # no state is saved on the way out
        run(method, tmp_path / "cut", steps=STEPS, validate=looks(method), on_progress=stop, save_seconds=1e9)
    method = small("usgan")
    run(method, tmp_path / "cut", steps=STEPS, validate=looks(method))
    assert (tmp_path / "whole" / NAME).read_bytes() == (tmp_path / "cut" / NAME).read_bytes()


def test_the_time_of_looks_is_not_the_trainings(tmp_path: Path) -> None:
    def slow() -> dict[str, float]:
        time.sleep(0.5)
        return {"x": 0.0}

    started = time.monotonic()
    result = run(small("usgan"), tmp_path, validate=slow)
    spent = time.monotonic() - started
    assert 1.5 <= result.validation_seconds < 2.5
    assert result.seconds <= spent - 1.5


def test_points_of_an_earlier_training_do_not_stay(tmp_path: Path) -> None:
    method = small("usgan")
    run(method, tmp_path, steps=20, validate=looks(method))
    run(small("usgan"), tmp_path, steps=21)
    assert not (tmp_path / NAME).exists()


def test_who_reads_before_the_first_look_finds_the_columns(tmp_path: Path) -> None:
    log = ValidationLog(tmp_path / NAME, STEPS)
    log.validate = lambda: {"x": 1.0}
    log.open(None)
    assert points(tmp_path) == []
    log.close()
