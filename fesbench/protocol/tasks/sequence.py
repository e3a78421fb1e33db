"""A clip: from the neutral image of a subject to an expression, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import Task
from fesbench.protocol.tasks.base import Ask, Row, TaskKind


class Sequence(TaskKind):
    """A label and the number of frames are granted; the target is the image of the peak."""

    name: ClassVar[str] = "sequence"
    words: ClassVar[str] = "a clip from the neutral image of a test {one} to each expression"
    place: ClassVar[int] = 5
    grants: ClassVar[tuple[str, ...]] = ("label",)
    outputs: ClassVar[Literal["image", "training image", "clip"]] = "clip"
    columns: ClassVar[Mapping[str, Any]] = {"length": 1}

    def check(self, task: Task) -> None:
        """Refuse a clip of one frame.

        Raises:
            ValueError: see `TaskKind.check`.
        """
        super().check(task)
        if task.length < 2 or task.standard_length == 1:
            raise ValueError(f"task '{self.name}' needs a length of at least two frames")

    def rows(self, ask: Ask) -> Iterator[Row]:
        """What ``expression`` asks, with the number of frames."""
        length = ask.task.length if ask.smoke else ask.task.standard_length or ask.task.length
        return ({**row, "length": length} for row in super().rows(ask))

    def files(self, request: str, length: int) -> tuple[str, ...]:
        """One file a frame, in a folder of the clip's own."""
        return tuple(f"clips/{request}/{frame:04d}.png" for frame in range(length))

    def described(self, task: Task, rules: Protocol) -> str:
        """How many frames."""
        longer = f", {task.standard_length} from budget standard up" if task.standard_length else ""
        return f"{super().described(task, rules)}; {task.length} frames{longer}"
