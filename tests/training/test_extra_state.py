"""Training state beyond weights survives a kill: an image pool, counters, a moving average, a freeze."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard, Phase, Problem
from fesbench.training.checkpoints import CHECKPOINT, STATE, load_checkpoint, load_tensors
from fesbench.vocabulary import EXPRESSIONS
from tests.training.test_training import rows, run, step_on_disk

STEPS = 40
PROBLEM = Problem(64, EXPRESSIONS, (6, 12), 0)
KILLED = """
import sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from tests.training import test_extra_state as here
method = here.Pooled(here.PROBLEM, None)
here.run(method, here.Path({folder!r}), steps=here.STEPS, on_progress=lambda p: time.sleep(0.02))
"""


class Pooled(Method):
    """Learns on images out of a pool, synthesizes with averaged weights, freezes its first layer midway."""

    card: ClassVar = MethodCard("pooled", "", "", 2000, frozenset({"labels"}), frozenset({"expression"}))
    presets: ClassVar[dict[str, Any]] = {"paper": None, "tiny": None}

    def build(self) -> None:
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
        for name, value in self.body.state_dict().items():
            self.register_buffer("average_" + name.replace(".", "_"), value.clone())
        self.pool, self.seen, self.slow = torch.empty(0, 3, 64, 64), 0, 0.0
        self.freezes: list[int] = []

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("only", "image", 2, paper_steps=STEPS, smoke_steps=STEPS),)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        return {"it": torch.optim.Adam(self.body.parameters(), 1e-3)}

    def training_step(self, phase, batch, step):
        self.pool = torch.cat([self.pool, batch.image])[-6:]
        self.seen += len(batch)
        if self.slow > 0.25 and not self.freezes:
            self.freezes = [self.seen]
        drawn = self.pool[torch.randint(len(self.pool), (2,))]
        self.body[0].requires_grad_(not self.freezes)
        loss = (self.body(drawn) - drawn).square().mean()
        self.descend("it", loss)
        self.slow += 0.1 * (float(loss.detach()) - self.slow) + 0.02
        for name, value in self.body.state_dict().items():
            kept = getattr(self, "average_" + name.replace(".", "_"))
            kept.copy_(0.9 * kept + 0.1 * value)
        return {"loss": loss.detach(), "seen": torch.tensor(float(self.seen))}

    def extra_state(self) -> dict[str, Any]:
        return {"pool": self.pool, "seen": self.seen, "slow": self.slow, "freezes": self.freezes}

    def load_extra_state(self, state) -> None:
        self.pool, self.seen, self.slow = state["pool"], state["seen"], state["slow"]
        self.freezes = state["freezes"]

    def synthesize(self, requests):
        state = {k: getattr(self, "average_" + k.replace(".", "_")) for k in self.body.state_dict()}
        return torch.func.functional_call(self.body, state, (requests.source,)).detach().clamp(-1, 1)


def test_a_killed_run_resumes_pool_counters_average_and_freeze_to_the_bit(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code = KILLED.format(root=str(Path(__file__).parents[2]), folder=str(killed))
    child = subprocess.Popen([sys.executable, "-c", code])
    expected = Pooled(PROBLEM, None)
    run(expected, whole, steps=STEPS)
    until = time.monotonic() + 60
    while step_on_disk(killed) < 8 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert 8 <= step_on_disk(killed) < STEPS

    found = Pooled(PROBLEM, None)
    run(found, killed, steps=STEPS)
    assert (whole / CHECKPOINT).read_bytes() == (killed / CHECKPOINT).read_bytes()
    assert rows(whole) == rows(killed)
    assert torch.equal(found.pool, expected.pool)
    assert (found.seen, found.slow, found.freezes) == (expected.seen, expected.slow, expected.freezes)
    assert 8 < found.freezes[0] < 2 * STEPS, "else nothing was frozen within the run"


def test_only_what_synthesis_needs_is_in_the_checkpoint(tmp_path: Path) -> None:
    method = Pooled(PROBLEM, None)
    seen: list[dict[str, torch.Tensor]] = []
    run(method, tmp_path, steps=4, on_progress=lambda p: seen.append(load_tensors(tmp_path / STATE)[0]))
    names = set(load_tensors(tmp_path / CHECKPOINT)[0])
    assert names == set(method.state_dict())
    assert "average_0_weight" in names
    assert any("extra/pool" in state for state in seen)
    again = Pooled(PROBLEM, None)
    load_checkpoint(again, tmp_path / CHECKPOINT)
    assert again.seen == 0


@pytest.mark.parametrize("odd", [(1, 2), {1: 2}, object(), {"a": torch.zeros(1)}])
def test_a_value_that_would_come_back_changed_is_named(odd: object, tmp_path: Path) -> None:
    class Odd(Pooled):
        def extra_state(self):
            return {"odd": odd}

    with pytest.raises(MethodError, match="'pooled': extra_state 'odd' is neither a tensor nor plain JSON"):
        run(Odd(PROBLEM, None), tmp_path, steps=4)
