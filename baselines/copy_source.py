"""Reference row: the source, unchanged; what identity scores look like when nothing is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard


@dataclass(frozen=True)
class CopyHyper:
    """Nothing to set."""


class CopySource(Method):
    """Returns its source."""

    card: ClassVar[MethodCard] = MethodCard(
        id="copy",
        title="copy",
        citation="The source, unchanged",
        year=0,
        needs=frozenset(),
        controls=frozenset(
            {"expression", "transfer", "intensity", "action-unit", "compound", "sequence", "motion-transfer"}
        ),
        reference=True,
        notes="keeps the subject and shows no expression; a clip stands still",
    )
    presets: ClassVar[dict[str, Any]] = {"paper": CopyHyper(), "tiny": CopyHyper()}

    def synthesize(self, requests: RequestBatch) -> Tensor:
        """The sources; clips that stand still."""
        if requests.clip_landmarks is None:
            return requests.source.clone()
        return requests.source[:, None].repeat(1, requests.length, 1, 1, 1)
