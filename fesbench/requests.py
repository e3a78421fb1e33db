"""From a protocol's tasks to requests: what exactly each method is asked to make.

The request table has one row a request. Its columns ``target`` (row of the true image, -1 where there is
none) belongs to the scoring side alone; what a method receives is made from the other columns.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError
from fesbench.record import NotRun
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits import Split
    from fesbench.data.store import AlignedStore
    from fesbench.protocol import Protocol, Task

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
    "intensity",
    "given",
    "noise_seed",
)


def build_requests(
    protocol: Protocol, store: AlignedStore, split: Split, budget: str
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The request table of a protocol under a budget, in a fixed order, and the tasks that are left out.

    Raises:
        DataError: a task finds not a single request in this data.
    """
    import pandas as pd

    index = _Index(protocol, store, sorted(split.test))
    run, skipped = protocol.tasks_under(budget)
    rows: list[dict[str, object]] = []
    for task in run:
        labels = task.smoke_labels if budget == "smoke" and task.smoke_labels else task.labels
        for domain in task.domains:
            found = list(_ask(task, domain, labels, index))
            if not found:
                raise DataError(
                    f"protocol {protocol.name}: task '{task.kind}' in domain '{domain}' finds no request in "
                    f"data '{store.data}'; prepare it whole with 'fesbench data prepare {store.data}'"
                )
            rows += found
    left_out = [
        NotRun(task=t.kind, domain=d, reason=f"from budget '{t.from_budget}' up; this run's is '{budget}'")
        for t in skipped
        for d in t.domains
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)), left_out


class _Index:
    """Where the rows of each test person are."""

    def __init__(self, protocol: Protocol, store: AlignedStore, people: list[str]) -> None:
        table = store.manifest.table
        self.protocol, self.table, self.people = protocol, table, people
        self.rows: dict[tuple[str, str, str], list[int]] = {}
        wanted = set(people)
        for row, (who, what, domain) in enumerate(
            zip(table["identity"], table["expression"], table["domain"], strict=True)
        ):
            if who in wanted:
                self.rows.setdefault((who, what, domain), []).append(row)
        self.intensity = table["intensity"].to_numpy()
        self.take = table["take"].to_numpy()
        self.sequence = table["sequence"].to_numpy()
        self.frame = table["frame"].to_numpy()
        self.reserved = {who: self._gallery_sequence(who) for who in people}

    def find(self, who: str, what: str, domain: str, *, take: int = 0, intensity: float = 1.0) -> int:
        """The row of a person's picture, -1 where there is none."""
        for row in self.rows.get((who, what, domain), []):
            if self.take[row] == take and (what == "neutral" or abs(self.intensity[row] - intensity) < 1e-6):
                return row
        return -1

    def sequence_pair(self, who: str, label: str) -> tuple[int, int]:
        """First frame and peak of a labelled sequence; (-1, -1) where the person has no usable one."""
        peaks = [r for r in self.rows.get((who, label, "in"), []) if self.sequence[r] != self.reserved[who]]
        if not peaks:
            return -1, -1
        last = max(peaks, key=lambda r: (self.sequence[r], self.frame[r]))
        return self.first_frame(who, self.sequence[last]), last

    def first_frame(self, who: str, sequence: str) -> int:
        """The first neutral frame of a sequence, -1 where there is none."""
        rows = [r for r in self.rows.get((who, "neutral", "in"), []) if self.sequence[r] == sequence]
        return min(rows, key=lambda r: self.frame[r]) if rows else -1

    def _gallery_sequence(self, who: str) -> str | None:
        """The sequence kept for the gallery: an unlabelled one, else the last; none if it is the only one."""
        everything = sorted({self.sequence[r] for r in self.rows.get((who, "neutral", "in"), [])})
        labelled = {self.sequence[r] for e in EXPRESSIONS[1:] for r in self.rows.get((who, e, "in"), [])}
        if len(everything) < 2:
            return None
        return next((s for s in everything if s not in labelled), everything[-1])

    def gallery(self, who: str) -> int:
        """The row of a person's gallery image, never of the source's own take or sequence; -1 if none."""
        if self.protocol.metrics.gallery == "other-take":
            return self.find(who, "neutral", "in", take=1)
        reserved = self.reserved[who]
        return -1 if reserved is None else self.first_frame(who, reserved)


