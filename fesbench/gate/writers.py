"""Verdicts and comparisons: JSON for programs, Markdown for a pull request, JUnit XML for a test page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from fesbench.gate.check import GateReport
from fesbench.gate.comparison import Compared, Comparison
from fesbench.gate.rows import exit_code
from fesbench.gate.verdict import COST, Verdict
from fesbench.records.markdown import markdown_table

SHOWN = 25
"""Rows of a Markdown summary: a comment should be read, the rest is in the JSON."""
VERDICT_COLUMNS = ("verdict", "where", "score", "baseline", "run", "change, 95 % interval", "tolerance")
COMPARISON_COLUMNS = (
    "where",
    "metric",
    "A",
    "B",
    "A - B",
    "95 % interval",
    "p (Holm)",
    "better under A",
    "seeds' SD",
)
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verdicts_json(reports: Sequence[GateReport]) -> dict[str, Any]:
    """Every verdict, under a schema version; of several methods one entry each under ``methods``."""
    told = [_report_json(report) for report in reports]
    if len(told) == 1:
        return {"schema_version": 1, **told[0]}
    worst = next(r for r in told if r["exit_code"] == exit_code(reports))
    return {
        "schema_version": 1,
        "result": worst["result"],
        "exit_code": worst["exit_code"],
        "counts": {status: sum(r["counts"][status] for r in told) for status in worst["counts"]},
        "methods": told,
    }


def _report_json(report: GateReport) -> dict[str, Any]:
    return {
        "result": report.result,
        "exit_code": report.exit_code,
        "counts": report.counts,
        "run": {"cell": report.run.cell.model_dump(), "seeds": report.run.seeds},
        "baseline": {"cell": report.baseline.cell.model_dump(), "seeds": report.baseline.seeds},
        "verdicts": [asdict(verdict) for verdict in report.verdicts],
        "notes": report.notes,
    }


def headline(report: GateReport) -> str:
    """One line: what came out, of what."""
    told = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    return f"{report.run.name} on {report.run.cell.protocol}: {report.result} ({told or 'nothing to judge'})"


def verdicts_markdown(report: GateReport) -> str:
    """A short summary: every verdict but "same"."""
    lines = [f"### fesbench: {headline(report)}", ""]
    shown = [verdict for verdict in report.verdicts if verdict.status != "same"]
    if shown:
        lines += [markdown_table(VERDICT_COLUMNS, [verdict_row(verdict) for verdict in shown[:SHOWN]]), ""]
    if len(shown) > SHOWN:
        lines.append(f"- and {len(shown) - SHOWN} more, in the JSON verdict")
    reasons = dict.fromkeys(verdict.reason for verdict in shown if verdict.reason)
    lines += [f"- {reason}" for reason in (*reasons, *report.notes)]
    return "\n".join(lines).rstrip() + "\n"


def verdict_row(verdict: Verdict) -> list[str]:
    """A verdict as the cells of a table."""
    scale, unit = (100, " %") if verdict.task == COST else (1, "")
    change = "–"
    if verdict.change is not None:
        change = f"{number(scale * verdict.change)}{unit}"
    if verdict.low is not None and verdict.high is not None:
        change += f" ({number(scale * verdict.low)} … {number(scale * verdict.high)})"
    allowed = f"{number(scale * verdict.tolerance)}{unit}"
    scores = [number(verdict.old), number(verdict.new)]
    return [verdict.status, verdict.group.replace(".", " "), verdict.name, *scores, change, allowed]


def junit(reports: Sequence[GateReport]) -> bytes:
    """One suite a method, one test case a score: worse fails, what could not be judged is an error."""
    suites = ElementTree.Element("testsuites")
    for report in reports:
        name = "fesbench check" if len(reports) == 1 else f"fesbench check {report.run.cell.method}"
        _suite(suites, report, name)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))


def _suite(suites: ElementTree.Element, report: GateReport, name: str) -> None:
    counts = report.counts
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=_text(name),
        tests=str(len(report.verdicts)),
        failures=str(counts["worse"]),
        errors=str(counts["not comparable"] + counts["missing"]),
        skipped="0",
    )
    for verdict in report.verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_text(verdict.group), name=_text(verdict.name), time="0"
        )
        _, _, _, old, new, change, allowed = verdict_row(verdict)
        told = f"baseline {old}, run {new}, change {change}, tolerance {allowed}"
        if verdict.status == "worse":
            ElementTree.SubElement(case, "failure", message=f"worse: {told}", type="worse")
        elif verdict.status in ("not comparable", "missing"):
            message = _text(f"{verdict.status}: {verdict.reason}")
            ElementTree.SubElement(case, "error", message=message, type=verdict.status)
        else:
            ElementTree.SubElement(case, "system-out").text = f"{verdict.status}: {told}"


def _text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NO_XML.sub("?", text)


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """One row a score that could be compared, under COMPARISON_COLUMNS."""
    return [_comparison_row(row) for row in comparison.rows if row.difference is not None]


def remarks(comparison: Comparison) -> list[str]:
    """What the table does not hold, and why; equal reasons together."""
    reasons: dict[tuple[str, str], list[Compared]] = {}
    for row in comparison.rows:
        if row.reason:
            reasons.setdefault((row.status, row.reason), []).append(row)
    lines = []
    for (status, reason), rows in reasons.items():
        names = list(dict.fromkeys(row.metric for row in rows))
        scores = f"{len(rows)} score{'s' if len(rows) > 1 else ''}"
        places = list(dict.fromkeys(f"{row.task} {row.domain}" for row in rows))
        lines.append(f"{status}: {', '.join(names)} in {', '.join(places)} ({scores}): {reason}")
    return lines


def comparison_markdown(comparison: Comparison) -> str:
    """The table for a page or a comment."""
    title = f"**A** = {comparison.a.name}, **B** = {comparison.b.name}, {comparison.a.cell.protocol}"
    lines = [f"{title}; differences are paired over subjects, p-values Holm-adjusted.", ""]
    lines.append(markdown_table(COMPARISON_COLUMNS, comparison_rows(comparison)))
    lines += ["", *(f"- {line}" for line in remarks(comparison))]
    return "\n".join(lines).rstrip() + "\n"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
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
    """Four significant digits with a real minus sign; a dash where there is no score."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}".replace("-", "−")


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinities (JSON has neither)."""
    return value if math.isfinite(value) else None


def _comparison_row(row: Compared) -> list[str]:
    found = row.difference
    assert found is not None  # comparison_rows leaves the others out
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
