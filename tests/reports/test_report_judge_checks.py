"""Columns of judges that fail on real images, how far judges agree, and who had a part in what they judge."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from fesbench.records.judge_check import JudgeCheck
from fesbench.records.record import load_record
from fesbench.records.samples import SAMPLES
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.grid_writers import to_csv, to_html, to_latex, to_markdown
from fesbench.reports.judges import independence, judges, mark_dependent
from fesbench.reports.paper_tables import main_grid, paper_table
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import LABELS, ROWS, requests_table, write_cell

SIX = tuple(label for label in LABELS if label != "contempt")
METHODS = ("real", "copy", "warp", "mr", "reggan")
IDENTITIES = 20


def check(judge: str, accuracy: float, domain: str = "in") -> JudgeCheck:
    n = 7 if judge != "judge" else 8
    return JudgeCheck(
        judge=judge, signature=f"{judge}:1", domain=domain, images=100, subjects=20, accuracy=accuracy,
        low=accuracy - 0.04, high=accuracy + 0.04, chance=1 / n, calibration_error=0.123, shown=["anger"],
        seen=["anger", "fear", "unreadable"], counts=[[60, 38, 2]],
    )  # fmt: skip


RATES = {
    # warp lies far under MR for the one, far above it for the other; RegGAN between.
    "ECS": {"copy": 0.05, "warp": 0.3, "mr": 0.9, "reggan": 0.6, "real": 0.96},
    "ECS-known[facex]": {"copy": 0.05, "warp": 0.9, "mr": 0.3, "reggan": 0.6, "real": 0.5},
}


def write(folder: Path, checks: list[JudgeCheck]) -> None:
    """Five rows; each judge's answers per image are drawn with its rates, contempt known to one alone."""
    requests = requests_table(IDENTITIES, styles=False)
    for number, name in enumerate(METHODS):
        row = next(r for r in ROWS if r.id == name)
        cell = write_cell(folder, row, requests)
        table, record = pd.read_parquet(cell / SAMPLES), load_record(cell)
        known = (table["target_expression"] != "contempt").to_numpy()
        template = next(s for s in record.scores if (s.metric, s.expression) == ("ECS", "all"))
        record.scores = [s for s in record.scores if s.metric not in RATES]
        for place, (metric, rates) in enumerate(RATES.items()):
            draws = np.random.default_rng([number, place]).uniform(size=len(table))
            values = (draws < rates[name]).astype(float)
            if metric != "ECS":
                values[~known] = np.nan
            table[metric] = values
            mean = float(np.nanmean(values))
            signature = template.signature.replace("ECS", metric, 1)
            update = {"metric": metric, "value": mean, "low": mean - 0.05, "high": mean + 0.05}
            record.scores.append(template.model_copy(update={**update, "signature": signature}))
        table.to_parquet(cell / SAMPLES, index=False)
        record.judge_checks = checks
        record.trained_with = ["facex"] if name == "mr" else []
        record.save(cell)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("judged")
    write(made, [check("judge", 0.956), check("facex", 0.7), check("judge", 0.4, "statue")])
    return made


def board_of(folder: Path) -> Board:
    return make_boards(read_runs(folder)[0])[0]


def test_reliable_judges_are_ranked_and_their_accuracy_is_shown(folder: Path) -> None:
    table = build_table(board_of(folder), "expression", "in")
    own, other = table.column("ECS"), table.column("ECS-known[facex]")
    assert own is not None
    assert other is not None
    assert (own.unreliable, other.unreliable) == ("", "")
    assert own.check is not None
    assert own.check.accuracy == 0.956
    ranks = {row.id: row.cells["ECS"].rank for row in table.rows}
    assert (ranks["mr"], ranks["reggan"], ranks["real"]) == (1, 2, None)


def test_agreement_is_kendalls_tau_over_the_requests_that_all_judges_know(folder: Path) -> None:
    board = board_of(folder)
    (found,) = build_table(board, "expression", "in").agreements
    rows = [name for name in METHODS if name != "real"]
    means = []
    for metric in RATES:
        tables = {run.method: run.samples for run in board.runs}
        means.append([
            tables[name][tables[name]["target_expression"] != "contempt"][metric].mean() for name in rows
        ])  # fmt: skip
    assert (found.first, found.second, found.rows) == (*RATES, 4)
    assert found.tau == pytest.approx(kendalltau(*means).statistic)
    assert found.tau == pytest.approx(0.0)


