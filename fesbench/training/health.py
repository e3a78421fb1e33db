"""What can go wrong in training, noticed while it runs: NaN, divergence, dead discriminators, collapse.

Two kinds of evidence: the logged losses, and probes, where the method makes every label from a few held-out
neutral faces. A collapsed method is still scored, and marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fesbench.methods.batches import RequestBatch

WARM_UP = 10
"""Logged values of a loss before it can be said to diverge or a discriminator to be dead."""
DIVERGED = 1e3
PATIENCE = 10
"""Logged values in a row that a dead discriminator must show."""
LATE = 0.5
"""Share of a phase after which probes count; before, a generator may well not have learned its label yet."""
COLLAPSED = 2000
"""Steps after which one face for everybody counts in any case: a long phase does not mend it."""
DIVERSITY = 0.1
CONDITION = 0.05
PROBES = 2
"""Probes in a row that a collapse must show."""
UNCHANGED = 0.1
"""Outputs are their sources where under no label they lie farther from them than this, in units of how far
the labels' real mean images lie apart."""
UNDERTRAINED = 0.97
"""Share of what a guess costs that a critic's losses on real images must fall below before its phase ends."""
FACES = 0.5
"""Share of the sources' faces that a detector must find again in the outputs when a phase ends."""

GAP = "probability_gap"
CERTAIN = 0.98
CLASSES, UNITS = "critic_class", "critic_unit_error"
"""Losses of a critic's head on real images: cross-entropy; squared error over the targets' own variance."""

FindFaces = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class HealthEvent:
    """Something that a reader of the scores should know.

    Attributes:
        kind: "nan", "divergence", "discriminator-collapse", "discriminator-gap", "mode-collapse",
            "condition-collapse", "identity-collapse", "critic-undertrained", "face-lost".
        step: of the phase, counted from 1.
        message: one plain sentence.
    """

    kind: str
    step: int
    message: str


