"""One verdict of the gate, and the rule that makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Status = Literal["improved", "same", "worse", "not comparable", "missing"]
COST = "cost"
"""Stands in place of the task of a cost."""


@dataclass(frozen=True)
class Verdict:
    """What became of one score or cost.

    Attributes:
        old, new: The baseline's score and the run's; None where there is none. Of a speed: its ratio to the
            reference workload.
        change, low, high: new - old with its interval, in the metric's unit; for a cost the relative change.
        tolerance: In the unit of the change.
        reason: Why it could not be judged.
    """

    task: str
    domain: str
    expression: str
    metric: str
    status: Status
    old: float | None
    new: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float = 0.0
    reason: str = ""

    @property
    def name(self) -> str:
        """The metric, with its expression where it is about one."""
        return self.metric if self.expression in ("all", "") else f"{self.metric} [{self.expression}]"

    @property
    def group(self) -> str:
        """Task and domain."""
        return self.task if self.task == COST else f"{self.task}.{self.domain}"


def judged(verdict: Verdict, *, higher_is_better: bool) -> Verdict:
    """Worse or improved where the whole interval of the change lies beyond the tolerance, else the same."""
    if verdict.low is None or verdict.high is None:
        raise ValueError("a verdict needs the interval of the change")
    low, high = (verdict.low, verdict.high) if higher_is_better else (-verdict.high, -verdict.low)
    status: Status = "same"
    if high < -verdict.tolerance:
        status = "worse"
    elif low > verdict.tolerance:
        status = "improved"
    return replace(verdict, status=status)
