"""Tables of a paper: what stands in them, in four formats; LaTeX by a real compiler where there is one."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.cli.main import main
from fesbench.errors import UsageError
from fesbench.reports.grid_writers import WRITERS, to_csv, to_html, to_json, to_latex, to_markdown
from fesbench.reports.paper_tables import LAYOUTS, Entry, Grid, Line, paper_table
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

GRID = Grid(
    "A caption\nof <two> lines",
    [("ECS (%)", "higher"), ("FID", "lower")],
    [
        ("", [Line("A & B_1", [Entry("71.4", 71.4, ("68.0", "74.8"), True, (68.04, 74.8)), Entry("n/a")])]),
        (
            "given landmarks",
            [Line("C|<b>", [Entry("−3.0", -3.0), Entry("1.2 M", 1.2e6)], True, ("zoo", "a_b"))],
        ),
    ],
    ["ECS|v:1"],
    "split by image",
)


def test_latex_by_hand() -> None:
    assert to_latex(GRID).splitlines() == [
        "% A caption of <two> lines",
        "% ECS|v:1",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"method & ECS (\%) $\uparrow$ & FID $\downarrow$ \\",
        r"\midrule",
        r"A \& B\_1 & $\mathbf{71.4}\;{\scriptstyle[68.0,\,74.8]}$ & n/a \\",
        r"\midrule",
        r"\multicolumn{3}{l}{given landmarks} \\",
        r"\textit{C\textbar{}\textless{}b\textgreater{} (zoo, a\_b)} & $-3.0$ & 1.2 M \\",
        r"\bottomrule",
        r"\multicolumn{3}{l}{\footnotesize split by image} \\",
        r"\end{tabular}",
    ]
    assert "scriptstyle" not in to_latex(GRID, intervals=False)


def test_the_other_formats_by_hand() -> None:
    assert to_markdown(GRID).splitlines() == [
        r"A caption of \<two\> lines",
        "",
        "| method | ECS (%) ↑ | FID ↓ |",
        "| --- | ---: | ---: |",
        r"| A & B\_1 | **71.4 \[68.0, 74.8\]** | n/a |",
        r"| *C\|\<b\> (zoo, a\_b) (given landmarks)* | −3.0 | 1.2 M |",
        "",
        "*split by image*",
    ]
    assert to_csv(GRID).splitlines() == [
        "method,ECS (%),ECS (%) low,ECS (%) high,FID,remarks",
        "A & B_1,71.4,68.04,74.8,n/a,split by image",
        "C|<b>,-3.0,,,1200000.0,zoo; a_b; split by image",
    ]
    first, second = json.loads(to_json(GRID))["rows"]
    assert first["values"]["ECS (%)"] == {
        "text": "71.4", "value": 71.4, "best": True, "low": 68.04, "high": 74.8,
    }  # fmt: skip
    assert (second["group"], second["reference"]) == ("given landmarks", True)
    assert "low" not in json.loads(to_json(GRID, intervals=False))["rows"][0]["values"]["FID"]
    html = to_html(GRID)
    assert "<td><b>71.4 [68.0, 74.8]</b></td>" in html
    assert "<i>C|&lt;b&gt; (zoo, a_b)</i>" in html
    assert "<b>71.4</b>" in to_html(GRID, intervals=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_in_every_format(runs: Path, layout: str) -> None:
    metrics = [] if layout == "cost" else ["ECS"]
    grid = paper_table(runs, layout, metrics)
    lines = [line for _, group in grid.groups for line in group]
    assert lines
    assert all(len(line.entries) == len(grid.heads) for line in lines)
    for write in WRITERS.values():
        assert all(word in write(grid) for word in ("method", "RegGAN"))


def test_the_layouts_show_what_they_say(runs: Path, tmp_path: Path) -> None:
    grid = paper_table(runs, "main", ["FID", "ECS"])
    assert grid.heads == [("FID", "lower"), ("ECS (%)", "higher")]
    assert any(entry.best for _, group in grid.groups for line in group for entry in line.entries)
    ood = paper_table(runs, "ood", ["FSS"])
    assert [name for name, _ in ood.heads] == ["in distribution", "statue", "portrait", "cartoon", "wild"]
    by_label = paper_table(runs, "per-expression")
    assert [name for name, _ in by_label.heads][:2] == ["anger", "contempt"]
    mr = next(row for row in ROWS if row.id == "mr")
    requests = requests_table(8, styles=False)
    for preset in ("tiny", "paper"):
        write_cell(tmp_path, replace(mr, preset=preset), requests)
    ablation = paper_table(tmp_path, "ablation", ["SSIM"])
    assert [line.title for _, group in ablation.groups for line in group] == ["MR, paper", "MR, tiny"]


def test_what_cannot_be_shown_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of main, per-expression"):
        paper_table(runs, "x")
    with pytest.raises(UsageError, match="no value of XYZ here; there are: ECS"):
        paper_table(runs, "main", ["XYZ"])
    with pytest.raises(UsageError, match="shows one metric"):
        paper_table(runs, "ood", ["ECS", "FSS"])
    mr = next(row for row in ROWS if row.id == "mr")
    for preset in ("tiny", "paper"):
        write_cell(tmp_path, replace(mr, preset=preset), requests_table(2, styles=False))
    with pytest.raises(UsageError, match=r"2 leaderboards .* choose one of: avatars-1"):
        paper_table(tmp_path, "main")
    assert paper_table(tmp_path, "main", board="paper").groups


def test_the_verb(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["table", str(runs), *arguments])
        return int(left.value.code or 0), capsys.readouterr().out

    code, text = run("--metrics", "ECS, FSS", "--format", "csv", "--no-intervals")
    assert code == 0
    assert next(csv.reader(io.StringIO(text))) == ["method", "ECS (%)", "FSS", "remarks"]
    assert run("--format", "pdf")[0] == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_real_latex_takes_it(runs: Path, tmp_path: Path, layout: str) -> None:
    compiler = shutil.which("tectonic") or shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("no LaTeX here: install texlive-latex-base and texlive-latex-recommended, or tectonic")
    text = to_latex(paper_table(runs, layout, [] if layout == "cost" else ["ECS"]))
    page = r"\documentclass{article}\usepackage{booktabs}\usepackage[utf8]{inputenc}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{page}\n{text}\\end{{document}}\n")
    options = [] if "tectonic" in compiler else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [compiler, *options, "t.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 1000
