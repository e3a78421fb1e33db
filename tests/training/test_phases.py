"""What a phase may ask of the loop: a rate by step and progress."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.methods.card import Problem
from fesbench.methods.registry import methods
from fesbench.vocabulary import EXPRESSIONS
from tests.training.test_training import run


def test_the_rate_sees_step_and_progress(tmp_path: Path) -> None:
    """A warm-up of three steps, whatever the budget, before a decay by progress."""
    seen = []

    class WarmsUp(methods()["stargan"]):  # type: ignore[misc]
        def phases(self):
            warm = lambda step, progress: min((step + 1) / 4, 1 - progress)  # noqa: E731
            return tuple(replace(phase, learning_rate=warm) for phase in super().phases())

        def training_step(self, phase, batch, step):
            seen.append(self._optimizers["critic"].param_groups[0]["lr"] / self.hyper.learning_rate)
            return super().training_step(phase, batch, step)

    method = WarmsUp(Problem(64, EXPRESSIONS, (), 0), replace(WarmsUp.presets["tiny"], width=2, batch_size=2))
    run(method, tmp_path, steps=8)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
