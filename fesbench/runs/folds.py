"""k-fold protocols: every fold is a run of its own, and what they made is scored together.

The folds lie under ``<runs>/folds`` as ordinary runs, each with its own training subjects, its own judge and
its own report if one is wanted. The record of the whole holds every subject's images, made by the one
training that had not seen that subject and judged by the one judge that had not, so that means, intervals
and Frechet distances stand on all subjects at once.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.context.context import RunContext
from fesbench.context.folded import FoldedContext, made_requests, requested_once
from fesbench.errors import DataError, FesbenchError
from fesbench.files import writing
from fesbench.progress import Reporter
from fesbench.records.environment import describe_environment, resolve_device
from fesbench.records.fingerprints import hash_parts
from fesbench.records.record import RECORD_NAME, Cell, Health, NotRun, Record, load_record, open_record
from fesbench.runs.cells import holding, run_cells
from fesbench.runs.job import Job
from fesbench.synthesis import request_files

if TYPE_CHECKING:
    import pandas as pd


def run_jobs(jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Record]:
    """Run every job in one opened context; of a k-fold form in its folds, and `pool` them.

    Returns:
        a record a job; of a k-fold form, where jobs are those of single folds, one for all folds of a method.
    """
    if not isinstance(context, FoldedContext):
        return run_cells(jobs, context, reporter)
    made: list[tuple[Job, Record]] = []
    for number, fold in context.folds.items():
        mine = [replace(job, fold=number) for job in jobs if job.fold in (None, number)]
        if mine:
            reporter.note(f"fold {number}: {len(fold.split.test)} tested")
            made += zip(mine, run_cells(mine, fold, reporter), strict=True)
    return pool(made, context, reporter)


def spread(jobs: Sequence[Job], context: RunContext) -> list[Job]:
    """The jobs, of a k-fold form one for each fold, so that several processes can share them."""
    if not isinstance(context, FoldedContext):
        return list(jobs)
    return [replace(job, fold=number) for job in jobs for number in context.folds]


def place_of(job: Job, context: RunContext) -> tuple[Cell, Path]:
    """The cell that a job runs, and the runs folder in which it lies; of all folds that of the whole."""
    if isinstance(context, FoldedContext) and job.fold is not None:
        context = context.folds[job.fold]
    return job.cell(context), context.out


def pool(made: Sequence[tuple[Job, Record]], context: RunContext, reporter: Reporter) -> list[Record]:
    """Score what the folds of a method made together, once all of them are done.

    Args:
        made: the jobs of single folds with their records; a context without folds leaves them as they are.
        context: opened.
        reporter: shown the progress.

    Returns:
        the record over all folds of each method, in order; where another process still has a fold in hand,
        the record of a fold instead: whoever ends last scores the whole.
    """
    if not isinstance(context, FoldedContext):
        return [record for _, record in made]
    wholes: dict[str, tuple[Job, dict[int, Record]]] = {}
    for job, record in made:
        assert job.fold is not None
        whole = replace(job, fold=None)
        wholes.setdefault(whole.to_json(), (whole, {}))[1][job.fold] = record
    return [_settled(job, context, parts, reporter) for job, parts in wholes.values()]


def _settled(job: Job, whole: FoldedContext, parts: dict[int, Record], reporter: Reporter) -> Record:
    found = {}
    for number in whole.folds:
        cell, runs = place_of(replace(job, fold=number), whole)
        if number not in parts and not (runs / cell.folder / RECORD_NAME).exists():
            return next(iter(parts.values()))
        found[number] = parts.get(number) or load_record(runs / cell.folder)
        if found[number].status not in ("scored", "failed"):
            return next(iter(parts.values()))
    with holding(job.cell(whole), whole.out, wait=True):
        return _pool(job, whole, found, reporter)


def _pool(job: Job, whole: FoldedContext, parts: dict[int, Record], reporter: Reporter) -> Record:
    """The record of one method over all folds."""
    from fesbench.evaluation.score import score_cell, scoring_inputs

    cell, device = job.cell(whole), resolve_device(job.device)
    folder = whole.out / cell.folder
    inputs = hash_parts(*_inputs(parts), scoring_inputs(whole))
    record = open_record(cell, whole.out, reporter)
    _describe(record, job, whole, parts)
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


def _describe(record: Record, job: Job, whole: FoldedContext, parts: dict[int, Record]) -> None:
    """What the folds' records say together."""
    first = next(iter(parts.values()))
    whole.describe(record, job.card())
    record.not_run = [NotRun(**dict(item)) for item in first.not_run]
    record.parameters, record.loaded = first.parameters, first.loaded
    record.trained_with = first.trained_with
    # no more is known of the whole than of the fold of which least is known
    known = [part.trained_on for part in parts.values()]
    record.trained_on = max(known, key=("fesbench", "declared", "unknown").index)
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
        for what in ("images", "clips"):
            shutil.rmtree(folder / what, ignore_errors=True)
        (folder / "images").mkdir(parents=True)
    tables = []
    for number, part in parts.items():
        made = whole.folds[number].out / part.cell.folder
        tables.append(requested_once(made_requests(whole.folds[number], made)))
        for names in request_files(tables[-1]):
            for name in names:
                _link(made / name, folder / name)
    table = pd.concat(tables, ignore_index=True)
    if len(table):
        table.to_csv(folder / "requests.csv", index=False)
    return table


def _link(made: Path, wanted: Path) -> None:
    with writing(wanted):
        wanted.parent.mkdir(exist_ok=True, parents=True)
    try:
        os.link(made, wanted)
    except FileNotFoundError:
        raise DataError(f"{made} is gone; run the same command again to make it") from None
    except OSError:
        # another file system, or one without links
        with writing(wanted):
            shutil.copyfile(made, wanted)
