"""Which of a run's requests a method can answer, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import MethodError
from fesbench.methods.clips import clip_rows
from fesbench.metrics.selection import metrics_of, protocol_metrics
from fesbench.protocol.tasks import outputs_of
from fesbench.records.record import NotRun

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.base import Method
    from fesbench.methods.card import Need, Problem
    from fesbench.methods.training_set import TrainingSet
    from fesbench.protocol.protocol import Protocol


def unscored(protocol: Protocol, requests: pd.DataFrame) -> list[NotRun]:
    """The tasks of clips that the protocol has no metric for, with the reason."""
    metrics = protocol_metrics(protocol)
    clips = requests[outputs_of(requests) == "clip"]
    groups = dict.fromkeys(clips[["task", "domain"]].itertuples(index=False, name=None))
    reason = "made, not scored: the protocol has no metric of clips"
    return [
        NotRun(task=task, domain=domain, reason=reason)
        for task, domain in groups
        if not metrics_of(task, metrics)
    ]


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
    except RuntimeError:
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
        if not reason and method.card.answers_with_target:
            reason = _no_target(training.store, group)
        if reason:
            keep[group.index.to_numpy()] = False
            refused.append(NotRun(task=task, domain=domain, reason=f"not applicable: {reason}"))
    return requests[keep].reset_index(drop=True), refused


def _no_target(store: AlignedStore, group: pd.DataFrame) -> str:
    """Why a task cannot be answered with its target images or clips; "" where it can."""
    targets = group["target"].to_numpy(dtype=np.int64)
    if (outputs_of(group) != "clip").any():
        return "" if (targets >= 0).any() else "no target images"
    return "" if (clip_rows(store.manifest.table, targets, 2) >= 0).all() else "no target clips"
