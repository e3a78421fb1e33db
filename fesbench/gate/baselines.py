"""Baseline files: one row, or the rows of several methods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.gate.snapshot import Snapshot, load_snapshot, parse_snapshot, save_snapshot, snapshot_text

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
    except (OSError, ValueError, RecursionError):
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
