"""The values of single requests, as plain data for the page that shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fesbench.protocol.tasks import plain_kind
from fesbench.records.samples import SEEN

from .boards import Board, Run
from .table_model import Table

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 4
"""Significant ones of a value."""


def per_request(board: Board, table: Table) -> list[str]:
    """The metrics of a table that have a value of each request, in the table's order."""
    known = {name for run in board.runs if run.samples is not None for name in run.samples.columns}
    return [column.style.name for column in table.columns if column.style.name in known]


def shown_requests(board: Board, table: Table) -> pd.DataFrame:
    """The requests of a table whose subjects may be shown, by name."""
    found = board.requests
    mine = (found["task"] == table.task) & (found["domain"] == table.domain)
    return found[mine & found["publishable"]]


def part_of(board: Board, table: Table, runs: Sequence[Run], requests: Sequence[str]) -> dict[str, Any]:
    """One task and domain: who was asked for what, every row's values, and what the judges saw.

    Args:
        board: the rows.
        table: of the task and domain.
        runs: one of each row, in the page's order.
        requests: their names.

    Returns:
        ``metrics`` with ``values[metric][row][request]``; ``judges`` with their ``classes`` and
        ``seen[judge][row][request]``, percentages or None; ``predicted[row][request]``, a place in
        ``answers``.
    """
    metrics = per_request(board, table)
    samples = [_rows(run, requests) for run in runs]
    columns = {name: table.column(name) for name in metrics}
    return {
        "id": f"{table.task}/{table.domain}",
        "task": table.task,
        "domain": table.domain,
        "clips": plain_kind(table.task).outputs == "clip",
        "requests": _told(board, table, requests),
        "metrics": [
            {
                "name": name,
                "head": column.style.head,
                "unit": column.style.unit,
                "direction": column.style.direction,
                "percent": column.style.percent,
                "decimals": column.style.decimals,
                "words": column.style.words,
            }
            for name, column in columns.items()
            if column is not None
        ],
        "values": [[_values(part, name) for part in samples] for name in metrics],
        **_judged(samples),
    }


def _rows(run: Run, requests: Sequence[str]) -> pd.DataFrame | None:
    return None if run.samples is None else run.samples.reindex(list(requests))


def _values(part: pd.DataFrame | None, name: str) -> list[float | None]:
    import pandas as pd

    if part is None or name not in part:
        return []
    return [_short(value) for value in pd.to_numeric(part[name], errors="coerce")]


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _told(board: Board, table: Table, requests: Sequence[str]) -> list[dict[str, str]]:
    """Subject and label of every request, "" for a subject where the task gives no source."""
    named = plain_kind(table.task).has_source or board.by_image
    known = [part for run in board.runs if (part := _rows(run, requests)) is not None]
    told: dict[str, dict[str, str]] = {}
    for part in known:
        for request, row in part[part["identity"].notna()].iterrows():
            name = str(request)
            told.setdefault(name, {"subject": str(row["identity"]) if named else "", "label": _label(row)})
    return [{"name": name, **told[name]} for name in requests]


def _label(row: pd.Series) -> str:
    """What was asked for: "anger", "fear+surprise 0.5", "AU12"."""
    label, second = str(row["target_expression"] or ""), str(row.get("second_expression") or "")
    unit, level = int(row.get("action_unit") or 0), float(row.get("intensity", 1.0))
    text = f"AU{unit}" if unit else f"{label}+{second}" if second else label
    return text if level == 1.0 else f"{text} {level:g}"


def _judged(samples: Sequence[pd.DataFrame | None]) -> dict[str, Any]:
    """What each judge saw; rows that were scored before probabilities were kept have only the class."""
    classes: dict[str, list[str]] = {}
    for part in samples:
        for column in () if part is None else part.columns:
            if found := re.fullmatch(SEEN, str(column)):
                names = classes.setdefault(found["judge"], [])
                names += [found["seen"]] if found["seen"] not in names else []
    seen = [[_percentages(part, judge, names) for part in samples] for judge, names in classes.items()]
    answers = [
        [] if part is None or "predicted" not in part else part["predicted"].fillna("").astype(str).tolist()
        for part in samples
    ]
    codes = {name: place for place, name in enumerate(dict.fromkeys(a for row in answers for a in row))}
    return {
        "judges": [{"name": judge, "classes": names} for judge, names in classes.items()],
        "seen": seen,
        "answers": list(codes),
        "predicted": [[codes[answer] for answer in row] for row in answers],
    }


def _percentages(part: pd.DataFrame | None, judge: str, names: Sequence[str]) -> list[list[int] | None]:
    from fesbench.records.samples import seen_column

    columns = [seen_column(judge, name) for name in names]
    if part is None or not set(columns) <= set(part):
        return []
    table = (100 * part[columns].to_numpy(dtype=float)).tolist()
    return [[round(share) for share in row] if all(map(math.isfinite, row)) else None for row in table]
