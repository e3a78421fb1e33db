"""The same tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from fesbench.records.markdown import markdown_table

from .metric_display import Style
from .table_model import ScoreCell, Table

CSV_COLUMNS = (
    "task", "domain", "given", "method", "reference", "metric", "value", "low", "high", "rank",
    "n_requested", "n_valid", "identities", "split", "reason", "signature",
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
    """One line a score, unrounded, with its reason and signature."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in tables:
        for row in table.rows:
            for metric, cell in row.cells.items():
                writer.writerow(
                    [
                        table.task, table.domain, row.given, row.id, int(row.reference), metric,
                        *("" if v is None else repr(v) for v in (cell.value, cell.low, cell.high)),
                        "" if cell.rank is None else cell.rank,
                        cell.n_requested, cell.n_valid, cell.identities,
                        "by image" if table.split_note else "by identity", cell.reason, cell.signature,
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
                name = _markdown(row.title) + ("" if given == "label" else f" (given {given})")
                texts = []
                for column in table.columns:
                    cell = row.cells[column.style.name]
                    text = _markdown(cell_text(column.style, cell))
                    texts.append(f"**{text}**" if cell.best else text)
                lines.append([f"*{name}*" if row.reference else name, *texts])
        parts.append(markdown_table(["method", *heads], lines, numbers=True))
        parts += ["", *(f"- {m}: n/a ({_markdown(reason)})" for m, reason in table.folded)]
        parts += ["", *(f"    {c.signature}" for c in table.columns), ""]
    return "\n".join(parts)


def _arrow(style: Style) -> str:
    return {"higher": " ↑", "lower": " ↓"}.get(style.direction, "")


def _markdown(text: str) -> str:
    for sign in "\\`*_{}[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def to_latex(table: Table) -> str:
    """The headline as a booktabs table, signatures in comments."""
    columns = table.columns
    heads = [
        _latex(c.style.name)
        + {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}.get(c.style.direction, "")
        for c in columns
    ]
    lines = [f"% {c.signature}" for c in columns]
    note = rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{\footnotesize {table.split_note}}} \\"
    lines += [
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["method", *heads]) + r" \\",
        r"\midrule",
    ]
    for index, (given, rows) in enumerate(table.groups):
        if index:
            lines += [r"\midrule", rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{given {_latex(given)}}} \\"]
        for row in rows:
            name = rf"\textit{{{_latex(row.title)}}}" if row.reference else _latex(row.title)
            lines.append(
                " & ".join([name, *(_latex_cell(c.style, row.cells[c.style.name]) for c in columns)]) + r" \\"
            )
    lines += [r"\bottomrule", *([note] if table.split_note else [])]
    return "\n".join([*lines, r"\end{tabular}", ""])


def _latex_cell(style: Style, cell: ScoreCell) -> str:
    if cell.value is None:
        return "n/a"
    value = style.text(cell.value).replace("−", "-")
    text = rf"\mathbf{{{value}}}" if cell.best else value
    if cell.low is not None and cell.high is not None:
        low, high = (style.text(v).replace("−", "-") for v in (cell.low, cell.high))
        text += rf"\;{{\scriptstyle[{low},\,{high}]}}"
    return f"${text}$"


def _latex(text: str) -> str:
    codes = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    codes |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(codes.get(c, c) for c in text)
