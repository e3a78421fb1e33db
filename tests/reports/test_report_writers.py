from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.grid_writers import to_latex
from fesbench.reports.paper_tables import main_grid
from fesbench.reports.table_model import Table
from fesbench.reports.tables import build_table
from fesbench.reports.writers import to_csv, to_markdown


@pytest.fixture(scope="module")
def table(runs: Path) -> Table:
    return build_table(make_boards(read_runs(runs)[0])[0], "expression", "in")


def test_csv_holds_every_figure_unrounded_with_its_signature(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv([table]))))
    assert len(lines) == sum(len(row.cells) for row in table.rows)
    line = next(x for x in lines if (x["method"], x["metric"]) == ("mr", "ECS"))
    cell = next(r for r in table.rows if r.id == "mr").cells["ECS"]
    assert float(line["value"]) == cell.value
    assert line["signature"] == cell.signature
    marked = next(row for row in table.rows if row.marks)
    told = {x["remarks"] for x in lines if x["method"] == marked.id}
    assert told == {"; ".join(word for word, _ in marked.marks)}
    odd = next(x for x in lines if (x["method"], x["metric"]) == ("pix2pix", "FID"))
    assert (odd["value"], odd["reason"]) == ("", "not comparable: ref")


def test_markdown_escapes_and_has_equal_columns(table: Table) -> None:
    text = to_markdown([table])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(table.columns) + 2}
    assert "<script>" not in text
    assert "**" in text


def test_latex_escapes_and_closes(table: Table) -> None:
    text = to_latex(main_grid(table))
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert all(line.replace(r"\&", "").count("&") == len(table.columns) for line in body)
    assert r"TAR@FAR=1\%" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert r"\mathbf{" in text
