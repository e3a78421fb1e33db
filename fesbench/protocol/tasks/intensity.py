"""Each expression at several levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fesbench.protocol.schema import LEVELS, Task
from fesbench.protocol.tasks.base import Ask, Row, TaskKind


class Intensity(TaskKind):
    """A label and a level are granted."""

    name: ClassVar[str] = "intensity"
    words: ClassVar[str] = "each expression at several levels, scored together"
    place: ClassVar[int] = 2
    defaults: ClassVar[Mapping[str, Any]] = {"levels": LEVELS}
    one_label: ClassVar[bool] = False

    def pairs(self, ask: Ask, who: str, label: str, level: float) -> Iterator[tuple[int, int, int, int]]:
        """The peak of a sequence is no target image for half of it."""
        for number, take, source, target in super().pairs(ask, who, label, level):
            fits = not ask.sequences or abs(ask.index.intensity[target] - level) < 1e-6
            yield number, take, source, target if fits else -1

    def complete(self, task: Task, shown: Sequence[Row]) -> bool:
        """Where a level has no target image, no level has: all are asked."""
        return not set(task.levels) - {row["intensity"] for row in shown}
