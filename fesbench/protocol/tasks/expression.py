"""From the neutral image of a subject to each expression."""

from __future__ import annotations

from typing import ClassVar

from fesbench.protocol.tasks.base import TaskKind


class Expression(TaskKind):
    """A label is granted, nothing else."""

    name: ClassVar[str] = "expression"
    words: ClassVar[str] = "from the neutral image of a test {one} to each expression"
    place: ClassVar[int] = 0
