"""A paper's table as LaTeX (booktabs), Markdown, CSV, JSON or HTML.

The page writes what its reader chose in the same form (``templates/grid.js``); a test holds the two equal.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from html import escape

from fesbench.records.markdown import markdown_table

from .paper_tables import Entry, Grid, Line
from .writers import markdown_text

_ARROWS = {"higher": "↑", "lower": "↓"}


def to_latex(grid: Grid, *, intervals: bool = True) -> str:
    """A ``tabular`` for the packages booktabs; signatures in comments."""
    width = len(grid.heads) + 1
    arrows = {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}
    lines = [f"% {_flat(comment)}" for comment in (grid.caption, *grid.comments)]
    lines += [
        rf"\begin{{tabular}}{{l{'r' * len(grid.heads)}}}",
        r"\toprule",
        " & ".join(["method", *(_latex(name) + arrows.get(way, "") for name, way in grid.heads)]) + r" \\",
        r"\midrule",
    ]
    for index, (title, rows) in enumerate(grid.groups):
        lines += [r"\midrule"] if index else []
        lines += [rf"\multicolumn{{{width}}}{{l}}{{{_latex(title)}}} \\"] if title else []
        for row in rows:
            title = _latex(_titled(row))
            name = rf"\textit{{{title}}}" if row.reference else title
            cells = [_latex_cell(entry, intervals=intervals) for entry in row.entries]
            lines.append(" & ".join([name, *cells]) + r" \\")
    note = rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {_latex(grid.note)}}} \\"
    return "\n".join([*lines, r"\bottomrule", *([note] if grid.note else []), r"\end{tabular}", ""])


def to_markdown(grid: Grid, *, intervals: bool = True) -> str:
    """A table with its caption above it."""
    lines = []
    for title, rows in grid.groups:
        for row in rows:
            name = markdown_text(_titled(row)) + (f" ({markdown_text(title)})" if title else "")
            cells = [_plain(entry, intervals=intervals) for entry in row.entries]
            texts = [
                f"**{markdown_text(text)}**" if entry.best else markdown_text(text)
                for text, entry in zip(cells, row.entries, strict=True)
            ]
            lines.append([f"*{name}*" if row.reference else name, *texts])
    note = f"\n*{markdown_text(grid.note)}*\n" if grid.note else ""
    table = markdown_table(["method", *map(_head, grid.heads)], lines, numbers=True)
    return f"{markdown_text(grid.caption)}\n\n{table}\n{note}"


def to_csv(grid: Grid, *, intervals: bool = True) -> str:
    """Values and bounds not rounded where the grid has them, else its texts; bounds in own columns.

    The last column has a row's marks and the grid's note, where there is either.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    bounded = [
        intervals and any(row.entries[k].bounds for _, rows in grid.groups for row in rows)
        for k in range(len(grid.heads))
    ]
    heads = []
    for (name, _), wide in zip(grid.heads, bounded, strict=True):
        heads += [name, f"{name} low", f"{name} high"] if wide else [name]
    remarked = bool(grid.note) or any(row.marks for _, rows in grid.groups for row in rows)
    writer.writerow(["method", *heads, *(["remarks"] if remarked else [])])
    for _, rows in grid.groups:
        for row in rows:
            cells: list[str] = []
            for entry, wide in zip(row.entries, bounded, strict=True):
                cells.append(entry.text if entry.value is None else repr(entry.value))
                bounds = [repr(limit) for limit in entry.limits] if entry.limits else entry.bounds or ("", "")
                cells += bounds if wide else []
            remarks = ["; ".join(filter(None, (*row.marks, grid.note)))] if remarked else []
            writer.writerow([row.title, *(cell.replace("−", "-") for cell in cells), *remarks])
    return buffer.getvalue()


def to_json(grid: Grid, *, intervals: bool = True) -> str:
    """One object a row; values and bounds not rounded, in the unit that their name says."""
    rows = []
    for title, lines in grid.groups:
        for line in lines:
            values = {}
            for (name, _), entry in zip(grid.heads, line.entries, strict=True):
                low, high = entry.limits or (None, None)
                told = {"text": entry.text, "value": entry.value, "best": entry.best}
                values[name] = told | ({"low": low, "high": high} if intervals else {})
            row = {"method": line.title, "group": title, "reference": line.reference, "marks": line.marks}
            rows.append(row | {"values": values})
    whole = {"caption": grid.caption, "note": grid.note, "signatures": grid.comments, "rows": rows}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def to_html(grid: Grid, *, intervals: bool = True) -> str:
    """A bare ``<table>``, for a page with a style of its own."""
    heads = "".join(f'<th scope="col">{escape(_head(head))}</th>' for head in grid.heads)
    lines = [f"<table>\n<caption>{escape(grid.caption)}</caption>"]
    lines += [f'<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n<tbody>']
    for title, rows in grid.groups:
        if title:
            lines.append(
                f'<tr><th colspan="{len(grid.heads) + 1}" scope="colgroup">{escape(title)}</th></tr>'
            )
        for row in rows:
            shown = escape(_titled(row))
            name = f"<i>{shown}</i>" if row.reference else shown
            cells = ""
            for entry in row.entries:
                text = escape(_plain(entry, intervals=intervals))
                cells += f"<td>{f'<b>{text}</b>' if entry.best else text}</td>"
            lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    foot = f"<p><small>{escape(grid.note)}</small></p>\n" if grid.note else ""
    return "\n".join([*lines, "</tbody>\n</table>", foot])


WRITERS: dict[str, Callable[..., str]] = {
    "latex": to_latex,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}


def _titled(row: Line) -> str:
    return row.title + (f" ({', '.join(row.marks)})" if row.marks else "")


def _head(head: tuple[str, str]) -> str:
    name, way = head
    return f"{name} {_ARROWS[way]}" if way else name


def _plain(entry: Entry, *, intervals: bool) -> str:
    return (
        f"{entry.text} [{entry.bounds[0]}, {entry.bounds[1]}]" if intervals and entry.bounds else entry.text
    )


def _latex_cell(entry: Entry, *, intervals: bool) -> str:
    if entry.value is None:
        return _latex(entry.text)
    text = entry.text.replace("−", "-")
    if not text.replace(".", "").replace("-", "").isdigit():
        return _latex(entry.text)  # a value with its unit, such as 1.2 M
    text = rf"\mathbf{{{text}}}" if entry.best else text
    if intervals and entry.bounds:
        low, high = (bound.replace("−", "-") for bound in entry.bounds)
        text += rf"\;{{\scriptstyle[{low},\,{high}]}}"
    return f"${text}$"


def _latex(text: str) -> str:
    codes = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    codes |= {"×": r"$\times$", "−": "$-$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    codes |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(codes.get(c, c) for c in _flat(text))


def _flat(text: str) -> str:
    """On one line: a line's end would end a comment, or a row."""
    return " ".join(text.split())
