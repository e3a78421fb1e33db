"""What holds while a phase runs: its rate by step and progress, and float32 that is float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fesbench.methods.card import Problem
from fesbench.methods.registry import methods
from fesbench.vocabulary import EXPRESSIONS
from tests.training.test_training import run


def test_the_rate_sees_step_and_progress(tmp_path: Path) -> None:
    """A warm-up of three steps, whatever the budget, before a decay by progress."""
    seen = []

    class WarmsUp(methods()["usgan"]):  # type: ignore[misc]
        def phases(self):
            warm = lambda step, progress: min((step + 1) / 4, 1 - progress)  # noqa: E731
            return tuple(replace(phase, learning_rate=warm) for phase in super().phases())

        def training_step(self, phase, batch, step):
            seen.append(self._optimizers["critic"].param_groups[0]["lr"] / self.hyper.learning_rate)
            return super().training_step(phase, batch, step)

    method = WarmsUp(Problem(64, EXPRESSIONS, (), 0), replace(WarmsUp.presets["tiny"], width=2, batch_size=2))
    run(method, tmp_path, steps=8)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def _flags() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_off_while_training_runs_and_as_before_afterwards(allowed: bool, tmp_path: Path) -> None:
    seen = []

    class Watched(methods()["usgan"]):  # type: ignore[misc]
        def training_step(self, phase, batch, step):
            seen.append(_flags())
            if step == 2:
                raise RuntimeError("stop here")
            return super().training_step(phase, batch, step)

    method = Watched(Problem(64, EXPRESSIONS, (), 0), replace(Watched.presets["tiny"], width=2, batch_size=2))
    was = _flags()
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        torch.backends.cudnn.benchmark = allowed
        before = _flags()
        with pytest.raises(RuntimeError, match="stop here"):
            run(method, tmp_path, steps=8)
        assert _flags() == before
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = was[:2]
        torch.backends.cudnn.benchmark = was[3]
    assert set(seen) == {(False, False, True, False)}


@pytest.mark.parametrize("probed", [True, False])
def test_a_phase_that_is_not_probed_asks_for_no_answers(probed: bool, tmp_path: Path) -> None:
    asked = []

    class Watched(methods()["usgan"]):  # type: ignore[misc]
        def phases(self):
            return tuple(replace(phase, probed=probed) for phase in super().phases())

        def synthesize(self, requests):
            asked.append(len(requests))
            return super().synthesize(requests)

    method = Watched(Problem(64, EXPRESSIONS, (), 0), replace(Watched.presets["tiny"], width=2, batch_size=2))
    run(method, tmp_path, steps=8)
    assert bool(asked) == probed
