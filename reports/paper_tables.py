"""The tables of a paper: which scores stand where. Writers turn them into LaTeX, Markdown, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fesbench.errors import UsageError

from .boards import Board, Run, make_boards, read_runs
from .cost import cost_table
from .metric_display import Style
from .sections import heat_maps
from .table_model import Column, Row, ScoreCell, Table
from .tables import build_table, domains_of


@dataclass(frozen=True)
class Entry:
    """One cell of a grid: a score, or a plain text.

    Attributes:
        text: as shown.
        value: not rounded, in the unit of the column's head.
        bounds: of its interval, as shown.
        best: whether it stands in the best rank group.
        limits: of its interval, not rounded, in the same unit.
    """

    text: str
    value: float | None = None
    bounds: tuple[str, str] | None = None
    best: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """One row of a grid."""

    title: str
    entries: list[Entry]
    reference: bool = False
    marks: tuple[str, ...] = ()
    """What a reader must know of the row, a word or two each."""


@dataclass(frozen=True)
class Grid:
    """A table of a paper.

    Attributes:
        caption: what it shows, in a sentence.
        heads: of the columns behind the first; an arrow says which way is better.
        groups: (title, rows); a title stands in a line of its own where it is not "".
        comments: signatures and the like, which print nowhere.
        note: below the table.
    """

    caption: str
    heads: list[tuple[str, str]]
    groups: list[tuple[str, list[Line]]]
    comments: list[str] = field(default_factory=list)
    note: str = ""


def paper_table(runs: Path, layout: str, metrics: Sequence[str] = (), board: str = "") -> Grid:
    """A table of the records below a folder.

    Args:
        runs: a runs folder.
        layout: one of `LAYOUTS`.
        metrics: the columns, in this order; none = all, or of the layouts that show one metric ECS.
        board: part of the name of the leaderboard, where the folder holds several.

    Raises:
        UsageError: no such layout or metric, or not one leaderboard.
        RecordError: no records, or a damaged one.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"--layout '{layout}' is none of {', '.join(LAYOUTS)}")
    boards = [found for found in make_boards(read_runs(runs)[0]) if board in found.key.slug]
    if layout == "ablation" and boards:
        return _ablation(boards, metrics)
    if len(boards) != 1:
        names = [found.key.slug for found in make_boards(read_runs(runs)[0])]
        raise UsageError(
            f"{len(boards)} leaderboards below {runs} match --board '{board}'; choose one of: "
            + ", ".join(names)
        )
    return LAYOUTS[layout](boards[0], metrics)


def main_grid(table: Table, metrics: Sequence[str] = ()) -> Grid:
    """A leaderboard's table with all rows and some of its columns, the best rank group bold."""
    columns = _chosen(table, metrics)
    return Grid(
        f"Task {table.task}, domain {table.domain}; bold: rows that cannot be told from the best",
        [_head(column.style) for column in columns],
        [
            (
                "" if given == "label" else f"given {given}",
                [_line(row, [(c.style, row.cells[c.style.name]) for c in columns]) for row in rows],
            )
            for given, rows in table.groups
        ],
        [column.signature for column in columns],
        _note(table.split_note, columns),
    )


def doubt_of(column: Column) -> str:
    """Why a column is not ranked, "" where it is."""
    return f"{column.style.name}: {column.unreliable}, not ranked" if column.unreliable else ""


def _main(board: Board, metrics: Sequence[str]) -> Grid:
    return main_grid(build_table(board, *board.headline), metrics)


def _per_expression(board: Board, metrics: Sequence[str]) -> Grid:
    metric = _one(metrics)
    table = build_table(board, *board.headline)
    _chosen(table, [metric])
    found = next((one for one in heat_maps(board, table) if one.style.name == metric), None)
    if found is None:
        raise UsageError(f"{metric} has no values by expression; 'fesbench report --json' lists what has")
    lines = [
        Line(row.title, [Entry(cell.text if cell else "n/a") for cell in cells], row.reference, _marks(row))
        for row, cells in found.rows
    ]
    caption = f"{metric}{_unit(found.style)} by {found.by}, task {table.task}"
    note = _note(table.split_note, _chosen(table, [metric]))
    return Grid(caption, [(name, "") for name in found.expressions], [("", lines)], note=note)


def _ood(board: Board, metrics: Sequence[str]) -> Grid:
    metric = _one(metrics)
    task = board.headline[0]
    tables = {domain: build_table(board, task, domain) for kind, domain in domains_of(board) if kind == task}
    lead = next(iter(tables.values()))
    (column,) = _chosen(lead, [metric])
    lines = []
    for row in lead.rows:
        cells = [
            next((r.cells.get(metric, ScoreCell()) for r in table.rows if r.id == row.id), ScoreCell())
            for table in tables.values()
        ]
        lines.append(_line(row, [(column.style, cell) for cell in cells]))
    arrow = _head(column.style)[1]
    heads = [("in distribution" if domain == "in" else domain, arrow) for domain in tables]
    asked = "; a domain may be asked for fewer expressions than the first column"
    doubts = [
        f"{head}: {there.unreliable}, not ranked"
        for (head, _), table in zip(heads, tables.values(), strict=True)
        for there in table.columns
        if there.style.name == metric and there.unreliable
    ]
    caption = f"{metric}{_unit(column.style)} in and out of distribution{asked}"
    return Grid(caption, heads, [("", lines)], note="; ".join(filter(None, [lead.split_note, *doubts])))


