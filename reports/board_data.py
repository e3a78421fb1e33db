"""What a leaderboard's page filters, compares and copies, as one object that the page carries along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fesbench.protocol.tasks import plain_kind
from fesbench.records.record import Score

from .boards import Board, Run
from .metric_display import Style
from .pairs import pairs
from .paper_tables import Entry, doubt_of, entry_of, main_grid
from .sections import in_order
from .table_model import Column, Row, Table

_FAMILIES = (
    ("clips", {"sequences"}),
    ("pairs of one subject", {"pairs", "any-pairs", "take-pairs"}),
    ("single images", {"labels", "action_units", "landmarks", "neutral", "unlabelled"}),
)
"""By what a method's training data must have: the first that matches."""
_CONDITIONS = (("landmarks", "landmarks"), ("action units", "action_units"), ("label", "labels"))
NOT_STATED = "not stated"


def board_data(board: Board, tables: Sequence[Table]) -> dict[str, Any]:
    """Rows with what a reader filters by, every table as a grid, and paired differences of the first."""
    rows = {method: _facets(runs[0]) for method, runs in board.methods.items()}
    return {
        "name": board.key.slug,
        "rows": rows,
        "tables": [_table(board, table) for table in tables],
        "pairs": _pairs(board, tables[0]),
    }


def _facets(run: Run) -> dict[str, Any]:
    needs = set(run.record.card.get("needs") or ())
    year = int(run.record.card.get("year") or 0)
    return {
        "title": run.title,
        "reference": run.reference,
        "family": next((name for name, some in _FAMILIES if needs & some), NOT_STATED),
        "conditioning": next((name for name, need in _CONDITIONS if need in needs), NOT_STATED),
        "year": str(year) if year else NOT_STATED,
        "trained": run.record.trained_on,
    }


def _table(board: Board, table: Table) -> dict[str, Any]:
    grid = main_grid(table)
    by, names, parts = _parts(board, table)
    return {
        "id": table.id,
        "task": table.task,
        "domain": table.domain,
        "caption": grid.caption,
        "split": table.split_note,
        "metrics": [c.style.name for c in table.columns],
        "heads": grid.heads,
        "directions": [c.style.direction for c in table.columns],
        "signatures": grid.comments,
        "doubts": [doubt_of(column) for column in table.columns],
        "groups": [
            {
                "title": title,
                "rows": [
                    {"id": row.id, "title": line.title, "reference": line.reference, "marks": line.marks}
                    | {"entries": [_plain(entry) for entry in line.entries]}
                    for row, line in zip(rows, lines, strict=True)
                ],
            }
            for (_, rows), (title, lines) in zip(table.groups, grid.groups, strict=True)
        ],
        "by": by,
        "names": names,
        "parts": parts,
    }


def _plain(entry: Entry) -> dict[str, Any]:
    """An entry without what is not there: a page has thousands."""
    told: dict[str, Any] = {"text": entry.text, "value": entry.value, "bounds": entry.bounds}
    told |= {"limits": entry.limits, "best": entry.best or None}
    return {name: item for name, item in told.items() if item is not None}


def _parts(
    board: Board, table: Table
) -> tuple[str, list[str], dict[str, dict[str, list[dict[str, Any] | None]]]]:
    """What the values are by, its names in order, and by name and row the entries of every column."""
    scores: dict[tuple[str, str, str], list[Score]] = {}
    for run in board.runs:
        for s in run.record.scores:
            if (s.task, s.domain) == (table.task, table.domain) and s.expression != "all":
                scores.setdefault((s.expression, s.method, s.metric), []).append(s)
    names = in_order({expression for expression, _, _ in scores})
    by = "action unit" if plain_kind(table.task).by_unit else "expression"
    parts = {
        name: {row.id: [_part(scores, name, row, column) for column in table.columns] for row in table.rows}
        for name in names
    }
    return by, names, parts


def _part(
    scores: Mapping[tuple[str, str, str], Sequence[Score]], name: str, row: Row, column: Column
) -> dict[str, Any] | None:
    """One row's entry of one expression; None where there is none, or the whole is not comparable."""
    metric = column.style.name
    mine = scores.get((name, row.id, metric), ())
    values = [s.value for s in mine if s.value is not None]
    if not mine or len(values) < len(mine) or row.cells[metric].value is None:
        return None
    low, high = (mine[0].low, mine[0].high) if len(mine) == 1 else (None, None)
    return _plain(entry_of(column.style, float(np.mean(values)), low, high))


def _pairs(board: Board, table: Table) -> list[dict[str, Any]]:
    made = []
    for metric, found in pairs(board, table).items():
        column = table.column(metric)
        assert column is not None
        style: Style = column.style
        made.append(
            {
                "metric": metric,
                "head": f"{style.name} ({style.unit})" if style.unit else style.name,
                "words": style.words,
                "direction": style.direction,
                "decimals": style.decimals,
                "scale": 100 if style.percent else 1,
                "pairs": {
                    f"{a} {b}": [p.value, p.low, p.high, p.requests, p.higher, p.lower, p.people, p.dots]
                    for (a, b), p in found.items()
                },
            }
        )
    return made
