"""A clip that moves as another subject's does."""

from __future__ import annotations

from typing import ClassVar

from fesbench.protocol.tasks.base import Ask
from fesbench.protocol.tasks.sequence import Sequence


class MotionTransfer(Sequence):
    """Another subject's clip is granted, and no label."""

    name: ClassVar[str] = "motion-transfer"
    words: ClassVar[str] = "another {one}'s clip is granted, and a clip that moves alike is asked for"
    place: ClassVar[int] = 6
    given: ClassVar[str] = "driver"
    grants: ClassVar[tuple[str, ...]] = ("driver",)

    def driver(self, ask: Ask, who: str, label: str) -> int | None:
        """The peak of the other subject's clip; never the same subject."""
        found = ask.other_subject(who, label)
        return found if found >= 0 else None
