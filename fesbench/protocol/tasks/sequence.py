"""A clip: from the neutral image of a subject to an expression, frame by frame."""

from __future__ import annotations

from typing import ClassVar, Literal

from fesbench.protocol.schema import Task
from fesbench.protocol.tasks.base import TaskKind


class Sequence(TaskKind):
    """A word of methods' cards so far: no protocol can ask for it, since synthesis writes images alone."""

    name: ClassVar[str] = "sequence"
    words: ClassVar[str] = "a video"
    place: ClassVar[int] = 5
    outputs: ClassVar[Literal["image", "training image", "clip"]] = "clip"

    def check(self, task: Task) -> None:
        """Refuse every one.

        Raises:
            ValueError: always.
        """
        raise ValueError("task 'sequence' cannot be asked for yet: synthesis writes images, not clips")
