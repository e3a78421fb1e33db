"""k-fold protocols: every fold is a run of its own, and what they made is scored together.

The folds lie under ``<runs>/folds`` as ordinary runs, each with its own training people, its own judge and
its own report if one is wanted. The record of the whole holds every person's images, made by the one training
that had not seen that person and judged by the one judge that had not, so that means, intervals and Frechet
distances stand on all people at once.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.bench import Bench, build_bench, open_store, settle_labels
from fesbench.cell import CellPlan, describe_card
from fesbench.data.files import writing
from fesbench.engines.local import run_cells
from fesbench.environment import describe_environment
from fesbench.errors import DataError, FesbenchError
from fesbench.extractors.registry import JUDGE, REGRESSOR
from fesbench.partition import assignment, build_split
from fesbench.progress import Reporter
from fesbench.protocol import Protocol
from fesbench.record import FOLDS, RECORD_NAME, Health, NotRun, Record, load_record
from fesbench.requests import build_requests
from fesbench.sources import Sources
from fesbench.stage_inputs import hash_parts

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store import AlignedStore
    from fesbench.extractors.base import Features


@dataclass
class FoldedBench(Bench):
    """All folds as one bench: everybody is tested, and judged by the judge of the own fold."""

    folds: dict[int, Bench] = field(default_factory=dict)
    fold_of: dict[str, int] = field(default_factory=dict)

    @property
    def judge_key(self) -> str:
        """Changes with any fold's judge."""
        return hash_parts(*(f"{k}:{bench.judge_key}" for k, bench in sorted(self.folds.items())))

    @property
    def regressor_key(self) -> str:
        """Changes with any fold's regressor."""
        return hash_parts(*(f"{k}:{bench.regressor_key}" for k, bench in sorted(self.folds.items())))

    def columns(self, name: str) -> tuple[str, ...]:
        """As `Bench.columns`; of the regressors what every fold's knows."""
        if name != REGRESSOR:
            return super().columns(name)
        known = [fold.columns(name) for fold in self.folds.values()]
        return tuple(unit for unit in known[0] if all(unit in units for units in known))

    def features(
        self, name: str, images: np.ndarray, landmarks: np.ndarray | None, identities: np.ndarray
    ) -> Features:
        """As `Bench.features`; an image's judge and regressor are those that did not see its person."""
        if name not in (JUDGE, REGRESSOR):
            return super().features(name, images, landmarks, identities)
        from fesbench.extractors.base import Features

        wanted = self.judge_classes if name == JUDGE else self.columns(name)
        signature = self.judge_signature
        values = np.zeros((len(images), len(wanted)), dtype=np.float32)
        valid = np.zeros(len(images), dtype=bool)
        numbers = np.array([self.fold_of[who] for who in identities])
        for fold in np.unique(numbers):
            rows = np.flatnonzero(numbers == fold)
            points = None if landmarks is None else landmarks[rows]
            bench = self.folds[int(fold)]
            found = bench.features(name, images[rows], points, identities[rows])
            own = wanted if name == JUDGE else bench.columns(name)
            values[rows] = found.values[:, [own.index(column) for column in wanted]]
            valid[rows] = found.valid
            if name == REGRESSOR:
                signature = f"{found.signature.rpartition(':')[0]}:{','.join(u[2:] for u in wanted)}"
        return Features(values, valid, signature)

    def close(self) -> None:
        """Close every fold's bench too."""
        super().close()
        for bench in self.folds.values():
            bench.close()


def open_bench(
    protocol: Protocol, *, budget: str, out: Path, source: Sources = None, reporter: Reporter | None = None
) -> Bench:
    """A protocol's bench; of a k-fold form one that holds every fold's.

    Raises:
        FesbenchError: data that cannot be had, a leak, a judge that cannot be built.
    """
    reporter = reporter or Reporter()
    if not protocol.split.n_folds:
        return build_bench(protocol, budget=budget, out=out, source=source, reporter=reporter)
    store = open_store(protocol, source, reporter)
    protocol = settle_labels(protocol, store, build_split(protocol, store))
    folds = {}
    for number, rules in _used_folds(protocol, store):
        reporter.note(f"fold {number} of {protocol.split.n_folds}")
        folds[number] = build_bench(rules, budget=budget, out=out / FOLDS, source=source, reporter=reporter)
    return _whole(protocol, folds, budget, out)


