"""Run cells in one opened context: one that fails stops no other."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from fesbench.context.context import RunContext
from fesbench.errors import FesbenchError
from fesbench.files import lock
from fesbench.progress import Reporter
from fesbench.records.record import Cell, Record, open_record
from fesbench.runs.cell import run_cell
from fesbench.runs.job import Job
from fesbench.runs.time_left import TimeLeft


def run_cells(jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Record]:
    """Run every cell; a failed one leaves a record with its error, and the others go on.

    A cell that another run has in hand is left until the others are done, and then waited for.
    """
    records: dict[int, Record] = {}
    left = TimeLeft([job.trains for job in jobs])
    with reporter.stage("cells", total=len(jobs)) as stage:
        for patient in (False, True):
            for number in left.order:
                if number in records:
                    continue
                job = jobs[number]
                with holding(job.cell(context), context.out, wait=patient) as held:
                    if not held:
                        reporter.note(f"{job.method}: another run has this cell in hand; left for later")
                        continue
                    stage.update(len(records), len(jobs), detail=job.method, left=left.seconds())
                    records[number] = _run(job, context, reporter)
                    left.done(number, records[number])
    return [records[number] for number in range(len(jobs))]


def holding(cell: Cell, runs: Path, *, wait: bool) -> AbstractContextManager[bool]:
    """Keep other runs on this disk from a cell; see `lock`."""
    folder = runs / cell.folder
    return lock(folder.with_name(f".{folder.name}.lock"), wait=wait)


def _run(job: Job, context: RunContext, reporter: Reporter) -> Record:
    try:
        return run_cell(job, context, reporter)
    except Exception as error:  # noqa: BLE001 - whatever a method does, the other cells go on
        expected = isinstance(error, FesbenchError)
        said = str(error) if expected else "".join(traceback.format_exception(error))
        record = record_failure(job, job.cell(context), context.out, said, reporter)
        reporter.note(f"{record.cell.method} failed: {error}", warning=True)
        return record


def record_failure(job: Job, cell: Cell, runs: Path, error: str, reporter: Reporter) -> Record:
    """Keep what the cell had done below the folder ``runs``, with the error."""
    record = open_record(cell, runs, reporter)
    record.card, record.status, record.error = job.card(), "failed", error
    record.save(runs / cell.folder)
    return record
