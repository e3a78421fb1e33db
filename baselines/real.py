"""Reference row: the true target images, what a perfect method would make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard


@dataclass(frozen=True)
class RealHyper:
    """Nothing to set."""


class Real(Method):
    """Never sees a request: synthesis writes the target images of this row itself."""

    card: ClassVar[MethodCard] = MethodCard(
        id="real",
        title="real",
        citation="The true target images",
        year=0,
        needs=frozenset(),
        controls=frozenset(
            {
                "expression",
                "transfer",
                "intensity",
                "action-unit",
                "compound",
                "random",
                "sequence",
                "motion-transfer",
            }
        ),
        reference=True,
        notes="the upper frame of every score",
        answers_with_target=True,
    )
    presets: ClassVar[dict[str, Any]] = {"paper": RealHyper(), "tiny": RealHyper()}

    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Requests never hold the target image, so this cannot be answered from them.

        Raises:
            MethodError: always.
        """
        raise MethodError("the row 'real' is written from the target images; it cannot synthesize any")
