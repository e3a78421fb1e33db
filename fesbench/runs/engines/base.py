"""What every engine can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fesbench.progress import Reporter
from fesbench.records.record import Record
from fesbench.runs.job import Job


class Engine(Protocol):
    """Runs cells somewhere; all that travels there is the text of a job."""

    def run(self, jobs: Sequence[Job], reporter: Reporter) -> list[Record]:
        """The records of jobs, in their order.

        A cell that fails, also with its whole process, leaves a record with its error, and the others go on.

        Args:
            jobs: each opens its own context.
            reporter: shown the progress of all.

        Raises:
            FesbenchError: what all cells need cannot be had, such as their data.
        """
        ...
