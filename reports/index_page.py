"""The index of a report with several leaderboards: by protocol, data's fingerprint and versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fesbench.protocol.difference import successor

from .boards import Board
from .table_model import Table


@dataclass(frozen=True)
class Entry:
    """One leaderboard on the index.

    Attributes:
        page: its file.
        rules: what differs from the protocol as published, "as published" where nothing does.
        versions: of fesbench that made its records.
        methods: rows that compete.
        best: the metric by which rows stand, and the rows of its best group with their values.
    """

    board: Board
    page: str
    title: str
    rules: str
    versions: list[str]
    seeds: int
    methods: int
    tested: str
    finished: str
    best: tuple[str, str]


@dataclass(frozen=True)
class Group:
    """A protocol with its leaderboards; ``successor`` is "" where it is the newest version."""

    protocol: str
    title: str
    successor: str
    entries: list[Entry]


def versions(board: Board) -> list[str]:
    """Of fesbench, as the records say."""
    found = [run.record.environment.get("fesbench") for run in board.runs]
    return sorted({str(version) for version in found if version}) or ["unknown"]


def last_finished(board: Board) -> str:
    """The day on which the last stage of any record ended, "" where none did."""
    days = [stage.finished_at[:10] for run in board.runs for stage in run.record.stages.values()]
    return max(days, default="")


def groups(made: Sequence[tuple[Board, str, dict[str, Any]]]) -> list[Group]:
    """Boards, with their pages and what stands on them, by protocol.

    Args:
        made: board, file, and the page's ``table`` and ``title``.
    """
    found: dict[str, list[Entry]] = {}
    for board, page, context in made:
        found.setdefault(board.key.rules[0], []).append(
            _entry(board, page, context["table"], context["title"])
        )
    return [
        Group(protocol, entries[0].title, _successor(entries[0].board), entries)
        for protocol, entries in sorted(found.items())
    ]


def _successor(board: Board) -> str:
    rules, _ = board.protocol
    return successor(rules) if rules is not None else ""


def _entry(board: Board, page: str, table: Table, title: str) -> Entry:
    changes = ", ".join(f"{name} {value}" for name, value in board.key.rules[1].items())
    return Entry(
        board, page, title, changes or "as published", versions(board),
        len({run.record.cell.seed for run in board.runs}),
        sum(not row.reference for row in table.rows),
        f"{table.identities} {table.units}" if table.identities else "none yet",
        last_finished(board), _best(table),
    )  # fmt: skip


def _best(table: Table) -> tuple[str, str]:
    column = table.column(table.sorted_by)
    if column is None:
        return "", "nothing scored"
    style, name = column.style, column.style.name
    rows = [row for row in table.rows if row.cells[name].best]
    told = ", ".join(f"{row.title} {style.text(row.cells[name].value or 0.0)}" for row in rows)
    return f"{name}, {style.unit}" if style.unit else name, told or "none ranked"
