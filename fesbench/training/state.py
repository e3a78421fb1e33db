"""Where a training stands, and its way to disk and back.

Networks, optimizers and counters are saved in one file, replaced at once. A state of other inputs is not
resumed; one that is damaged is named.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fesbench.errors import RecordError, UsageError
from fesbench.training.checkpoints import (
    CHECKPOINT,
    STATE,
    flatten_extra,
    flatten_optimizers,
    load_tensors,
    put_state,
    restore_extra,
    restore_optimizers,
    save_checkpoint,
    save_tensors,
)
from fesbench.training.health import HealthMonitor
from fesbench.training.loss_log import LossLog
from fesbench.training.validation_log import NAME, ValidationLog

if TYPE_CHECKING:
    from fesbench.methods.base import Method
    from fesbench.methods.training_set import TrainingSet


class TrainingState:
    """Everything a training has to remember between two steps, and the device it runs on."""

    inputs: str = ""
    save_seconds: float = 20.0
    note: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        method: Method,
        view: TrainingSet,
        held_out: TrainingSet,
        steps: dict[str, int],
        minutes: float | None,
        folder: Path,
        seed: int,
    ) -> None:
        self.method, self.view, self.held_out = method, view, held_out
        self.steps, self.minutes, self.folder, self.seed = steps, minutes, folder, seed
        self.phases = method.phases()
        self.phase_index, self.step, self.done = 0, 0, False
        self.done_steps: dict[str, int] = {}
        self.seconds_before, self.phase_before, self.started = 0.0, 0.0, time.monotonic()
        self.saved_at = self.shown_at = self.phase_started = self.started
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.base_rates: dict[str, list[float]] = {}
        self.log = LossLog(folder / "losses.csv")
        self.points = ValidationLog(folder / NAME, sum(steps.values()))
        self.health = HealthMonitor()
        self.good: dict[str, Tensor] = {}
        self.interrupted = self.in_step = False

    def prepare_device(self, device: str, precision: str) -> None:
        """Place the method; accelerate gives device, autocast and the backward pass."""
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        kinds = {"auto": "no", "fp32": "no", "bf16": "bf16"}
        if precision not in kinds or device not in ("auto", "cpu", "cuda"):
            raise UsageError(
                f"device '{device}' or precision '{precision}' unknown; try auto, cpu, cuda; fp32, bf16"
            )
        if device == "cuda" and not torch.cuda.is_available():
            raise UsageError("device 'cuda' asked for, and torch finds no CUDA device; use --device cpu")
        # A process may train one method on the CPU and the next on a GPU; accelerate keeps the first choice.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=kinds[precision])
        self.method.to(self.accelerator.device)

    def seconds(self) -> float:
        """Seconds of work so far, over all tries."""
        return self.seconds_before + time.monotonic() - self.started

    def save(self) -> None:
        """Replace the training state; the losses it speaks of are on disk before it is."""
        tensors, rest = flatten_optimizers(self.optimizers)
        tensors |= {f"method/{name}": value for name, value in self.method.state_dict().items()}
        beyond, values = flatten_extra(self.method)
        note = self._note() | {"optimizers": rest, "extra": values}
        save_tensors(self.folder / STATE, tensors | beyond, note)
        self.saved_at = time.monotonic()

    def _note(self) -> dict[str, Any]:
        spent = time.monotonic() - self.phase_started if self.optimizers else 0.0
        return {
            "method": self.method.card.id,
            "inputs": self.inputs,
            "steps": self.steps,
            "seed": self.seed,
            "phase": self.phase_index,
            "step": self.step,
            "done": self.done,
            "done_steps": self.done_steps,
            "seconds": self.seconds(),
            "phase_seconds": self.phase_before + spent,
            "rates": self.base_rates,
            "log": self.log.state(),
            "validation": self.points.state(),
            "health": self.health.state(),
        }

    def finish(self) -> None:
        """First the checkpoint, then a state without tensors that says it is whole."""
        problem = self.method.problem
        note = {
            **self.note,
            "size": problem.size,
            "labels": list(problem.labels),
            "action_units": list(problem.action_units),
        }
        save_checkpoint(self.method, self.folder / CHECKPOINT, note)
        self.done, self.optimizers = True, {}
        save_tensors(self.folder / STATE, {}, self._note())

    def resume(self) -> None:
        """Resume from the state on disk if it is of this method, inputs, steps and seed; else start anew.

        Raises:
            RecordError: the state is damaged or a pickle.
        """
        path = self.folder / STATE
        if not path.exists():
            self._open_logs(None)
            return
        tensors, note = load_tensors(path)
        fits = (note.get("method"), note.get("inputs"), note.get("steps"), note.get("seed"))
        whole = not note.get("done") or (self.folder / CHECKPOINT).exists()
        if fits != (self.method.card.id, self.inputs, self.steps, self.seed) or not whole:
            self._open_logs(None)
            return
        try:
            self._restore(tensors, note)
        except (KeyError, ValueError) as error:
            raise RecordError(f"{path} is damaged ({error!r}); delete it and train again") from None

    def _open_logs(self, note: Mapping[str, Any] | None) -> None:
        self.log.open(note and note["log"])
        self.points.open(note and note["validation"])

    def _restore(self, tensors: dict[str, Tensor], note: dict[str, Any]) -> None:
        self._open_logs(note)
        self.health.restore(note["health"])
        self.done, self.done_steps = note["done"], dict(note["done_steps"])
        self.seconds_before, self.phase_before = note["seconds"], note["phase_seconds"]
        self.phase_index, self.step = note["phase"], note["step"]
        if self.done:
            put_state(self.method, load_tensors(self.folder / CHECKPOINT)[0], self.folder / CHECKPOINT)
            return
        mine = {n.removeprefix("method/"): t for n, t in tensors.items() if n.startswith("method/")}
        put_state(self.method, mine, self.folder / STATE)
        restore_extra(self.method, tensors, note["extra"], self.accelerator.device)
        if not note["optimizers"]:
            return
        phase = self.phases[self.phase_index]
        self.optimizers = self.method.optimizers(phase)
        self.base_rates = note["rates"]
        restore_optimizers(self.optimizers, tensors, note["optimizers"])
        self.method.bind(self.optimizers, self.accelerator.backward)
        self.good = {k: v.detach().clone() for k, v in self.method.state_dict().items()}
