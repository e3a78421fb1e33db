"""The leaderboard's tables as CSV and Markdown, with every reason and signature."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from fesbench.records.markdown import markdown_table

from .metric_display import Style
from .table_model import ScoreCell, Table

CSV_COLUMNS = (
    "task", "domain", "given", "method", "reference", "metric", "value", "low", "high", "rank",
    "n_requested", "n_valid", "identities", "split", "reason", "remarks", "signature",
)  # fmt: skip


def cell_text(style: Style, cell: ScoreCell) -> str:
    """``71.4 [68.0, 74.8]``, or ``n/a (reason)``."""
    if cell.value is None:
        return f"n/a ({cell.reason})"
    text = style.text(cell.value)
    if cell.low is not None and cell.high is not None:
        text += f" [{style.text(cell.low)}, {style.text(cell.high)}]"
    if cell.seeds:
        span = f"{style.text(min(cell.seeds))} to {style.text(max(cell.seeds))}"
        text += f" (mean of {len(cell.seeds)} seeds, {span})"
    return text


def to_csv(tables: Sequence[Table]) -> str:
    """One line a score, unrounded, with its reason, its row's marks, its judge's verdict, its signature."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in tables:
        doubts = {c.style.name: f"{c.unreliable}, not ranked" for c in table.columns if c.unreliable}
        for row in table.rows:
            marks = [word for word, _ in row.marks]
            for metric, cell in row.cells.items():
                remarks = "; ".join([*marks, *([doubts[metric]] if metric in doubts else [])])
                writer.writerow(
                    [
                        table.task, table.domain, row.given, row.id, int(row.reference), metric,
                        *("" if v is None else repr(v) for v in (cell.value, cell.low, cell.high)),
                        "" if cell.rank is None else cell.rank,
                        cell.n_requested, cell.n_valid, cell.identities,
                        "by image" if table.split_note else "by identity", cell.reason, remarks,
                        cell.signature,
                    ]
                )  # fmt: skip
    return buffer.getvalue()


def to_markdown(tables: Sequence[Table]) -> str:
    """One table a task; signatures below each."""
    parts = []
    for table in tables:
        heads = [
            f"{c.style.name}{_arrow(c.style)}{f' ({c.style.unit})' if c.style.unit else ''}"
            for c in table.columns
        ]
        parts += [f"## Task {table.task}, domain {table.domain}", ""]
        parts += [f"*{table.split_note}*", ""] if table.split_note else []
        lines = []
        for given, rows in table.groups:
            for row in rows:
                name = markdown_text(row.title) + ("" if given == "label" else f" (given {given})")
                texts = []
                for column in table.columns:
                    cell = row.cells[column.style.name]
                    text = markdown_text(cell_text(column.style, cell))
                    texts.append(f"**{text}**" if cell.best else text)
                lines.append([f"*{name}*" if row.reference else name, *texts])
        parts.append(markdown_table(["method", *heads], lines, numbers=True))
        parts += [
            "",
            *(f"- {c.style.name}: {c.unreliable}; not ranked" for c in table.columns if c.unreliable),
        ]
        parts += ["", *(f"- {m}: n/a ({markdown_text(reason)})" for m, reason in table.folded)]
        parts += ["", *(f"    {c.signature}" for c in table.columns), ""]
    return "\n".join(parts)


def _arrow(style: Style) -> str:
    return {"higher": " ↑", "lower": " ↓"}.get(style.direction, "")


def markdown_text(text: str) -> str:
    """A text of which nothing is read as markup."""
    for sign in "\\`*_{}[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
