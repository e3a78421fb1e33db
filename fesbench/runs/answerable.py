"""Which of a run's requests a method can answer, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fesbench.protocol.tasks import outputs_of
from fesbench.records.record import NotRun

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.methods.base import Method
    from fesbench.methods.card import Need, Problem
    from fesbench.methods.training_set import TrainingSet


def unscored(requests: pd.DataFrame) -> list[NotRun]:
    """The tasks whose answers nothing measures, with the reason."""
    clips = requests[outputs_of(requests) == "clip"]
    groups = dict.fromkeys(clips[["task", "domain"]].itertuples(index=False, name=None))
    reason = "made, not scored: no metric reads clips yet"
    return [NotRun(task=task, domain=domain, reason=reason) for task, domain in groups]


def answerable(
    method: type[Method], problem: Problem, training: TrainingSet, requests: pd.DataFrame
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The requests that a method can answer, and the tasks that it cannot, with the reason."""
    from fesbench.methods.card import applicable, ramps

    refused, keep = [], np.ones(len(requests), dtype=bool)
    for (task, domain, given), group in requests.groupby(["task", "domain", "given"], sort=False):
        along: set[Need] = {"sequences"} if ramps(method.card, task, given) else set()
        lacking = training.lacks(replace(method.card, needs=method.card.needs | along))
        reason = lacking or applicable(method.card, task, given, problem)
        if method.card.answers_with_target and not (group["target"] >= 0).any():
            reason = "no target images"
        if reason:
            keep[group.index.to_numpy()] = False
            refused.append(NotRun(task=task, domain=domain, reason=f"not applicable: {reason}"))
    return requests[keep].reset_index(drop=True), refused
