"""k-fold protocols: every fold is a run of its own, and what they made is scored together.

The folds lie under ``<runs>/folds`` as ordinary runs, each with its own training subjects, its own judge and
its own report if one is wanted. The record of the whole holds every subject's images, made by the one training
that had not seen that subject and judged by the one judge that had not, so that means, intervals and Frechet
distances stand on all subjects at once.
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

from fesbench.context.context import RunContext
from fesbench.context.build import build_context, open_store, settle_labels
from fesbench.runs.cell import CellPlan, describe_card
from fesbench.files import writing
from fesbench.runs.engines.local import run_cells
from fesbench.records.environment import describe_environment
from fesbench.errors import DataError, FesbenchError
from fesbench.extractors.registry import JUDGE, REGRESSOR
from fesbench.protocol.split import assignment, build_split
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol
from fesbench.records.record import FOLDS, RECORD_NAME, Health, NotRun, Record, load_record
from fesbench.protocol.requests import build_requests
from fesbench.protocol.data_folders import Sources
from fesbench.records.fingerprints import hash_parts
from fesbench.context.folded import FoldedContext
from fesbench.context.folded import _once
from fesbench.context.folded import answered_requests

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.extractors.base import Features






def run_plans(plans: Sequence[CellPlan], context: RunContext, reporter: Reporter, *, device: str) -> list[Record]:
    """Run every cell; of a k-fold form in every fold, and score what the folds made together."""
    if not isinstance(context, FoldedContext):
        return run_cells(plans, context, reporter, device=device)
    made: dict[int, list[Record]] = {}
    for number, fold in context.folds.items():
        reporter.note(f"fold {number}: {len(fold.split.test)} tested")
        made[number] = run_cells(plans, fold, reporter, device=device)
    return [
        _pool(plan, context, {number: found[k] for number, found in made.items()}, reporter, device)
        for k, plan in enumerate(plans)
    ]














def _pool(
    plan: CellPlan, whole: FoldedContext, parts: dict[int, Record], reporter: Reporter, device: str
) -> Record:
    """The record of one method over all folds."""
    from fesbench.evaluation.score import score_cell, scoring_inputs

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


def _describe(record: Record, plan: CellPlan, whole: FoldedContext, parts: dict[int, Record]) -> None:
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


def _gather(whole: FoldedContext, parts: dict[int, Record], folder: Path) -> pd.DataFrame:
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
