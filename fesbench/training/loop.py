"""The training loop: phases, batches by counter, checkpoints, resume, losses and health.

A run that was killed and resumes gives, to the bit, the weights of one that was not (on one machine, except
under ``minutes=``): batches and random draws are functions of (seed, phase, step), and networks, optimizers
and counters are saved in one file. That file is replaced at probes only, where everything is consistent.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fesbench.errors import MethodError
from fesbench.methods.precision import exact_float32
from fesbench.methods.sampling import derive_seed
from fesbench.training.health import FindFaces, HealthEvent, Probe
from fesbench.training.probing import make_probe
from fesbench.training.state import TrainingState
from fesbench.training.validation_log import Validate

if TYPE_CHECKING:
    from fesbench.methods.base import Method
    from fesbench.methods.card import Phase
    from fesbench.methods.training_set import TrainingSet

PROGRESS_SECONDS = 0.25


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands: phase, steps done of its steps, the latest logged losses, seconds left."""

    phase: str
    step: int
    steps: int
    losses: dict[str, float]
    seconds_left: float | None


@dataclass
class TrainingResult:
    """What training did.

    Attributes:
        seconds: of work, over all tries.
        steps: by phase.
        losses: "phase/name" -> first, last, min, max of the logged values.
        health: everything that was noticed.
        validation_seconds: of looks at it, beside the others.
    """

    seconds: float
    steps: dict[str, int]
    losses: dict[str, dict[str, float]]
    health: list[HealthEvent] = field(default_factory=list)
    validation_seconds: float = 0.0


def train(
    method: Method,
    view: TrainingSet,
    *,
    validation: TrainingSet | None = None,
    steps: Mapping[str, int],
    minutes: float | None = None,
    folder: Path,
    seed: int,
    device: str = "auto",
    precision: str = "auto",
    inputs: str = "",
    note: Mapping[str, str] | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_health: Callable[[HealthEvent], None] | None = None,
    find_faces: FindFaces | None = None,
    validate: Validate | None = None,
    save_seconds: float = 20.0,
) -> TrainingResult:
    """Train every phase, or resume an earlier try; leaves ``checkpoint.safetensors``.

    Args:
        method: freshly built.
        view: the training subset.
        validation: whose neutral faces the health probes use; default: the training subset's.
        steps: by phase name.
        minutes: stop by the clock instead, each phase with its share of ``steps``; not repeatable.
        folder: for checkpoint, training state and losses.csv.
        seed: of batches and draws.
        device: "auto", "cpu" or "cuda".
        precision: "auto" (float32, as published), "fp32" or "bf16".
        inputs: hash of what training depends on; a state of another one is not resumed.
        note: written into the checkpoint's header.
        on_progress: called at most four times a second, and at the end of each phase.
        on_health: called when something is noticed.
        find_faces: says of images, uint8 (N, S, S, 3), which have a face; asked when a phase ends.
        validate: scores the method as it stands, for validation.csv; no weights are chosen by it.
        save_seconds: at least so long between two saved states.

    Raises:
        MethodError: the data lacks what the method needs, or a phase has no steps.
        DataError: the disk is full or the folder not writable.
        RecordError: the state is damaged or a pickle.
        WeightsError: those of a helper network cannot be had.
    """
    lacking = view.lacks(method.card)
    if lacking:
        raise MethodError(f"'{method.card.id}' is not applicable: {lacking}")
    for name in method.helpers.names:
        method.helper(name)
    missing = [phase.name for phase in method.phases() if steps.get(phase.name, 0) < 1]
    if missing:
        raise MethodError(f"'{method.card.id}': no training steps for phase {', '.join(missing)}")
    run = _Training(method, view, validation or view, dict(steps), minutes, Path(folder), seed)
    run.inputs, run.save_seconds, run.note = inputs, save_seconds, note or {}
    run.on_progress, run.health.on_event, run.find_faces = on_progress, on_health, find_faces
    run.points.validate = validate
    run.prepare_device(device, precision)
    with exact_float32():
        return run.run()


