"""A gate report as JSON for programs, Markdown for a pull request, and JUnit XML for a test page."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from fesbench.gate.check import GateReport
from fesbench.gate.comparison_writers import number, table
from fesbench.gate.verdict import COST, Verdict

SHOWN = 25
"""Rows of a Markdown summary: a comment should be read, the rest is in the JSON."""
_COLUMNS = ["verdict", "where", "figure", "baseline", "run", "change, 95 % interval", "tolerance"]
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(report: GateReport) -> dict[str, Any]:
    """Everything, under a schema version."""
    return {
        "schema_version": 1,
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


def markdown(report: GateReport) -> str:
    """A short summary: every verdict but "same"."""
    lines = [f"### fesbench: {headline(report)}", ""]
    shown = [verdict for verdict in report.verdicts if verdict.status != "same"]
    if shown:
        lines += [table(_COLUMNS, [row(verdict) for verdict in shown[:SHOWN]]), ""]
    if len(shown) > SHOWN:
        lines.append(f"- and {len(shown) - SHOWN} more, in the JSON verdict")
    reasons = dict.fromkeys(verdict.reason for verdict in shown if verdict.reason)
    lines += [f"- {reason}" for reason in (*reasons, *report.notes)]
    return "\n".join(lines).rstrip() + "\n"


def row(verdict: Verdict) -> list[str]:
    """A verdict as the cells of a table."""
    scale, unit = (100, " %") if verdict.task == COST else (1, "")
    change = "–"
    if verdict.change is not None:
        change = f"{number(scale * verdict.change)}{unit}"
    if verdict.low is not None and verdict.high is not None:
        change += f" ({number(scale * verdict.low)} … {number(scale * verdict.high)})"
    allowed = f"{number(scale * verdict.tolerance)}{unit}"
    figures = [number(verdict.old), number(verdict.new)]
    return [verdict.status, verdict.group.replace(".", " "), verdict.name, *figures, change, allowed]


def junit(report: GateReport) -> bytes:
    """One test case a figure: worse fails, what could not be judged is an error."""
    counts = report.counts
    suite = ElementTree.Element(
        "testsuite",
        name="fesbench check",
        tests=str(len(report.verdicts)),
        failures=str(counts["worse"]),
        errors=str(counts["not comparable"] + counts["missing"]),
        skipped="0",
    )
    for verdict in report.verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_text(verdict.group), name=_text(verdict.name), time="0"
        )
        _, _, _, old, new, change, allowed = row(verdict)
        told = f"baseline {old}, run {new}, change {change}, tolerance {allowed}"
        if verdict.status == "worse":
            ElementTree.SubElement(case, "failure", message=f"worse: {told}", type="worse")
        elif verdict.status in ("not comparable", "missing"):
            message = _text(f"{verdict.status}: {verdict.reason}")
            ElementTree.SubElement(case, "error", message=message, type=verdict.status)
        else:
            ElementTree.SubElement(case, "system-out").text = f"{verdict.status}: {told}"
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))


def _text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NO_XML.sub("?", text)
