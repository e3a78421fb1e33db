"""A method of one number, fitted in no time; for tests of what a run does around a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase


@dataclass(frozen=True)
class ShadeHyper:
    """Nothing to set."""


class Shade(Method):
    """Adds one learned number to its source."""

    card: ClassVar[MethodCard] = MethodCard(
        id="shade",
        title="Shade",
        citation="tests",
        year=2030,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression"}),
    )
    presets: ClassVar[dict[str, Any]] = {"paper": ShadeHyper(), "tiny": ShadeHyper()}

    def build(self) -> None:
        """One number, and one that only training would need."""
        self.register_buffer("shift", torch.zeros(1))

    def phases(self) -> tuple[Phase, ...]:
        """One, in closed form."""
        return (Phase("fit", "image", 1, 1, paper_steps=1, closed_form=True),)

    def fit(self, phase: Phase, view: Any) -> None:
        """The number that is learned."""
        self.shift.fill_(0.125)

    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Lighter or darker sources."""
        return (requests.source + self.shift).clamp(-1, 1)
