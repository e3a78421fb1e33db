"""Which of a run's requests a method can answer, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import MethodError
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


def unbuildable(method: type[Method], problem: Problem, hyper: Any) -> str:
    """Why a method cannot be built for a problem, which is to say for its image size; "" where it can.

    It is tried without memory, so that it costs nothing to ask before a judge is trained. A method that reads
    a number of its own while it is built cannot be tried that way; it says so when its cell is run.
    """
    import torch

    try:
        with torch.device("meta"):
            method(problem, hyper)
    except MethodError as error:
        return str(error)
    except (RuntimeError, NotImplementedError):
        return ""
    return ""


def refused_whole(requests: pd.DataFrame, reason: str) -> tuple[pd.DataFrame, list[NotRun]]:
    """No request, and every task as not applicable."""
    groups = dict.fromkeys(requests[["task", "domain"]].itertuples(index=False, name=None))
    told = f"not applicable: {reason}"
    return requests.iloc[:0], [NotRun(task=task, domain=domain, reason=told) for task, domain in groups]


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
