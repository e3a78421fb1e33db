"""The script for a GPU machine: its order, estimates and clock; on a CPU it is proved by running it."""

from __future__ import annotations

import signal
import time

import pytest

from tests import gpu_parts
from tests.gpu_parts import QUICK, SHARES, Clock, at_most, told
from tests.gpu_trainings import _hindrance, seconds_needed, waiting


def test_who_has_no_zoo_file_comes_first() -> None:
    assert waiting(["a", "b", "c", "d"], ["a", "c"]) == ["b", "d", "a", "c"]


def test_a_training_s_time_is_that_of_its_steps() -> None:
    assert seconds_needed({"one": 1000, "two": 10}, {"one": 20.0, "two": 500.0, "three": 1.0}) == 25.0
    assert seconds_needed({"one": 1000, "two": 10}, {"one": 20.0}) is None
    assert seconds_needed({}, {}) == 0.0  # fitted at once


def test_a_training_is_begun_where_it_fits_and_needs_no_weights() -> None:
    from fesbench.methods.registry import load_method

    kind, fast = load_method("stargan"), {"step_ms": {"adversarial": 10.0}}
    clock = Clock(100.0)
    assert _hindrance(kind, QUICK, {"adversarial": 1000}, fast, clock) == ""
    assert _hindrance(kind, QUICK, {"adversarial": 12_000}, fast, clock) == "needs 2.0 min of training"
    assert _hindrance(kind, QUICK, {"adversarial": 1}, {"error": "x"}, clock) == "its steps were not measured"


def test_what_comes_up_too_late_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(gpu_parts.time, "monotonic", lambda: now[0])
    clock, done = Clock(100.0, 0.0), []
    for name in clock.fitting("methods", "abcd", least=3.0):
        done.append(name)
        now[0] += 30.0
    assert SHARES["methods"] == 0.55
    assert done == ["a", "b"]
    assert clock.left_out == {"methods": ["c", "d"]}
    assert clock.left() == 40.0


def test_a_block_is_interrupted_when_its_time_is_over_and_not_before() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with at_most(30.0):
            pass
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt), at_most(0.2):
            time.sleep(20)
        assert time.monotonic() - started < 10
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_is_one_line() -> None:
    assert told(ValueError("first\nsecond")) == "ValueError: second"
    assert told(KeyboardInterrupt()) == "stopped: its time was over"
