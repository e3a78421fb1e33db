"""Every image of each subject is answered, and asked who it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from fesbench.protocol.tasks.base import GALLERY_TAKE, Ask, MetricFacts, TaskKind


class IdentityVerification(TaskKind):
    """Asks what ``expression`` asks, in every take but the gallery's."""

    name: ClassVar[str] = "identity-verification"
    words: ClassVar[str] = "every image of each test {one} is answered, and asked who it shows"
    place: ClassVar[int] = 8
    control: ClassVar[str] = "expression"
    every: ClassVar[bool] = True
    numbered: ClassVar[bool] = True

    def takes(self, ask: Ask) -> Iterable[int]:
        """Not the take that the gallery's images are from."""
        return (take for take in super().takes(ask) if take != GALLERY_TAKE)

    def measures(self, metric: MetricFacts) -> bool:
        """Who it is, and nothing else."""
        return "gallery" in metric.needs
