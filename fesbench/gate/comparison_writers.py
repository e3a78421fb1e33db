"""A comparison as rows of text, Markdown and JSON."""

from __future__ import annotations

import math
from typing import Any

from fesbench.gate.comparison import Compared, Comparison

COLUMNS = ("where", "metric", "A", "B", "A - B", "95 % interval", "p (Holm)", "better under A", "seeds' SD")


def as_rows(comparison: Comparison) -> list[list[str]]:
    """One row a figure that could be compared, under COLUMNS."""
    shown = [row for row in comparison.rows if row.difference is not None]
    return [_row(row) for row in shown]


def remarks(comparison: Comparison) -> list[str]:
    """What the table does not hold, and why; equal reasons together."""
    reasons: dict[tuple[str, str], list[Compared]] = {}
    for row in comparison.rows:
        if row.reason:
            reasons.setdefault((row.status, row.reason), []).append(row)
    lines = []
    for (status, reason), rows in reasons.items():
        names = list(dict.fromkeys(row.metric for row in rows))
        figures = f"{len(rows)} figure{'s' if len(rows) > 1 else ''}"
        places = list(dict.fromkeys(f"{row.task} {row.domain}" for row in rows))
        lines.append(f"{status}: {', '.join(names)} in {', '.join(places)} ({figures}): {reason}")
    return lines


def markdown(comparison: Comparison) -> str:
    """The table for a page or a comment."""
    title = f"**A** = {comparison.a.name}, **B** = {comparison.b.name}, {comparison.a.cell.protocol}"
    lines = [f"{title}; differences are paired over subjects, p-values Holm-adjusted.", ""]
    lines.append(table(list(COLUMNS), as_rows(comparison)))
    lines += ["", *(f"- {line}" for line in remarks(comparison))]
    return "\n".join(lines).rstrip() + "\n"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in (columns, *rows)]
    cells.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as data; NaN becomes null."""
    rows = []
    for row in comparison.rows:
        found = row.difference
        rows.append(
            {
                **dict(zip(("task", "domain", "expression", "metric"), row.key, strict=True)),
                "direction": row.direction,
                "status": row.status,
                "reason": row.reason,
                "a": row.a,
                "b": row.b,
                "difference": None if found is None else found.value,
                "low": None if found is None else finite(found.low),
                "high": None if found is None else finite(found.high),
                "p": None if found is None else finite(found.p),
                "p_holm": finite(row.p_adjusted),
                "better_under_a": row.improved,
                "people": 0 if found is None else found.people,
                "seed_sd_a": row.seed_sd_a,
                "seed_sd_b": row.seed_sd_b,
                "method": "" if found is None else found.method,
            }
        )
    sides = {
        name: {"cell": side.cell.model_dump(), "seeds": side.seeds}
        for name, side in (("a", comparison.a), ("b", comparison.b))
    }
    return {**sides, "rows": rows}


def number(value: float | None) -> str:
    """Four significant digits with a real minus sign; a dash where there is no figure."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}".replace("-", "−")


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinities (JSON has neither)."""
    return value if math.isfinite(value) else None


def _row(row: Compared) -> list[str]:
    found = row.difference
    assert found is not None  # as_rows leaves the others out
    interval = f"{number(found.low)} … {number(found.high)}" if math.isfinite(found.low) else "–"
    p = (
        "–"
        if math.isnan(row.p_adjusted)
        else ("< 0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}")
    )
    better = f"{row.improved} of {found.people}" if found.people and row.direction else "–"
    spread = (
        "–"
        if row.seed_sd_a is None and row.seed_sd_b is None
        else (f"{number(row.seed_sd_a)} / {number(row.seed_sd_b)}")
    )
    where = f"{row.task} {row.domain}" + (f" {row.expression}" if row.expression != "all" else "")
    return [where, row.metric, number(row.a), number(row.b), number(found.value), interval, p, better, spread]
