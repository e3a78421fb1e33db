"""The gate for several methods at once: each row of a folder against its method's in the baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fesbench.errors import EXIT_NOT_COMPARABLE, EXIT_OK, EXIT_WORSE, RecordError
from fesbench.files import atomic_write_bytes
from fesbench.gate.check import GateReport, check
from fesbench.gate.collect import open_row, open_rows
from fesbench.gate.snapshot import Snapshot, load_snapshot, parse_snapshot, save_snapshot, snapshot_text
from fesbench.gate.tolerance import Tolerances
from fesbench.records.record import RECORD_NAME, REFERENCE

KIND = "fesbench-baselines"


def save_rows(rows: Sequence[Snapshot], path: Path) -> None:
    """Write one row as a baseline, several as one file of baselines.

    Raises:
        DataError: the file cannot be written.
    """
    if len(rows) == 1:
        save_snapshot(rows[0], path)
        return
    parts = ",\n".join(snapshot_text(row) for row in rows)
    text = f'{{\n"kind": "{KIND}",\n"schema_version": 1,\n"rows": [\n{parts}\n]\n}}\n'
    atomic_write_bytes(path, text.encode())


def load_rows(path: Path) -> list[Snapshot]:
    """Read what `save_rows` wrote.

    Raises:
        RecordError: absent, damaged, or no baseline.
    """
    try:
        raw: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raw = None
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        return [load_snapshot(path)]  # one row; or it says what is wrong
    parts = raw.get("rows")
    rows = [parse_snapshot(part, path) for part in parts] if isinstance(parts, list) else []
    if raw.get("schema_version") != 1 or not rows or len({row.cell.method for row in rows}) < len(rows):
        raise RecordError(
            f"{path} is damaged, or of another fesbench; write it anew with 'fesbench baseline save'"
        )
    return rows


def rows_of(place: Path, method: str | None = None) -> list[Snapshot]:
    """The rows that are meant by a folder or a baseline file; reference rows only where alone.

    Args:
        place: a file of `save_rows`, a cell's folder, or a folder of records.
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
