"""A page for each method of a board: its card, its citation, what it took, how it learned, what it makes."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.files import atomic_write_bytes

from . import sections
from .bibtex import bibtex
from .boards import Board, Run
from .cost import cost_table
from .image_grid import Gallery, Panel
from .metric_display import Style
from .pages import with_own
from .table_model import Column, Row, ScoreCell, Table

if TYPE_CHECKING:
    from jinja2 import Environment

_CARD = {
    "needs": "Learns from",
    "controls": "Answers",
    "native": "Its own image form",
    "helpers": "Pretrained networks in it",
}
_DIFFERENCES = ("notes", "preset_note", "budget_note")


@dataclass(frozen=True)
class Profile:
    """Metrics down, expressions (action units, levels) across, of one row alone."""

    task: str
    by: str
    expressions: list[str]
    lines: list[tuple[Style, list[sections.HeatCell | None]]]


def method_pages(board: Board, stem: str) -> dict[str, str]:
    """A file name for the page of each method, different ones for different methods."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for method in board.methods:
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in method)
        number, name = 1, plain
        while name.lower() in taken:  # a disk may not tell capitals apart
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.lower())
        found[method] = f"{stem}method-{name}.html"
    return found


def link_methods(tables: Sequence[Table], pages: dict[str, str]) -> None:
    """Let every row's name lead to its page."""
    for table in tables:
        for row in table.rows:
            row.href = pages.get(row.id, "")


def write_method_pages(
    board: Board, context: dict[str, Any], pages: dict[str, str], out: Path, page: str, templates: Environment
) -> None:
    """Write the page of every method.

    Args:
        board: the rows.
        context: of the board's own page: ``tables``, ``heat_maps``, ``unit_maps``, ``galleries``.
        pages: from `method_pages`.
        out: the report's folder.
        page: the board's own page.
        templates: of the report.
    """
    template, own = templates.get_template("method.html.j2"), with_own(templates, "method")
    for method, name in pages.items():
        runs = board.methods[method]
        html = template.render(
            key=board.key,
            page=page,
            **_told(board, method, runs, context["tables"]),
            profiles=_profiles(method, context),
            panels=_panels(method, context["galleries"]),
            **own,
        )
        atomic_write_bytes(out / name, html.encode())


def _told(board: Board, method: str, runs: Sequence[Run], tables: Sequence[Table]) -> dict[str, Any]:
    run = runs[0]
    card = run.record.card
    citation, year = str(card.get("citation") or ""), int(card.get("year") or 0)
    cited = citation and not run.reference
    return {
        "title": run.title,
        "method": method,
        "marks": [
            mark for table in tables[:1] for row in table.rows if row.id == method for mark in row.marks
        ],
        "facts": _facts(runs),
        "citation": citation,
        "bibtex": bibtex(method.partition("@")[0], run.title, citation, year) if cited else "",
        "built": _built(method) if run.record.trained_on == "fesbench" else [],
        "differences": [text for name in _DIFFERENCES if (text := str(card.get(name) or ""))],
        "scores": _scores(method, tables),
        "costs": cost_table(board, [method]),
        "parameters": sections.flatten(run.record.parameters),
        "trainings": [(board.label(r), r, sections.curves(r), sections.looks(r)) for r in runs],
        "units": board.units,
    }


def _facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The card and how its rows came about."""
    record = runs[0].record
    card = record.card
    facts = [("Name", record.cell.method)]
    facts += [("Year", str(card["year"]))] if card.get("year") else []
    facts += [(title, text) for key, title in _CARD.items() if (text := _words(card.get(key)))]
    facts += [("Preset, budget", f"{record.cell.preset}, {record.cell.budget}")]
    facts += [("Seeds", ", ".join(str(run.record.cell.seed) for run in runs))]
    facts += [
        ("Trained by", "others, as they declare" if record.trained_on == "declared" else record.trained_on)
    ]
    used = record.trained_with
    facts += [("Networks of others in training", "unknown" if used is None else ", ".join(used) or "none")]
    if record.loaded:
        facts.append(
            ("Weights loaded from", str(record.loaded.get("file") or record.loaded.get("zoo") or ""))
        )
    if record.steps:
        facts.append(("Steps", ", ".join(f"{name} {count:,}" for name, count in record.steps.items())))
    if record.counts:
        facts.append(
            ("Images", ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in record.counts.items()))
        )
    return facts


def _built(method: str) -> list[str]:
    """What the installed method's file says at its top: what was chosen where paper and code differ."""
    from fesbench.methods.registry import METHODS

    entry = METHODS.declared.get(method.partition("@")[0])
    spec = None if entry is None else find_spec(entry.module)
    if spec is None or spec.origin is None:
        return []
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return [" ".join(part.split()).replace("``", "") for part in text.split("\n\n")]


def _words(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value or "")


@dataclass(frozen=True)
class Line:
    """One metric over the tasks and domains of a board: a cell each, None where it has no score there."""

    column: Column
    cells: list[ScoreCell | None]


def _scores(method: str, tables: Sequence[Table]) -> tuple[list[Table], list[Line]]:
    """The tables in which a method has scores, and these, a line a metric."""
    rows: dict[str, Row] = {table.id: row for table in tables for row in table.rows if row.id == method}
    shown = [
        t for t in tables if t.id in rows and any(c.value is not None for c in rows[t.id].cells.values())
    ]
    columns = {column.style.name: column for table in reversed(shown) for column in table.columns}
    lines = []
    for name in dict.fromkeys(column.style.name for table in shown for column in table.columns):
        found = [rows[table.id].cells.get(name) for table in shown]
        cells = [None if cell is None or cell.value is None else cell for cell in found]
        if any(cells):
            lines.append(Line(columns[name], cells))
    return shown, lines


def _profiles(method: str, context: dict[str, Any]) -> list[Profile]:
    """The heat maps' rows of one method, maps over the same things together."""
    found: dict[tuple[str, str, tuple[str, ...]], Profile] = {}
    headline = context["tables"][0]
    maps = [(headline, one) for one in context["heat_maps"]]
    maps += [(t, one) for t in context["tables"] if t is not headline for one in context["unit_maps"][t.id]]
    for table, one in maps:
        told = f"{table.task}, {table.domain}" if table.domain != "in" else table.task
        key = (told, one.by, tuple(one.expressions))
        for row, cells in one.rows:
            if row.id == method and any(cells):
                profile = found.setdefault(key, Profile(told, one.by, one.expressions, []))
                profile.lines.append((one.style, cells))
    return list(found.values())


def _panels(method: str, galleries: dict[str, list[Gallery]]) -> list[Panel]:
    """The board's strips of source, target and this method, in place of a sheet of its own."""
    found = []
    for gallery in (one for kind in galleries.values() for one in kind):
        for panel in gallery.panels:
            if any(strip.method == method for strip in panel.strips):
                kept = [s for s in panel.strips if s.kind in ("source", "target") or s.method == method]
                found.append(replace(panel, strips=kept))
    return found
