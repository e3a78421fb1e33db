"""The kinds of tasks, one file each: what a kind asks, grants, checks and measures, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fesbench.methods.task_kinds import TASKS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from fesbench.protocol.tasks.base import TaskKind


def task_kind(name: str) -> TaskKind:
    """The kind of a name.

    Raises:
        UnknownNameError: no such kind; says the nearest.
        UsageError: an external package's kind that does not load.

    >>> task_kind("action-unit").given
    'action_units'
    """
    kind: TaskKind = TASKS.get(name)
    return kind


def plain_kind(name: str) -> TaskKind:
    """The kind of a name; a plain one for a record whose kind is not installed here."""
    from fesbench.protocol.tasks.base import TaskKind

    return task_kind(name) if name in TASKS else TaskKind()


def outputs_of(requests: pd.DataFrame) -> np.ndarray:
    """What is made for each request of a table, str (N,): "image", "training image" or "clip"."""
    return requests["task"].map(lambda name: task_kind(name).outputs).to_numpy(dtype=str)
