"""Images of an expression out of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import Task
from fesbench.protocol.tasks.base import Ask, MetricFacts, Row, TaskKind


class Random(TaskKind):
    """A label is granted; there is no source and no subject to keep."""

    name: ClassVar[str] = "random"
    words: ClassVar[str] = "images of an expression out of nothing: no source, no subject to keep"
    place: ClassVar[int] = 7
    numbered: ClassVar[bool] = True
    has_source: ClassVar[bool] = False

    def slips(self, task: Task, rules: Protocol) -> Iterator[tuple[str, str]]:
        """Nothing but a label can be granted."""
        if task.given != self.given:
            yield ".given", "what is drawn at random has no driver; leave out given"
        yield from super().slips(task, rules)

    def rows(self, ask: Ask) -> Iterator[Row]:
        """The target images are test images of that label, whoever shows it."""
        index = ask.index
        for label in ask.task.labels:
            rows = [row for who in index.people for row in index.rows.get((who, label, ask.domain), [])]
            chosen = index.in_hash_order(rows)
            for number, target in enumerate(chosen[: ask.samples] if ask.samples else chosen):
                who = str(index.table["identity"].iloc[target])
                yield self.row(ask, who=who, what=label, number=number, source=-1, target=target)

    def measures(self, metric: MetricFacts) -> bool:
        """A random image has no source, no target image and no subject."""
        return super().measures(metric) and not set(metric.needs) & {"target", "source", "gallery"}
