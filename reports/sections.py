"""What a page shows, computed from a board: plain values for the template, no markup but the figures'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from fesbench.protocol.tasks import plain_kind
from fesbench.records.record import LEVEL, Score
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

from .boards import HEADLINE, Board, Run
from .colors import shade
from .figures import Change, Point, curve, dumbbells, interval_mark, scatter
from .metric_display import Style, ordered, style_of
from .ranking import Drop, drop
from .table_model import Column, Row, ScoreCell, Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class HeatCell:
    """One shaded value."""

    text: str
    css: str
    tip: str


@dataclass(frozen=True)
class HeatMap:
    """One metric over expressions, action units or levels."""

    style: Style
    by: str
    """What it is over: "expression", "action unit", "level"."""

    expressions: list[str]
    rows: list[tuple[Row, list[HeatCell | None]]]


def heat_maps(board: Board, table: Table, *, levels: bool = False) -> list[HeatMap]:
    """Maps over expressions (or action units) of every metric of a table that has such values.

    With ``levels``: over the requested levels.
    """
    by = "level" if levels else "action unit" if plain_kind(table.task).by_unit else "expression"
    scores = [
        s
        for r in board.runs
        for s in r.record.scores
        if (s.task, s.domain) == (table.task, table.domain)
        and s.expression != "all"
        and s.expression.startswith(LEVEL) == levels
    ]
    maps = []
    for metric in ordered({s.metric for s in scores if s.value is not None}):
        column = table.column(metric)
        if column is None:
            continue
        mine = [s for s in scores if s.metric == metric]
        expressions = in_order({s.expression for s in mine})
        found = {(s.method, s.expression): _mean(mine, s.method, s.expression) for s in mine}
        values = [v for v, _ in found.values() if v is not None]
        if not values:
            continue
        low, high = (0.0, 1.0) if column.style.share else (min(values), max(values))
        rows: list[tuple[Row, list[HeatCell | None]]] = []
        for row in table.rows:
            # A row that is not comparable in the pooled column is not comparable here either.
            usable = row.cells[metric].value is not None
            line = [found.get((row.id, e)) if usable else None for e in expressions]
            rows.append((row, [_heat_cell(column.style, item, low, high) for item in line]))
        maps.append(HeatMap(column.style, by, expressions, rows))
    return maps


def in_order(expressions: set[str]) -> list[str]:
    """Expressions, then action units, then levels, as a reader expects them."""
    rank = {name: i for i, name in enumerate((*EXPRESSIONS, *(f"AU{unit}" for unit in ACTION_UNITS)))}
    return sorted(expressions, key=lambda e: (rank.get(e, 99), e))


def _mean(scores: Sequence[Score], method: str, expression: str) -> tuple[float | None, str]:
    mine = [s for s in scores if (s.method, s.expression) == (method, expression)]
    if any(s.value is None for s in mine):
        return None, mine[0].reason
    value = float(np.mean([s.value for s in mine if s.value is not None]))
    if len(mine) > 1:
        return value, f"mean of {len(mine)} seeds"
    style, one = style_of(mine[0].metric), mine[0]
    if one.low is None or one.high is None:
        return value, f"n {one.n_valid}/{one.n_requested}"
    return value, f"{style.text(one.low)} to {style.text(one.high)}, n {one.n_valid}/{one.n_requested}"


def _heat_cell(
    style: Style, item: tuple[float | None, str] | None, low: float, high: float
) -> HeatCell | None:
    value, tip = item or (None, "")
    if value is None:
        return None
    share = (value - low) / (high - low) if high > low else 0.5
    return HeatCell(style.text(value), shade(1 - share if style.direction == "lower" else share).css, tip)


def trade_off(table: Table) -> Markup | None:
    """The ECS-against-FSS image; None where fewer than two rows have both."""
    ecs, fss = table.column("ECS"), table.column("FSS")
    if ecs is None or fss is None:
        return None
    points = []
    for row in table.rows:
        x, y = row.cells["FSS"], row.cells["ECS"]
        if x.value is not None and y.value is not None:
            kind = "reference" if row.reference else ("method" if row.given == "label" else "granted")
            points.append(Point(row.title, x.value, y.value, x.low, x.high, y.low, y.high, kind))
    if len(points) < 2:
        return None
    return scatter(points, chance=ecs.chance, x_title="FSS, cosine to the source →", y_title="ECS, % →")


@dataclass(frozen=True)
class DropView:
    """Out-of-distribution drops of one metric: domains across, rows down."""

    style: Style
    domains: list[str]
    rows: list[tuple[Row, list[Drop | None]]]
    figure: Markup | None
    labels: str = ""
    unpaired: tuple[str, ...] = ()
    """Domains that show other subjects, so that two means are compared instead of pairs."""


def drops(board: Board, table: Table, domains: Sequence[str]) -> list[DropView]:
    """ECS and FSS in each domain against the same expressions (and subjects, where shown) in distribution."""
    views = []
    requests = board.requests
    styles = requests[(requests["task"] == HEADLINE[0]) & requests["domain"].isin(list(domains))]
    asked = sorted(styles["target_expression"].unique())
    for metric in ("ECS", "FSS"):
        rows = [
            (row, [drop(board, row.id, metric, d) if _comparable(row, metric) else None for d in domains])
            for row in table.rows
        ]
        if not any(item for _, items in rows for item in items):
            continue
        figure = None
        if style_of(metric).percent:
            changes = [
                Change(
                    row.title, row.reference, [(i.in_distribution, i.in_domain) if i else None for i in items]
                )
                for row, items in rows
                if any(items)
            ]
            figure = dumbbells(changes, domains, title=f"{metric} in distribution and in each domain")
        unpaired = [
            domain
            for place, domain in enumerate(domains)
            if any((item := items[place]) is not None and not item.paired for _, items in rows)
        ]
        views.append(
            DropView(style_of(metric), list(domains), rows, figure, ", ".join(asked), tuple(unpaired))
        )
    return views


def _comparable(row: Row, metric: str) -> bool:
    return metric in row.cells and row.cells[metric].value is not None


def marks(table: Table) -> dict[tuple[str, str], Markup]:
    """The interval hairline of every cell, by (row id, metric)."""
    found = {}
    for column in table.columns:
        cells = [(row.id, row.cells[column.style.name]) for row in table.rows]
        axis = _range(column, [cell for _, cell in cells])
        for name, cell in cells:
            if cell.value is not None:
                found[name, column.style.name] = interval_mark(cell.value, cell.low, cell.high, axis)
    return found


def _range(column: Column, cells: Sequence[ScoreCell]) -> tuple[float, float]:
    if column.style.share:
        return 0.0, 1.0
    ends = [v for c in cells for v in (c.value, c.low, c.high) if v is not None and math.isfinite(v)]
    return min(ends), max(ends)


@dataclass(frozen=True)
class Curve:
    """One loss of one phase."""

    phase: str
    name: str
    first: str
    last: str
    figure: Markup


def curves(run: Run) -> list[Curve]:
    """Every loss of a run as a small line."""
    return _lines(run.losses)


def looks(run: Run) -> list[Curve]:
    """Every score on validation subjects that was taken while it was trained, as a small line."""
    return _lines(run.validation)


def _lines(table: pd.DataFrame | None) -> list[Curve]:
    if table is None:
        return []
    found = []
    for (phase, name), part in table.groupby(["phase", "name"], sort=False):
        values = part["value"].astype(float).tolist()
        figure = curve(part["step"].astype(float).tolist(), values, name=f"{name}, phase {phase}")
        found.append(Curve(str(phase), str(name), f"{values[0]:.3g}", f"{values[-1]:.3g}", figure))
    return found


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted keys with text values."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{name}.")
        elif isinstance(item, float):
            flat[name] = f"{item:.6g}"
        elif isinstance(item, list | tuple):
            flat[name] = ", ".join(str(part) for part in item)
        else:
            flat[name] = str(item)
    return flat


def environments(board: Board) -> tuple[dict[str, str], list[tuple[str, dict[str, str]]]]:
    """What every row stood on alike, and what differs, by row."""
    each = [(board.label(run), flatten(run.record.environment)) for run in board.runs]
    if not each:
        return {}, []
    common = {k: v for k, v in each[0][1].items() if all(e.get(k) == v for _, e in each)}
    differing = [(name, {k: v for k, v in e.items() if k not in common}) for name, e in each]
    return common, [(name, rest) for name, rest in differing if rest]


def weights(board: Board) -> list[tuple[str, str, str, str]]:
    """(name, digest, license, how it was accepted) of every pretrained file that a row's scores stand on."""
    lines: dict[tuple[str, str, str, str], None] = {}
    for run in board.runs:
        for name, told in run.record.weights.items():
            terms = f"{told['license']}{' (no commercial use)' if told['non_commercial'] else ''}"
            accepted = told["accepted"] or {}
            how = f"{accepted['how']}, {accepted['at'][:10]}" if accepted else ""
            lines[name, told["sha256"], terms, how] = None
    return sorted(lines)


def not_run(board: Board) -> list[tuple[str, str, str, str]]:
    """(task, domain, reason, rows) of every task that was left out; one line for all rows alike."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for runs in board.methods.values():
        for item in runs[0].record.not_run:
            lines.setdefault((item.task, item.domain, item.reason), []).append(runs[0].title)
    total = len(board.methods)
    return [
        (*key, "all rows" if len(rows) == total else ", ".join(rows)) for key, rows in sorted(lines.items())
    ]