def run_plans(plans: Sequence[CellPlan], bench: Bench, reporter: Reporter, *, device: str) -> list[Record]:
    """Run every cell; of a k-fold form in every fold, and score what the folds made together."""
    if not isinstance(bench, FoldedBench):
        return run_cells(plans, bench, reporter, device=device)
    made: dict[int, list[Record]] = {}
    for number, fold in bench.folds.items():
        reporter.note(f"fold {number}: {len(fold.split.test)} tested")
        made[number] = run_cells(plans, fold, reporter, device=device)
    return [
        _pool(plan, bench, {number: found[k] for number, found in made.items()}, reporter, device)
        for k, plan in enumerate(plans)
    ]


def requests_of(protocol: Protocol, store: AlignedStore, budget: str) -> tuple[pd.DataFrame, list[NotRun]]:
    """A protocol's request table with what is left out; of a k-fold form those of all folds.

    Raises:
        DataError: see `build_split` and `build_requests`.
    """
    import pandas as pd

    parts = tables_of(protocol, store, budget)
    return pd.concat([table for _, table, _ in parts], ignore_index=True), parts[0][2]


def tables_of(
    protocol: Protocol, store: AlignedStore, budget: str
) -> list[tuple[Protocol, pd.DataFrame, list[NotRun]]]:
    """The rules, the request table and what is left out; of a k-fold form one of each fold.

    Raises:
        DataError: see `build_split` and `build_requests`.
    """
    if not protocol.split.n_folds:
        return [(protocol, *build_requests(protocol, store, build_split(protocol, store), budget))]
    parts = []
    for _, rules in _used_folds(protocol, store):
        table, left_out = build_requests(rules, store, build_split(rules, store), budget)
        parts.append((rules, _once(table), left_out))
    return parts


def _once(requests: pd.DataFrame) -> pd.DataFrame:
    """Without training material: a person trains in many folds, and each fold's generator makes its own."""
    from fesbench.evaluation_metrics import NOT_IMAGEWISE

    return requests[~requests["task"].isin(NOT_IMAGEWISE)].reset_index(drop=True)


def answered_requests(fold: Bench, made: Path) -> pd.DataFrame:
    """The requests of a fold that a cell answered; none where its folder ``made`` holds no images."""
    import pandas as pd

    path = made / "requests.csv"
    if not path.exists():
        return fold.requests.iloc[:0]
    answered = set(pd.read_csv(path, usecols=["request"], dtype=str)["request"])
    return fold.requests[fold.requests["request"].isin(answered)]


def _used_folds(protocol: Protocol, store: AlignedStore) -> list[tuple[int, Protocol]]:
    """The folds that have people, with their rules."""
    used = {int(side) for side in assignment(protocol, store).values()}
    return [(number, rules) for number, rules in enumerate(protocol.folds()) if number in used]


def _whole(protocol: Protocol, folds: dict[int, Bench], budget: str, out: Path) -> FoldedBench:
    import pandas as pd

    first = next(iter(folds.values()))
    cards = [bench.judge_card for bench in folds.values() if bench.judge_card]
    card: dict[str, Any] = {}
    if cards:
        n = sum(c["n"] for c in cards)
        right = sum(c["n"] * c["accuracy_on_real_test_images"] for c in cards)
        card = {**cards[0], "n": n, "accuracy_on_real_test_images": right / n}
        card["weights_sha256"] = "one judge a fold"
    return FoldedBench(
        protocol=protocol,
        store=first.store,
        split=build_split(protocol, first.store),
        budget=budget,
        requests=_once(pd.concat([bench.requests for bench in folds.values()], ignore_index=True)),
        not_run=first.not_run,
        judge=first.judge,
        judge_card=card,
        cache=first.cache,
        out=out,
        folds=folds,
        regressor=first.regressor if all(bench.regressor for bench in folds.values()) else None,
        regressor_card=first.regressor_card,
        fold_of={who: number for number, bench in folds.items() for who in bench.split.test},
    )


