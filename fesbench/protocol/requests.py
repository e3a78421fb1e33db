"""From a protocol's tasks to requests: what exactly each method is asked to make.

The request table has one row a request. Its column ``target`` (row of the target image, -1 where there is
none) belongs to the scoring side alone; what a method receives is made from the other columns.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from fesbench.errors import DataError
from fesbench.protocol.image_index import RequestIndex, safe_part
from fesbench.records.record import NotRun
from fesbench.vocabulary import COMPOUNDS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol
    from fesbench.protocol.schema import Task

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
asked for; ``target_expression`` is "" where no label is."""

GALLERY_TAKE = 1
SMOKE_SAMPLES = 20
"""Under ``smoke``: images a label of a random task, and sources of an action-unit task."""

Row = dict[str, Any]


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
    tested = RequestIndex(protocol, store, sorted(split.test))
    run, skipped = protocol.tasks_under(budget)
    rows: list[Row] = []
    left_out: list[NotRun] = []
    shown = set(store.manifest.table["domain"])
    for task in run:
        index = tested
        if task.kind == "augmentation":
            index = RequestIndex(protocol, store, sorted(split.train))
        for domain in task.domains:
            if protocol.data.test_sets and domain not in shown:
                left_out.append(NotRun(task=task.kind, domain=domain, reason="the data has no image of it"))
                continue
            found = _of_one_kind(task, list(_ask(task, domain, index, coded, budget)))
            if not found:
                raise DataError(
                    f"protocol {protocol.name}: task '{task.kind}' in domain '{domain}' finds no request in "
                    f"data '{store.data}'; prepare it whole with 'fesbench data prepare {store.data}'"
                )
            rows += found
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
    return pd.DataFrame(rows, columns=list(COLUMNS)), left_out


def _of_one_kind(task: Task, found: list[Row]) -> list[Row]:
    """All with a target image, or all without."""
    true = [row for row in found if row["target"] >= 0]
    missing = set(task.levels) - {row["intensity"] for row in true}
    if true and (task.kind != "intensity" or not missing):
        return true
    return [{**row, "target": -1} for row in found]


def _ask(task: Task, domain: str, index: RequestIndex, coded: Collection[int], budget: str) -> Iterator[Row]:
    smoke = budget == "smoke"
    samples = min(task.samples or SMOKE_SAMPLES, SMOKE_SAMPLES) if smoke else task.samples
    if task.kind == "random":
        yield from _random(task, domain, index, samples)
        return
    if task.kind == "action-unit":
        yield from _action_units(task, domain, index, coded, samples)
        return
    labels = task.smoke_labels if smoke and task.smoke_labels else task.labels
    for who in index.people:
        for label in labels:
            for level in task.levels:
                for number, take, source, target in _pairs(task, who, label, level, domain, index):
                    driver = -1
                    if task.kind == "transfer":
                        driver = _driver(who, label, domain, index)
                        if driver < 0:
                            continue
                    yield _row(
                        task,
                        index,
                        who=who,
                        domain=domain,
                        what=label,
                        number=number,
                        take=take,
                        source=source,
                        target=target,
                        driver=driver,
                        level=level,
                    )


def _pairs(
    task: Task, who: str, label: str, level: float, domain: str, index: RequestIndex
) -> Iterator[tuple[int, int, int, int]]:
    """Sources and target images of one subject and label: (running number, take, source row, target row)."""
    every = task.kind in ("identity-verification", "augmentation")
    if index.protocol.data.pairing == "sequence":
        if task.kind == "augmentation":
            starts = index.rows.get((who, "neutral", domain), [])
            yield from ((k, int(index.take[r]), r, -1) for k, r in enumerate(starts))
            return
        pairs = index.sequence_pairs(who, label, domain)
        for number, (source, target) in enumerate(pairs if every else pairs[-1:]):
            # the peak is no truth for half of it
            fits = task.kind != "intensity" or abs(index.intensity[target] - level) < 1e-6
            yield number, 0, source, target if fits else -1
        return
    takes = range(task.takes)
    if every:
        takes = range(int(index.take.max()) + 1)
    for take in takes:
        if task.kind == "identity-verification" and take == GALLERY_TAKE:
            continue
        source = index.source(who, domain, take)
        if source >= 0:
            target = -1
            if task.kind != "augmentation" and index.has_truth(who):
                target = index.find(who, label, domain, take=take, intensity=level)
            yield take, take, source, target


def _random(task: Task, domain: str, index: RequestIndex, samples: int) -> Iterator[Row]:
    """Images of a label out of nothing; the target images are test images of that label, subject unasked."""
    for label in task.labels:
        rows = [r for who in index.people for r in index.rows.get((who, label, domain), [])]
        chosen = index.in_hash_order(rows)
        for number, target in enumerate(chosen[:samples] if samples else chosen):
            who = str(index.table["identity"].iloc[target])
            yield _row(
                task, index, who=who, domain=domain, what=label, number=number, source=-1, target=target
            )


def _action_units(
    task: Task, domain: str, index: RequestIndex, coded: Collection[int], samples: int
) -> Iterator[Row]:
    """One unit at a time, set to each level; the others stay as the source has them."""
    units = [unit for unit in task.action_units if unit in coded]
    found = {who: index.source(who, domain, take=0) for who in index.people}
    sources = [row for row in found.values() if row >= 0]
    if samples and len(sources) > samples:
        kept = set(index.in_hash_order(sources)[:samples])
        found = {who: row for who, row in found.items() if row in kept}
    for who, source in found.items():
        for unit in units if source >= 0 else ():
            for level in task.levels:
                asked: Row = {"what": f"AU{unit}", "unit": unit, "level": level}
                yield _row(task, index, who=who, domain=domain, source=source, **asked)


def _driver(who: str, label: str, domain: str, index: RequestIndex) -> int:
    """The next subject (cyclically) who shows the expression: never the same subject."""
    start = index.people.index(who)
    for other in index.people[start + 1 :] + index.people[:start]:
        rows = [r for r in index.rows.get((other, label, domain), []) if index.intensity[r] >= 1 - 1e-6]
        if rows:
            return rows[-1] if index.protocol.data.pairing == "sequence" else rows[0]
    return -1


def _row(
    task: Task,
    index: RequestIndex,
    *,
    who: str,
    domain: str,
    what: str,
    source: int,
    target: int = -1,
    driver: int = -1,
    number: int = 0,
    take: int = 0,
    unit: int = 0,
    level: float = 1.0,
) -> Row:
    """One request; ``what`` is a label, a compound or "AU12", ``number`` counts within subject and label."""
    parts = [task.kind, domain, safe_part(who), what]
    if task.levels != (1.0,):
        parts.append(f"{level:g}")
    if task.takes > 1 or task.kind in ("identity-verification", "augmentation", "random"):
        parts.append(str(number))
    name = "_".join(parts)
    first, second = ("", "") if unit else (what, "")
    if task.kind == "compound":
        first, second = COMPOUNDS.get(what) or (what.split("+")[0], what.split("+")[1])
    return {
        "request": name,
        "task": task.kind,
        "domain": domain,
        "identity": who,
        "take": take,
        "source": source,
        "driver": driver,
        "target": target,
        "source_expression": "" if source < 0 else str(index.table["expression"].iloc[source]),
        "target_expression": first,
        "second_expression": second,
        "action_unit": unit,
        "intensity": level,
        "given": task.given,
        "noise_seed": int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"),
    }