@dataclass
class HealthMonitor:
    """Watches one training; its state is plain data, so that a resumed run notices the same things.

    Args:
        on_event: called once for each kind and phase, when it is noticed.
    """

    on_event: Callable[[HealthEvent], None] | None = None
    events: list[HealthEvent] = field(default_factory=list)
    phase: str = ""
    early: dict[str, list[float]] = field(default_factory=dict)
    streaks: dict[str, int] = field(default_factory=dict)
    noticed: list[str] = field(default_factory=list)
    latest: dict[str, list[float]] = field(default_factory=dict)

    def start(self, phase: str) -> None:
        """Begin a phase; counts start anew."""
        self.phase, self.early, self.streaks, self.noticed, self.latest = phase, {}, {}, [], {}

    def losses(self, step: int, values: Mapping[str, float]) -> bool:
        """Look at logged losses; false when training must stop because one is not finite."""
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            self._note("nan", step, f"{self.phase}: {', '.join(broken)} is not a number; training stopped")
            return False
        for name, value in values.items():
            self._watch_growth(name, value, step)
            if name in (CLASSES, UNITS, GAP):
                self.latest[name] = [*self.latest.get(name, []), value][-PATIENCE:]
        # Their mean: one batch in ten may well fool a discriminator that is certain of all others.
        gaps = self.latest.get(GAP, [])
        if len(gaps) == PATIENCE and float(np.mean(gaps)) > CERTAIN:
            self._note(
                "discriminator-gap",
                step,
                f"{self.phase}: the discriminator tells real from generated with certainty; the generator "
                "gets no signal, and training does not converge",
            )
        for name, floor in (("critic_gap", 1e-4), (GAP, 1e-3)):
            if name in values:
                self._watch(
                    f"discriminator-collapse:{name}",
                    abs(values[name]) < floor,
                    PATIENCE,
                    step,
                    f"{self.phase}: the discriminator no longer tells real from generated at all",
                )
        return True

    def weights(self, step: int, state: Mapping[str, Tensor]) -> bool:
        """Look at the learned state; false when training must stop because it is not finite."""
        broken = [n for n, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
        if broken:
            self._note("nan", step, f"{self.phase}: {broken[0]} is not a number; training stopped")
        return not broken

    def probe(self, step: int, progress: float, measured: ProbeValues) -> None:
        """Look at what the method makes.

        Args:
            step: of the phase.
            progress: share of the phase that is done.
            measured: from ``Probe.measure``.
        """
        if progress < LATE and step < COLLAPSED:
            return
        self._watch(
            "mode-collapse",
            measured.diversity < DIVERSITY,
            PROBES,
            step,
            f"{self.phase}: outputs for different subjects differ {measured.diversity:.3f} times as much as "
            "their inputs; the generator makes one face",
        )
        if progress < LATE:
            return
        self._watch(
            "condition-collapse",
            measured.condition < CONDITION,
            PROBES,
            step,
            f"{self.phase}: outputs for different labels differ {measured.condition:.3f} times as much as "
            "real expressions do; the generator ignores its label",
        )
        self._watch(
            "identity-collapse",
            measured.change < UNCHANGED,
            PROBES,
            step,
            f"{self.phase}: outputs differ from their sources {measured.change:.3f} times as much as real "
            "expressions do from each other, whatever the label; the generator returns what it was given",
        )

    def end(self, step: int, classes: int, measured: ProbeValues | None) -> None:
        """Look back on a phase that is over.

        Args:
            step: its last.
            classes: that the critic's class head tells apart.
            measured: by the last probe, where there was one.
        """
        for name, guess, head in (
            (CLASSES, math.log(classes) if classes > 1 else math.inf, "tell expressions apart"),
            (UNITS, 1.0, "measure action units"),
        ):
            values = self.latest.get(name, [])
            if len(values) == PATIENCE and np.mean(values) >= UNDERTRAINED * guess:
                self._note(
                    "critic-undertrained",
                    step,
                    f"{self.phase}: on real images {name} ended at {np.mean(values):.3f} and a guess has "
                    f"{guess:.3f}: the critic never learned to {head}, so the generator was told nothing",
                )
        if measured is not None and measured.faces is not None and measured.faces < FACES:
            self._note(
                "face-lost",
                step,
                f"{self.phase}: a detector finds a face in {measured.faces:.0%} of the outputs whose sources "
                "have one",
            )

    def state(self) -> dict[str, Any]:
        """Everything that must survive a restart, as JSON."""
        return {
            "events": [asdict(event) for event in self.events],
            "phase": self.phase,
            "early": self.early,
            "streaks": self.streaks,
            "noticed": self.noticed,
            "latest": self.latest,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take ``state`` back."""
        self.events = [HealthEvent(**event) for event in state["events"]]
        self.phase, self.early = state["phase"], {k: list(v) for k, v in state["early"].items()}
        self.streaks, self.noticed = dict(state["streaks"]), list(state["noticed"])
        self.latest = {k: list(v) for k, v in state["latest"].items()}

    def _watch_growth(self, name: str, value: float, step: int) -> None:
        early = self.early.setdefault(name, [])
        if len(early) < WARM_UP:
            early.append(abs(value))
            return
        usual = max(1.0, float(np.median(early)))
        if abs(value) > DIVERGED * usual:
            self._note(
                "divergence",
                step,
                f"{self.phase}: {name} reached {value:.3g}, over {DIVERGED:g} times its early {usual:.3g}",
            )

    def _watch(self, key: str, bad: bool, patience: int, step: int, message: str) -> None:
        self.streaks[key] = self.streaks.get(key, 0) + 1 if bad else 0
        if self.streaks[key] >= patience:
            self._note(key.partition(":")[0], step, message)

    def _note(self, kind: str, step: int, message: str) -> None:
        if kind in self.noticed:
            return
        self.noticed.append(kind)
        event = HealthEvent(kind, step, message)
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)


@dataclass(frozen=True)
class ProbeValues:
    """What a probe measured.

    Attributes:
        diversity: mean distance between outputs of different subjects under one label, over that of the
        inputs.
        condition: mean distance between outputs of different labels from one subject, over that between the
            mean real images of those labels.
        change: mean distance between outputs and their sources under the label that changes most, in the same
            units.
        faces: share of the outputs in which a detector finds a face, of those whose source has one; None: not
            looked for, or no source has one.
    """

    diversity: float
    condition: float
    change: float
    faces: float | None = None


class Probe:
    """A fixed set of requests: every label from a few neutral faces.

    Args:
        requests: P subjects x K labels, subject by subject.
        subjects: P >= 2.
        real_difference: mean absolute difference between the labels' real mean images, [-1, 1] units.
        unchanged: what a method makes that changes nothing, as ``requests.source``: the sources as they come
            back from the method's own form; None: the sources.
        find_faces: uint8 (N, S, S, 3) -> bool (N,) whether there is a face; None: nobody looks.
    """

    def __init__(
        self,
        requests: RequestBatch,
        subjects: int,
        real_difference: float,
        unchanged: Tensor | None = None,
        find_faces: FindFaces | None = None,
    ) -> None:
        self.requests, self.subjects, self.real_difference = requests, subjects, real_difference
        self.unchanged = requests.source if unchanged is None else unchanged
        self.find_faces = find_faces

    @torch.inference_mode()
    def measure(self, synthesize: Callable[[RequestBatch], Tensor], *, faces: bool = False) -> ProbeValues:
        """Make the images and compare them; pixels that are not finite count as zero.

        Args:
            synthesize: the method.
            faces: look for faces too.
        """
        # A multiple of the subjects, small enough for a laptop at 256 px.
        made = [synthesize(self.requests[start : start + 16]) for start in range(0, len(self.requests), 16)]
        flat = torch.nan_to_num(torch.cat(made))
        images = flat.unflatten(0, (self.subjects, -1))
        inputs = self.requests.source.unflatten(0, (self.subjects, -1))[:, 0]
        moved = (images - self.unchanged.unflatten(0, (self.subjects, -1))).abs()
        outputs_apart = float(np.mean([_spread(images[:, k]) for k in range(images.shape[1])]))
        labels_apart = float(np.mean([_spread(images[p]) for p in range(self.subjects)]))
        unit = max(self.real_difference, 1e-6)
        return ProbeValues(
            diversity=outputs_apart / max(_spread(inputs), 1e-6),
            condition=labels_apart / unit,
            change=float(moved.mean(dim=(0, 2, 3, 4)).max()) / unit,
            faces=self._faces(flat) if faces else None,
        )

    def _faces(self, made: Tensor) -> float | None:
        if self.find_faces is None:
            return None
        before, after = (self.find_faces(_pixels(images)) for images in (self.requests.source, made))
        return float(after[before].mean()) if before.any() else None


def _pixels(images: Tensor) -> np.ndarray:
    """Float (N, 3, H, W) in [-1, 1] -> uint8 (N, H, W, 3)."""
    scaled = ((images.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _spread(images: Tensor) -> float:
    """Mean absolute difference over all pairs of (N, 3, H, W)."""
    count = len(images)
    pairs: Sequence[tuple[int, int]] = [(i, j) for i in range(count) for j in range(i)]
    return float(np.mean([(images[i] - images[j]).abs().mean().item() for i, j in pairs])) if pairs else 0.0
