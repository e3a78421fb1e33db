"""Conditional diffusion by action units: `cdiff` with the difference of two faces' action units as
condition, as in MagicFace (arXiv 2501.02260), in place of a label; the file of `cdiff` says the rest.

Choices: no condition is a zero embedding; what a face is not coded for counts as absent.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard
from fesbench.methods.state_import import ConditionAxis

from .cdiff import CDiff


class UnitCondition(nn.Module):
    """A difference of action units -> its embedding; 0 for no condition."""

    def __init__(self, units: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(units, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, condition: Tensor, kept: Tensor) -> Tensor:
        """(N, A) in [-1, 1] and (N, 1) 0 or 1 -> (N, width)."""
        found: Tensor = self.body(condition)
        return found * kept


class CDiffAU(CDiff):
    """Denoises the wanted image beside its source, by how its action units are to change."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cdiff-au",
        title="Conditional diffusion, action units",
        citation="no publication: a baseline of fesbench. As cdiff; the condition after Wei et al. 2025, "
        "arXiv 2501.02260: MagicFace",
        year=2025,
        needs=frozenset({"any-pairs", "action_units"}),
        controls=frozenset({"expression", "action-unit", "intensity", "compound"}),
        notes="no GAN: 50 steps of two network passes make an image; labels become their mean action units",
    )

    def make_condition(self, width: int) -> nn.Module:
        """The embedding of a difference of action units."""
        return UnitCondition(len(self.problem.action_units), width)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The inputs of the condition's first layer."""
        return {
            f"{part}.condition.body.0.weight": ConditionAxis("action_units", axis=1)
            for part in ("network", "average")
        }

    def change(self, batch: PairBatch, same: Tensor) -> Tensor:
        """Target's less source's action units; 0 where the target is its own source."""
        return (batch.target.action_units - batch.source.action_units) * ~same[:, None]

    def wanted(self, requests: RequestBatch) -> Tensor:
        """The requested action units, whose intensity is already in the vector, less the source's."""
        return requests.target_action_units - torch.nan_to_num(requests.source_action_units)
