"""The expression that another subject shows."""

from __future__ import annotations

from typing import ClassVar

from fesbench.protocol.tasks.base import Ask, TaskKind


class Transfer(TaskKind):
    """Another subject's landmarks or action units are granted, and no label."""

    name: ClassVar[str] = "transfer"
    words: ClassVar[str] = "another {one}'s landmarks are granted"
    place: ClassVar[int] = 1

    def driver(self, ask: Ask, who: str, label: str) -> int | None:
        """Never the same subject."""
        found = ask.other_subject(who, label)
        return found if found >= 0 else None
