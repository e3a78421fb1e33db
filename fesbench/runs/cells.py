"""Run cells in one opened context: one that fails stops no other."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from fesbench.context.context import RunContext
from fesbench.errors import FesbenchError
from fesbench.progress import Reporter
from fesbench.records.record import Cell, Record, open_record
from fesbench.runs.cell import run_cell
from fesbench.runs.job import Job


def run_cells(jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Record]:
    """Run every cell; a failed one leaves a record with its error, and the others go on."""
    records = []
    with reporter.stage("cells", total=len(jobs)) as stage:
        for number, job in enumerate(jobs):
            stage.update(number, detail=job.method)
            try:
                records.append(run_cell(job, context, reporter))
            except Exception as error:  # noqa: BLE001 - whatever a method does, the other cells go on
                expected = isinstance(error, FesbenchError)
                said = str(error) if expected else "".join(traceback.format_exception(error))
                records.append(record_failure(job, job.cell(context), context.out, said, reporter))
                reporter.note(f"{records[-1].cell.method} failed: {error}", warning=True)
    return records


def record_failure(job: Job, cell: Cell, runs: Path, error: str, reporter: Reporter) -> Record:
    """Keep what the cell had done below the folder ``runs``, with the error."""
    record = open_record(cell, runs, reporter)
    record.card, record.status, record.error = job.card(), "failed", error
    record.save(runs / cell.folder)
    return record