def test_pairs_that_two_judges_order_otherwise_are_named_and_marked(folder: Path) -> None:
    table = build_table(board_of(folder), "expression", "in")
    (found,) = table.agreements
    pairs = {(d.above, d.below) for d in found.disputes}
    assert pairs == {("MR", "Landmark warp"), ("MR", "RegGAN"), ("RegGAN", "Landmark warp")}
    for dispute in found.disputes:
        assert dispute.first > 0 > dispute.second
    rows = {row.id: row for row in table.rows}
    assert len(rows["mr"].cells["ECS"].disputed) == 2
    assert "ECS-known[facex] puts it on the other side of Landmark warp" in rows["mr"].cells["ECS"].disputed
    assert rows["copy"].cells["ECS"].disputed == ()
    assert rows["mr"].cells["FSS"].disputed == ()


def test_an_unreliable_judge_is_not_ranked_not_sorted_by_and_marks_nobody(tmp_path: Path) -> None:
    write(tmp_path, [check("judge", 0.549), check("facex", 0.7)])
    table = build_table(board_of(tmp_path), "expression", "in")
    own = table.column("ECS")
    assert own is not None
    assert own.unreliable == "judge unreliable here: 54.9 % on real images"
    assert own.rank_rule == f"not ranked: {own.unreliable}"
    assert {row.cells["ECS"].rank for row in table.rows} == {None}
    assert not any(row.cells["ECS"].best for row in table.rows)
    assert any(row.cells["FSS"].rank for row in table.rows)
    assert table.sorted_by != "ECS"
    doubted = [bool(column.unreliable) for column in table.columns]
    assert doubted == sorted(doubted), "what is not ranked stands last"
    assert len(table.agreements[0].disputes) == 3
    assert not any(cell.disputed for row in table.rows for cell in row.cells.values())
    page = build(tmp_path, tmp_path / "page").read_text(encoding="utf-8")
    assert "judge unreliable here: 54.9 % on real images" in page
    assert 'class="num weak"' in page
    markdown = (tmp_path / "page" / "leaderboard.md").read_text(encoding="utf-8")
    assert "- ECS: judge unreliable here: 54.9 % on real images; not ranked" in markdown
    assert "ECS: judge unreliable here: 54.9 % on real images, not ranked" in main_grid(table).note
    assert main_grid(table, ["FSS"]).note == ""
    told = "judge unreliable here: 54.9 % on real images, not ranked"
    lines = csv.DictReader((tmp_path / "page" / "leaderboard.csv").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if (line["task"], line["domain"]) == ("expression", "in"):
            assert (told in line["remarks"]) is (line["metric"] == "ECS"), line["metric"]
    for layout in ("main", "ood"):
        grid = paper_table(tmp_path, layout, ["ECS"])
        assert told in grid.note, layout
        for write_grid in (to_latex, to_csv, to_markdown, to_html):
            assert "54.9" in write_grid(grid), layout


def test_records_without_checks_are_ranked_as_ever(tmp_path: Path) -> None:
    write(tmp_path, [])
    board = board_of(tmp_path)
    table = build_table(board, "expression", "in")
    assert table.sorted_by == "ECS"
    assert {row.cells["ECS"].rank for row in table.rows if row.id in ("mr", "reggan")} == {1, 2}
    assert judges(board) == []


def test_a_network_that_judges_what_it_helped_to_train_is_marked(folder: Path) -> None:
    board = board_of(folder)
    table = build_table(board, "expression", "in")
    mark_dependent(board, [table])
    marks = {row.id: dict(row.marks).get("own-judge", "") for row in table.rows}
    assert marks["mr"] == "trained or selected with a network that judges it: facex (ECS-known[facex])"
    assert [name for name, text in marks.items() if text] == ["mr"]
    assert independence(board, table) == [("facex", ["MR"]), ("none", ["RegGAN"])]


def test_the_page_tells_of_each_judge_in_each_domain(folder: Path, tmp_path: Path) -> None:
    views = judges(board_of(folder))
    assert [(v.check.domain, v.name) for v in views] == [
        ("in", "the protocol's own"), ("in", "facex"), ("statue", "the protocol's own"),
    ]  # fmt: skip
    assert [cell.text for cell in views[0].lines[0][1]] == ["60", "38", "2"]
    page = build(folder, tmp_path / "page").read_text(encoding="utf-8")
    assert "judge right on 95.6&nbsp;% of real images" in page
    assert "Kendall's τ" in page
    assert "own-judge" in page
    assert "unreliable here" in page
