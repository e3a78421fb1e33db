"""What engines have in common that hand cells to other processes: plan, hand out, score folds together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from fesbench.context.context import RunContext
from fesbench.progress import Reporter
from fesbench.records.record import Cell, Record, load_record
from fesbench.runs.cells import record_failure
from fesbench.runs.folds import place_of, pool, run_jobs, spread
from fesbench.runs.job import Job
from fesbench.runs.zoo import settle


@dataclass(frozen=True)
class Planned:
    """A job with the cell that it runs and the runs folder in which that lies."""

    job: Job
    cell: Cell
    runs: Path


class SpreadEngine(ABC):
    """Opens what cells share once, here, and has the cells run elsewhere.

    Args:
        shard: (i, n) = only the i-th of n equal shares, 1 <= i <= n; other machines run the others.
    """

    def __init__(self, shard: tuple[int, int] = (1, 1)) -> None:
        self.shard = shard

    def run(self, jobs: Sequence[Job], reporter: Reporter) -> list[Record]:
        """See `Engine.run`."""
        records: list[Record] = []
        part, parts = self.shard
        for shared, group in groupby(jobs, key=lambda job: job.shared):
            context = shared.open_context(reporter)  # trains what is shared, such as the judge, once
            try:
                mine = settle(list(group), context, reporter)
                if self.divides or parts > 1:
                    mine = spread(mine, context)[part - 1 :: parts]
                records += self.do(mine, context, reporter) if mine else []
            finally:
                context.close()
        return records

    @property
    def divides(self) -> bool:
        """Whether the folds of a k-fold form are cells of their own."""
        return True

    def do(self, jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Record]:
        """Run jobs of one opened context; their records, those of folds scored together."""
        planned = [
            Planned(replace(job, store=context.store.fingerprint), *place_of(job, context)) for job in jobs
        ]
        self.hand_out(planned, reporter)
        made = [(p.job, load_record(p.runs / p.cell.folder)) for p in planned]
        return pool(made, context, reporter)

    @abstractmethod
    def hand_out(self, planned: Sequence[Planned], reporter: Reporter) -> None:
        """Have every job run, and return when all have left a record; one that dies leaves a failed one."""


def run_text(text: str, reporter: Reporter) -> None:
    """What runs elsewhere: a job's text in, a record on the shared disk out, in a context of its own."""
    job = Job.from_json(text)
    # what the context tells was told where the jobs were planned
    context = job.shared.open_context(Reporter())
    try:
        run_jobs([job], context, reporter)
    finally:
        context.close()


def record_death(item: Planned, said: str, reporter: Reporter) -> None:
    """Leave a failed record of a cell whose process died, and say so."""
    record_failure(item.job, item.cell, item.runs, said, reporter)
    reporter.note(f"{item.cell.method} failed: {said}", warning=True)