def _ask(task: Task, domain: str, labels: tuple[str, ...], index: _Index) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for who in index.people:
        if task.kind == "compound":
            found += _compounds(task, domain, who, index)
            continue
        for label in labels:
            for level in task.levels:
                row = _one(task, domain, who, label, level, index)
                if row is not None:
                    found.append(row)
    return found


def _one(
    task: Task, domain: str, who: str, label: str, level: float, index: _Index
) -> dict[str, object] | None:
    if index.protocol.data.pairing == "take":
        source = index.find(who, "neutral", domain)
        target = index.find(who, label, domain, intensity=level)
    else:
        source, target = index.sequence_pair(who, label)
    if source < 0:
        return None
    driver = -1
    if task.kind == "transfer":
        driver = _driver(who, label, domain, index)
        if driver < 0:
            return None
    return _row(task, domain, who, source, target, driver, label, "", level)


def _driver(who: str, label: str, domain: str, index: _Index) -> int:
    """The next test person (cyclically) who shows the expression: never the same person."""
    start = index.people.index(who)
    for other in index.people[start + 1 :] + index.people[:start]:
        rows = [r for r in index.rows.get((other, label, domain), []) if index.intensity[r] >= 1 - 1e-6]
        if rows:
            return rows[-1] if index.protocol.data.pairing == "sequence" else rows[0]
    return -1


def _compounds(task: Task, domain: str, who: str, index: _Index) -> list[dict[str, object]]:
    from fesbench.data.avatars import COMPOUNDS

    source = index.find(who, "neutral", domain)
    found = []
    for name, (first, second) in COMPOUNDS.items():
        target = index.find(who, name, domain)
        if source >= 0 and target >= 0:
            found.append(_row(task, domain, who, source, target, -1, first, second, 1.0))
    return found


def _row(
    task: Task,
    domain: str,
    who: str,
    source: int,
    target: int,
    driver: int,
    first: str,
    second: str,
    level: float,
) -> dict[str, object]:
    what = first if not second else f"{first}+{second}"
    name = "_".join(
        (task.kind, domain, who, what)
        if task.levels == (1.0,)
        else (task.kind, domain, who, what, f"{level:g}")
    )
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    values = (name, task.kind, domain, who, 0, source, driver, target, "neutral", first, second, level)
    return dict(zip(COLUMNS, (*values, task.given, seed), strict=True))


def gallery_rows(protocol: Protocol, store: AlignedStore, split: Split) -> tuple[np.ndarray, list[str]]:
    """One neutral row per test person from another take or sequence, and the people who have none."""
    index = _Index(protocol, store, sorted(split.test))
    rows = {who: index.gallery(who) for who in index.people}
    missing = [who for who, row in rows.items() if row < 0]
    return np.array([row for row in rows.values() if row >= 0], dtype=np.int64), missing


def reference_rows(
    protocol: Protocol, store: AlignedStore, split: Split, group: pd.DataFrame
) -> tuple[np.ndarray, str]:
    """The real images that a distribution metric compares a group of requests with, and the rule's name.

    ``test-real-other-take``: the same people and expressions in the other take. Where the data has no other
    take (styles, compounds, CK+): ``test-real``, the true images themselves.
    """
    if protocol.metrics.reference == "other-take":
        index = _Index(protocol, store, sorted(split.test))
        rows = [
            index.find(r.identity, r.target_expression, r.domain, take=1, intensity=r.intensity)
            for r in group.itertuples()
            if not r.second_expression
        ]
        if rows and min(rows) >= 0:
            return np.array(sorted(set(rows)), dtype=np.int64), "test-real-other-take"
    truth = group["target"].to_numpy()
    return np.unique(truth[truth >= 0]), "test-real"
