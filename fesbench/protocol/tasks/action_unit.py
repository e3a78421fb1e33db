"""One action unit at a time is set to each level; the others stay as the source has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import LEVELS, Task
from fesbench.protocol.tasks.base import Ask, MetricFacts, Row, TaskKind


class ActionUnit(TaskKind):
    """Action units are granted: the source's own, but for the one that is asked for. There is no label and no
    target image.
    """

    name: ClassVar[str] = "action-unit"
    words: ClassVar[str] = (
        "one action unit at a time is set to each level, the others stay as the source has them; "
        "there is no target image, so distances are to the sources and say how far they were left"
    )
    place: ClassVar[int] = 3
    given: ClassVar[str] = "action_units"
    defaults: ClassVar[Mapping[str, Any]] = {"levels": LEVELS}
    by_label: ClassVar[bool] = False
    one_label: ClassVar[bool] = False
    by_unit: ClassVar[bool] = True

    def check(self, task: Task) -> None:
        """Refuse another grant.

        Raises:
            ValueError: see `TaskKind.check`.
        """
        super().check(task)
        if task.given != self.given:
            raise ValueError("task 'action-unit' grants action units: leave out given")

    def asked(self, task: Task) -> set[str]:
        """Units, not labels."""
        return {f"AU{unit}" for unit in task.action_units}

    def rows(self, ask: Ask) -> Iterator[Row]:
        """Of the units that the training rows code; under ``samples`` of as many sources."""
        index = ask.index
        units = [unit for unit in ask.task.action_units if unit in ask.coded]
        found = {who: index.source(who, ask.domain, take=0) for who in index.people}
        sources = [row for row in found.values() if row >= 0]
        if ask.samples and len(sources) > ask.samples:
            kept = set(index.in_hash_order(sources)[: ask.samples])
            found = {who: row for who, row in found.items() if row in kept}
        for who, source in found.items():
            for unit in units if source >= 0 else ():
                for level in ask.task.levels:
                    yield self.row(ask, who=who, what=f"AU{unit}", source=source, unit=unit, level=level)

    def measures(self, metric: MetricFacts) -> bool:
        """There is no expression to recognize."""
        return super().measures(metric) and metric.extractor != "judge"

    def described(self, task: Task, rules: Protocol) -> str:
        """Which units."""
        return f"; AU{', AU'.join(map(str, task.action_units))}, those that the data codes"