def _pool(
    plan: CellPlan, whole: FoldedBench, parts: dict[int, Record], reporter: Reporter, device: str
) -> Record:
    """The record of one method over all folds."""
    from fesbench.evaluation import score_cell, scoring_inputs

    cell = plan.cell(whole)
    folder = whole.out / cell.folder
    inputs = hash_parts(*_inputs(parts), scoring_inputs(whole))
    record = load_record(folder) if (folder / RECORD_NAME).exists() else Record(cell=cell)
    _describe(record, plan, whole, parts)
    failed = [number for number, part in parts.items() if part.status == "failed"]
    if failed:
        record.status, record.scores = "failed", []
        record.error = f"fold {failed[0]} failed: {parts[failed[0]].error.strip().rpartition(chr(10))[2]}"
        record.save(folder)
        return record
    try:
        if not record.done("score", inputs):
            record.scores = []
            requests = _gather(whole, parts, folder)
            started = time.monotonic()
            if len(requests):
                with reporter.stage(f"{cell.method}: score all folds") as stage:
                    score_cell(whole, record, requests, folder, on_progress=stage.update_what, device=device)
            record.environment = describe_environment(device)
            record.finish("score", seconds=time.monotonic() - started, inputs=inputs)
        record.status, record.error = "scored", ""
    except FesbenchError as error:
        record.status, record.error = "failed", str(error)
    record.save(folder)
    return record


def _inputs(parts: dict[int, Record]) -> list[str]:
    return [f"{k}:{part.stages[s].inputs}" for k, part in parts.items() for s in sorted(part.stages)]


def _describe(record: Record, plan: CellPlan, whole: FoldedBench, parts: dict[int, Record]) -> None:
    """What the folds' records say together."""
    first = next(iter(parts.values()))
    record.card = describe_card(plan.method)
    record.parameters = first.parameters
    record.judge, record.data = whole.judge_card, whole.data_card
    record.action_unit_regressor = whole.regressor_card if whole.regressor is not None else {}
    record.not_run = [NotRun(**dict(item)) for item in first.not_run]
    record.health = [
        Health(kind=event.kind, step=event.step, message=f"fold {number}: {event.message}")
        for number, part in parts.items()
        for event in part.health
    ]
    record.steps = first.steps
    # one training's cost: the folds are as many trainings of the same method
    record.cost = dict(first.cost)


def _gather(whole: FoldedBench, parts: dict[int, Record], folder: Path) -> pd.DataFrame:
    """Bring the folds' images together, as links where the file system has them.

    Raises:
        DataError: an image that a fold's record promises is gone.
    """
    import pandas as pd

    with writing(folder):
        shutil.rmtree(folder / "images", ignore_errors=True)
        (folder / "images").mkdir(parents=True)
    tables = []
    for number, part in parts.items():
        made = whole.folds[number].out / part.cell.folder
        tables.append(_once(answered_requests(whole.folds[number], made)))
        for name in tables[-1]["request"]:
            _link(made / "images" / f"{name}.png", folder / "images" / f"{name}.png")
    table = pd.concat(tables, ignore_index=True)
    if len(table):
        table.to_csv(folder / "requests.csv", index=False)
    return table


def _link(made: Path, wanted: Path) -> None:
    try:
        os.link(made, wanted)
    except FileNotFoundError:
        raise DataError(f"{made} is gone; run the same command again to make it") from None
    except OSError:
        # another file system, or one without links
        with writing(wanted):
            shutil.copyfile(made, wanted)
