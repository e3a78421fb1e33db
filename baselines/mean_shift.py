"""Reference row: the source plus the mean difference image of the label; the simplest thing that learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis

if TYPE_CHECKING:
    from fesbench.methods.training_set import TrainingSet

_CHUNK = 64


@dataclass(frozen=True)
class MeanShiftHyper:
    """Nothing to set."""


class MeanShift(Method):
    """Adds the mean of (expressive - neutral) over the training pairs of a label."""

    shift: Tensor

    card: ClassVar[MethodCard] = MethodCard(
        id="mean-shift",
        title="mean-shift",
        citation="The source plus the label's mean difference image",
        year=0,
        needs=frozenset({"pairs", "neutral", "labels"}),
        controls=frozenset({"expression", "intensity", "compound"}),
        reference=True,
        notes="intensity scales the difference; a compound takes the mean of its two",
    )
    presets: ClassVar[dict[str, Any]] = {"paper": MeanShiftHyper(), "tiny": MeanShiftHyper()}

    def build(self) -> None:
        """Reserve the differences: (labels, 3, H, W) in [-1, 1] pixel units."""
        size = self.problem.size
        self.register_buffer("shift", torch.zeros(len(self.problem.labels), 3, size, size))

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """One difference image a label."""
        return {"shift": ConditionAxis("labels", axis=0)}

    def phases(self) -> tuple[Phase, ...]:
        """One closed-form phase."""
        return (Phase("mean", "pair", 1, paper_steps=1, smoke_steps=1, closed_form=True),)

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Average every label's differences, a few pairs at a time; a label without pairs stays zero."""
        for label in range(len(self.problem.labels)):
            source, target = view.all_pairs(label)
            total = np.zeros(source.shape[1:], dtype=np.float64)
            for start in range(0, len(source), _CHUNK):
                part = slice(start, start + _CHUNK)
                total += (target[part].astype(np.int64) - source[part]).sum(axis=0)
            if len(source):
                mean = torch.from_numpy(total / len(source) / 127.5)
                self.shift[label] = mean.permute(2, 0, 1).to(self.shift)

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Shifted sources, clamped."""
        shift = self.shift[requests.target_label]
        second = requests.second_label
        mixed = (shift + self.shift[second.clamp(min=0)]) / 2
        shift = torch.where((second >= 0)[:, None, None, None], mixed, shift)
        return (requests.source + requests.intensity[:, None, None, None] * shift).clamp(-1, 1)
