"""The gate for several methods at once: each row of a folder against its method's in the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fesbench.errors import EXIT_NOT_COMPARABLE, EXIT_OK, EXIT_WORSE
from fesbench.gate.baselines import load_rows
from fesbench.gate.check import GateReport, check
from fesbench.gate.collect import open_row, open_rows
from fesbench.gate.snapshot import Snapshot
from fesbench.gate.tolerance import Tolerances
from fesbench.records.record import RECORD_NAME, REFERENCE


def rows_of(place: Path, method: str | None = None) -> list[Snapshot]:
    """The rows that are meant by a folder or a baseline file; reference rows only where alone.

    Args:
        place: a file of `fesbench.gate.baselines.save_rows`, a cell's folder, or a folder of records.
        method: only this one.

    Raises:
        RecordError: nothing there, or something damaged.
        UsageError: rows of several tables, or no such method.
    """
    if method is not None:
        return [open_row(place, method)]
    if place.is_file() and place.name != RECORD_NAME:
        return load_rows(place)
    rows = [row for row in open_rows(place) if row.cell.preset != REFERENCE]
    return rows or [open_row(place)]


def check_rows(
    run: Path, against: Path, *, tolerance: Path | Tolerances | None = None, method: str | None = None
) -> list[GateReport]:
    """Hold every row of a run against the baseline of its method; one row against one whatever their names.

    A method of the baseline that the run lacks is missing in all its scores; one that the baseline lacks is
    a note of the first report.

    Raises:
        FesbenchError: see `fesbench.gate.check.check`.
    """
    new, old = rows_of(run, method), _against(against, method)
    if len(new) == len(old) == 1:
        return [check(new[0], old[0], tolerance=tolerance)]
    mine = {row.cell.method: row for row in new}
    reports = [check(mine.get(row.cell.method, _nothing(row)), row, tolerance=tolerance) for row in old]
    unheld = sorted(mine.keys() - {row.cell.method for row in old})
    if unheld:
        reports[0].notes.append(f"not in the baseline: {', '.join(unheld)}")
    return reports


def exit_code(reports: Sequence[GateReport]) -> int:
    """3 something worse in any row; 5 nothing worse but something that could not be judged; else 0."""
    codes = {report.exit_code for report in reports}
    return next((code for code in (EXIT_WORSE, EXIT_NOT_COMPARABLE) if code in codes), EXIT_OK)


def _against(place: Path, method: str | None) -> list[Snapshot]:
    """A baseline of one row serves whatever its name."""
    rows = rows_of(place)
    named = [row for row in rows if row.cell.method == method]
    return named if method is not None and len(rows) > 1 and named else rows


def _nothing(row: Snapshot) -> Snapshot:
    """A run in which a method is missing."""
    return row.model_copy(update={"people": [], "figures": [], "cost": []})
