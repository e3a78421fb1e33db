"""From a protocol's tasks to requests: what exactly each method is asked to make.

The request table has one row a request. Its column ``target`` (row of the target image, -1 where there is
none) belongs to the scoring side alone; what a method receives is made from the other columns.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from fesbench.errors import DataError
from fesbench.protocol.budget import FEW
from fesbench.protocol.image_index import RequestIndex
from fesbench.protocol.tasks import task_kind
from fesbench.protocol.tasks.base import Ask, Row
from fesbench.records.record import NotRun

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol
    from fesbench.protocol.tasks.base import TaskKind

COLUMNS = (
    "request",
    "task",
    "domain",
    "identity",
    "take",
    "source",
    "driver",
    "target",
    "source_expression",
    "target_expression",
    "second_expression",
    "action_unit",
    "intensity",
    "given",
    "noise_seed",
)
"""``source``, ``driver`` and ``target`` are rows of the store, -1 = none; ``action_unit`` is 0 where none is
asked for; ``target_expression`` is "" where no label is. A kind of task may add
columns of its own, such as ``length``, the frames of a clip."""


def _cause(kind: TaskKind, index: RequestIndex, domain: str, store: AlignedStore) -> str:
    """Why a task finds no request, as the end of a sentence."""
    shown = {what for who, what, where in index.rows if where == domain}
    if kind.has_source and shown and not shown & {"neutral", ""}:
        notes = [str(note) for note in store.info.get("notes", []) if "NO NEUTRAL IMAGE" in str(note)]
        return (
            ": it starts from a neutral image, and the data has none of the subjects who are asked (it shows "
            f"{', '.join(sorted(shown))}); bring their neutral images too" + "".join(f". {n}" for n in notes)
        )
    return f"; prepare it whole with 'fesbench data prepare {store.data}'"


def build_requests(
    protocol: Protocol, store: AlignedStore, split: Split, budget: str
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The request table of a protocol under a budget, in a fixed order, and the tasks that are left out.

    What has no target image is asked only in a domain that has none at all, so that every row of a table
    stands on the same requests. Where a level of intensity has none, no level has: all are asked.

    Raises:
        DataError: a task finds not a single request in this data, or two tasks ask for one thing.
    """
    import pandas as pd

    from fesbench.protocol.training_rows import coded_units

    coded = coded_units(protocol, store, split)
    run, skipped = protocol.tasks_under(budget)
    kinds = {task.kind: task_kind(task.kind) for task in run}
    few = budget in FEW

    @cache
    def index_of(subset: str, most: int | None) -> RequestIndex:
        return RequestIndex(protocol, store, sorted(split.subset(subset))[:most])

    rows: list[Row] = []
    left_out: list[NotRun] = []
    shown = set(store.manifest.table["domain"])
    for task in run:
        kind = kinds[task.kind]
        for domain in task.domains:
            if protocol.data.test_sets and domain not in shown:
                left_out.append(NotRun(task=task.kind, domain=domain, reason="the data has no image of it"))
                continue
            index = index_of(kind.subset, task.smoke_subjects if few else None)
            found = list(kind.rows(Ask(task, domain, index, coded, few)))
            if not found:
                raise DataError(
                    f"protocol {protocol.name}: task '{task.kind}' in domain '{domain}' finds no request in "
                    f"data '{store.data}'{_cause(kind, index, domain, store)}"
                )
            # all with a target image, or all without
            true = [row for row in found if row["target"] >= 0]
            keep = true and kind.complete(task, true)
            rows += true if keep else [{**row, "target": -1} for row in found]
    twice = [name for name, count in Counter(row["request"] for row in rows).items() if count > 1]
    if twice:
        raise DataError(
            f"protocol {protocol.name}: two tasks ask for '{twice[0]}'; give tasks of one kind and domain "
            "different labels"
        )
    left_out += [
        NotRun(task=t.kind, domain=d, reason=f"from budget '{t.from_budget}' up; this run's is '{budget}'")
        for t in skipped
        for d in t.domains
    ]
    more = {name: value for kind in kinds.values() for name, value in kind.columns.items()}
    return pd.DataFrame([{**more, **row} for row in rows], columns=[*COLUMNS, *more]), left_out