def _cost(board: Board, metrics: Sequence[str]) -> Grid:
    order = [row.id for row in build_table(board, *board.headline).rows]
    found = cost_table(board, order)
    if found is None:
        raise UsageError("no row of this leaderboard has its cost measured")
    lines = [Line(title, [Entry(text, value) for text, value in cells]) for title, cells in found.rows]
    return Grid(f"Cost: {found.settings}", [(title, "") for _, title in found.columns], [("", lines)])


def _ablation(boards: Sequence[Board], metrics: Sequence[str]) -> Grid:
    """Presets of the same methods under one protocol, one below the other, not ranked against each other."""
    keys = {(b.key.protocol, b.key.protocol_hash, b.key.data_fingerprint, b.key.budget) for b in boards}
    if len(keys) > 1:
        names = ", ".join(board.key.slug for board in boards)
        raise UsageError(
            f"an ablation stands under one protocol, data set and budget; --board narrows: {names}"
        )
    rows: list[tuple[Run, Row]] = []
    columns: dict[str, Column] = {}
    for board in boards:
        table = build_table(board, *board.headline)
        columns |= {column.style.name: column for column in table.columns if column.style.name not in columns}
        rows += [
            (board.methods[row.id][0], row) for row in table.rows if not row.reference and not row.external
        ]
    rows.sort(key=lambda item: (item[0].method, item[0].record.cell.preset != "paper"))
    unknown = [name for name in metrics if name not in columns]
    if unknown:
        raise UsageError(f"no value of {', '.join(unknown)} here; there are: {', '.join(columns)}")
    shown = [columns[name] for name in metrics or columns]
    lines = []
    for run, row in rows:
        cells = [(c.style, replace(row.cells.get(c.style.name, ScoreCell()), best=False)) for c in shown]
        line = _line(row, cells)
        lines.append(replace(line, title=f"{line.title}, {run.record.cell.preset}"))
    caption, heads = f"Presets under {boards[0].key.protocol}", [_head(c.style) for c in shown]
    return Grid(caption, heads, [("", lines)], note=_note("", shown))


LAYOUTS: dict[str, Callable[[Board, Sequence[str]], Grid]] = {
    "main": _main,
    "per-expression": _per_expression,
    "ood": _ood,
    "cost": _cost,
    "ablation": lambda board, metrics: _ablation([board], metrics),
}


def _chosen(table: Table, metrics: Sequence[str]) -> list[Column]:
    there = {column.style.name: column for column in table.columns}
    unknown = [name for name in metrics if name not in there]
    if unknown:
        raise UsageError(f"no value of {', '.join(unknown)} here; there are: {', '.join(there)}")
    return [there[name] for name in metrics] or table.columns


def _one(metrics: Sequence[str]) -> str:
    if len(metrics) > 1:
        raise UsageError(f"this layout shows one metric; --metrics names {len(metrics)}")
    return metrics[0] if metrics else "ECS"


def _line(row: Row, cells: Sequence[tuple[Style, ScoreCell]]) -> Line:
    return Line(row.title, [_entry(style, cell) for style, cell in cells], row.reference, _marks(row))


def _marks(row: Row) -> tuple[str, ...]:
    return tuple(word for word, _ in row.marks)


def _note(split: str, columns: Sequence[Column]) -> str:
    """How subjects were split where it matters, and whose judge's word is not taken."""
    return "; ".join(filter(None, [split, *map(doubt_of, columns)]))


def _entry(style: Style, cell: ScoreCell) -> Entry:
    if cell.value is None:
        return Entry("n/a")
    return entry_of(style, cell.value, cell.low, cell.high, best=cell.best)


def entry_of(
    style: Style, value: float, low: float | None, high: float | None, *, best: bool = False
) -> Entry:
    """A score as a cell."""
    if low is None or high is None:
        return Entry(style.text(value), _in_unit(style, value), best=best)
    limits = _in_unit(style, low), _in_unit(style, high)
    return Entry(style.text(value), _in_unit(style, value), (style.text(low), style.text(high)), best, limits)


def _in_unit(style: Style, value: float) -> float:
    """In the unit that the head names; a share is shown in percent."""
    return float(f"{100 * value:.12g}") if style.percent else value


def _head(style: Style) -> tuple[str, str]:
    return f"{style.name}{_unit(style)}", style.direction


def _unit(style: Style) -> str:
    return f" ({style.unit})" if style.unit else ""