class _Training(TrainingState):
    on_progress: Callable[[TrainingProgress], None] | None = None
    find_faces: FindFaces | None = None

    def run(self) -> TrainingResult:
        """Everything from the state that is there to the finished checkpoint."""
        self.resume()
        self.method.train()
        with self._deferred_interrupts():
            while not self.done:
                phase = self.phases[self.phase_index] if self.phase_index < len(self.phases) else None
                if phase is None:
                    break
                self._run_phase(phase)
                self.done_steps[phase.name] = self.step
                self.phase_index, self.step, self.optimizers = self.phase_index + 1, 0, {}
                self.phase_before = 0.0
                if any(event.kind == "nan" for event in self.health.events):
                    break
                if self.phase_index < len(self.phases):
                    self.save()
                self._heed_interrupt()
            if not self.done:
                self.finish()
            self._heed_interrupt()
        return TrainingResult(
            self.seconds(), self.done_steps, self.log.summary, self.health.events, self.points.seconds
        )

    def _run_phase(self, phase: Phase) -> None:
        if phase.closed_form:
            self._report(phase, 1, force=True)
            self.method.fit(phase, self.view)
            self.step = 1
            self._validate(phase)
            return
        if not self.optimizers:
            self._start_phase(phase)
        total = self.steps[phase.name]
        probe = None
        if phase.probed:
            device = self.accelerator.device
            probe = make_probe(self.method, self.view, self.held_out, device, self.find_faces)
        every = max(1, min(500, total // 10))
        self.phase_started = time.monotonic()
        while self.step < total and self._progress(phase) < 1:
            self._one_step(phase)
            last = self.step == total
            sound = self._log(phase) if self.step % _log_every(total) == 0 or last else True
            if sound:
                self._validate(phase)
            if sound and (self.step % every == 0 or last):
                sound = self._look(phase, probe)
            if not sound:
                self.method.load_state_dict(self.good)
                return
            self._report(phase, total, force=last)
            if not last:
                self._heed_interrupt()
        measured = probe.measure(self.method.answer, faces=True) if probe is not None else None
        self.health.end(self.step, self.method.classes, measured)

    def _look(self, phase: Phase, probe: Probe | None) -> bool:
        """Probe the method and keep its weights as the last good ones; false when they are not finite."""
        state = {k: v.detach().clone() for k, v in self.method.state_dict().items()}
        if not self.health.weights(self.step, state):
            return False
        if probe is not None:
            self.health.probe(self.step, self._progress(phase), probe.measure(self.method.answer))
        self.good = state
        if time.monotonic() - self.saved_at >= self.save_seconds:
            self.save()
        return True

    def _start_phase(self, phase: Phase) -> None:
        self.optimizers = self.method.optimizers(phase)
        self.base_rates = {n: [g["lr"] for g in o.param_groups] for n, o in self.optimizers.items()}
        self.method.bind(self.optimizers, self.accelerator.backward)
        self.health.start(phase.name)
        self.good = {k: v.detach().clone() for k, v in self.method.state_dict().items()}

    def _one_step(self, phase: Phase) -> None:
        factor = phase.learning_rate(self.step, self._progress(phase))
        for name, optimizer in self.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = rate * factor
        batch = self.view.step_batch(
            phase, self.step, derive_seed(self.seed, phase.name), needs=self.method.card.needs
        ).to(self.accelerator.device)
        batch = self.method.natively(batch)
        # A step that is broken off leaves networks that no uninterrupted run ever has; they are not saved.
        self.in_step = True
        drawing = _drawing(derive_seed(self.seed, phase.name, self.step), self.accelerator.device)
        with drawing, self.accelerator.autocast():
            losses = self.method.training_step(phase, batch, self.step)
        self.log.remember(losses)
        self.step += 1
        self.in_step = False

    def _validate(self, phase: Phase) -> None:
        """Make a point where one is due; one that is broken off is made anew by who resumes."""
        within = 1.0 if phase.closed_form else min(1.0, self._progress(phase))
        before = sum(self.steps[earlier.name] for earlier in self.phases[: self.phase_index])
        share = (before + within * self.steps[phase.name]) / sum(self.steps[p.name] for p in self.phases)
        if not self.points.due(share, self.seconds()):
            return
        self.in_step = True
        with _drawing(self.seed, self.accelerator.device):
            spent = self.points.look(phase.name, self.step, share)
        self.method.train()
        self.started, self.phase_started = self.started + spent, self.phase_started + spent
        self.in_step = False

    def _heed_interrupt(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def _log(self, phase: Phase) -> bool:
        return self.health.losses(self.step, self.log.write(phase.name, self.step))

    def _progress(self, phase: Phase) -> float:
        if self.minutes is None:
            return self.step / self.steps[phase.name]
        iterative = sum(self.steps[p.name] for p in self.phases if not p.closed_form)
        limit = 60 * self.minutes * self.steps[phase.name] / iterative
        return (self.phase_before + time.monotonic() - self.phase_started) / limit

    def _report(self, phase: Phase, total: int, *, force: bool = False) -> None:
        now = time.monotonic()
        if self.on_progress is None or (now - self.shown_at < PROGRESS_SECONDS and not force):
            return
        self.shown_at = now
        share = max(self._progress(phase), 1e-9) if not phase.closed_form else 1.0
        spent = self.phase_before + now - self.phase_started
        left = spent * (1 - share) / share if self.step > 1 and not phase.closed_form else None
        self.on_progress(TrainingProgress(phase.name, self.step, total, dict(self.log.shown), left))

    @contextmanager
    def _deferred_interrupts(self) -> Iterator[None]:
        """Ctrl-C lets the running step finish, saves, then interrupts; a second one does not wait."""

        def note(number: int, frame: object) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        ours = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, note) if ours else None
        try:
            yield
        except KeyboardInterrupt:
            if self.optimizers and not self.in_step:
                self.save()
            raise
        finally:
            if ours:
                signal.signal(signal.SIGINT, before)
            self.log.close()
            self.points.close()


def _log_every(steps: int) -> int:
    """Losses are read (and the device waited for) at every so many steps only."""
    return max(5, min(50, steps // 60))


@contextmanager
def _drawing(seed: int, device: torch.device) -> Iterator[None]:
    """Random draws of the block follow ``seed`` and leave the global generators as they were."""
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
