"""What the page compares, and what it carries along for its reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fesbench.reports.board_data import board_data
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.pairs import MOST_DOTS, pairs
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, requests_table, write_cell


@pytest.fixture(scope="module")
def board(runs: Path) -> Board:
    return make_boards(read_runs(runs)[0])[0]


def test_a_pair_by_hand(board: Board) -> None:
    table = build_table(board, *board.headline)
    found = pairs(board, table)
    assert list(found) == ["ECS", "FSS", "SSIM", "PSNR"]  # the others have no values per request
    order = [row.id for row in table.rows]
    first, second = sorted(("mr", "ganimation"), key=order.index)
    pair = found["FSS"][first, second]
    values = [board.values(name, "FSS", "expression", "in") for name in (first, second)]
    assert values[0] is not None
    assert values[1] is not None
    gap = (values[0] - values[1]).dropna()  # requests that are valid for both
    by = gap.groupby(board.requests.loc[gap.index, "identity"])
    assert pair.requests == len(gap) < len(values[0])
    assert pair.value == pytest.approx(gap.mean(), abs=1e-12)
    assert pair.dots == pytest.approx(np.sort(by.mean()), rel=1e-3)
    assert (pair.higher, pair.lower, pair.people) == ((by.mean() > 0).sum(), (by.mean() < 0).sum(), 8)
    assert pair.low is not None
    assert pair.high is not None
    assert pair.low < pair.value < pair.high
    assert ("real", first) not in found["SSIM"]  # the target against itself has none


def test_one_subject_has_no_interval_and_many_are_thinned(tmp_path: Path) -> None:
    for people in (1, MOST_DOTS + 40):
        folder = tmp_path / str(people)
        for row in ROWS[4:6]:
            write_cell(folder, row, requests_table(people, styles=False).groupby("identity").head(1))
        one = make_boards(read_runs(folder)[0])[0]
        (pair,) = pairs(one, build_table(one, "expression", "in"))["FSS"].values()
        assert pair.people == people
        assert (pair.low is None) == (people == 1)
        assert len(pair.dots) == min(people, MOST_DOTS)
        assert pair.dots == sorted(pair.dots)


def test_rows_have_what_a_reader_filters_by(board: Board, tmp_path: Path) -> None:
    rows = board_data(board, [build_table(board, *board.headline)])["rows"]
    assert rows["mr"] == {
        "title": "MR", "reference": False, "family": "pairs of one subject", "conditioning": "label",
        "year": "2020", "trained": "fesbench",
    }  # fmt: skip
    folder = write_cell(tmp_path, replace(ROWS[4], year=0), requests_table(2, styles=False))
    other = make_boards(read_runs(folder.parent)[0])[0]
    run = other.runs[0]
    run.record.card |= {"needs": ["action_units"]}
    run.record.trained_on = "declared"
    told = board_data(other, [build_table(other, "expression", "in")])["rows"]["mr"]
    assert [told[name] for name in ("family", "conditioning", "year", "trained")] == [
        "single images", "action units", "not stated", "declared",
    ]  # fmt: skip
    run.record.card["needs"] = []
    told = board_data(other, [build_table(other, "expression", "in")])["rows"]["mr"]
    assert told["family"] == told["conditioning"] == "not stated"


def test_values_by_expression_are_the_scores(board: Board) -> None:
    table = build_table(board, *board.headline)
    (told,) = board_data(board, [table])["tables"]
    score = next(
        s
        for s in board.methods["mr"][0].record.scores
        if (s.task, s.domain, s.metric, s.expression) == ("expression", "in", "ECS", "happiness")
    )
    entry = told["parts"]["happiness"]["mr"][told["metrics"].index("ECS")]
    assert score.value is not None
    assert entry["value"] == pytest.approx(100 * score.value)
    assert entry["text"] == f"{100 * score.value:.1f}"
    assert "best" not in entry  # not ranked
    seeds = told["parts"]["happiness"]["reggan"][told["metrics"].index("ECS")]
    assert "limits" not in seeds  # two seeds: the mean alone
    assert told["parts"]["happiness"]["pix2pix"][told["metrics"].index("FID")] is None
    assert told["by"] == "expression"
    assert told["names"][0] == "anger"
