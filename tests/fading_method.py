"""A method that makes clips: it fades from the source to black."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard
from tests.tiny_method import ShadeHyper


class Fading(Method):
    """Submission images with the source."""

    card: ClassVar[MethodCard] = MethodCard(
        id="fading",
        title="Fading",
        citation="tests",
        year=2030,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "sequence"}),
    )
    presets: ClassVar[dict[str, Any]] = {"paper": ShadeHyper(), "tiny": ShadeHyper()}

    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Frame t of T has (1 - t / (T - 1)) of the source's light."""
        if requests.length == 1:
            return requests.source
        light = torch.linspace(1, 0, requests.length)[:, None, None, None]
        return (requests.source[:, None] + 1) * light - 1
