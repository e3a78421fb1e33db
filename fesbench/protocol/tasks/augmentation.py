"""Synthetic images of subjects who train, for a recognizer to train on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import Task
from fesbench.protocol.tasks.base import Ask, TaskKind


class Augmentation(TaskKind):
    """Asks what ``expression`` asks, of every neutral image of subjects who train; no target image."""

    name: ClassVar[str] = "augmentation"
    words: ClassVar[str] = (
        "synthetic images of training {units} are added to the real ones when a recognizer is "
        "trained; it is tested on real images of test {units}. Every recognizer takes the same number of "
        "steps, and half of each batch is added. A gain below that of the controls is no gain"
    )
    place: ClassVar[int] = 9
    control: ClassVar[str] = "expression"
    outputs: ClassVar[Literal["image", "training image", "clip"]] = "training image"
    every: ClassVar[bool] = True
    numbered: ClassVar[bool] = True

    def slips(self, task: Task, rules: Protocol) -> Iterator[tuple[str, str]]:
        """Only the domain "in" has subjects who train."""
        if set(task.domains) != {"in"}:
            yield ".domains", 'subjects who train are in the domain "in" alone'
        yield from super().slips(task, rules)

    def pairs(self, ask: Ask, who: str, label: str, level: float) -> Iterator[tuple[int, int, int, int]]:
        """Every neutral image is a source."""
        if ask.sequences:
            starts = ask.index.rows.get((who, "neutral", ask.domain), [])
            yield from ((n, int(ask.index.take[row]), row, -1) for n, row in enumerate(starts))
        else:
            for number, take, source, _ in super().pairs(ask, who, label, level):
                yield number, take, source, -1

    def described(self, task: Task, rules: Protocol) -> str:
        """How many for each real one."""
        more = f"; {', '.join(map(str, task.factors))} synthetic images for each real one"
        return super().described(task, rules) + more
