from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fesbench.records.record import load_record
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.metric_display import Style, ordered, style_of
from fesbench.reports.notes import notes
from fesbench.reports.ranking import drop
from fesbench.reports.table_model import Column, ScoreCell, Table
from fesbench.reports.table_model import Row as TableRow
from fesbench.reports.tables import _interval_over_seeds, build_table, domains_of
from tests.reports.synthetic_records import ROWS, Row, requests_table, write_cell, write_runs


def board_of(folder: Path) -> Board:
    (board,) = make_boards(read_runs(folder)[0])
    return board


@pytest.fixture(scope="module")
def table(runs: Path) -> Table:
    return build_table(board_of(runs), "expression", "in")


def row(table: Table, name: str) -> TableRow:
    return next(r for r in table.rows if r.id == name)


def column(table: Table, name: str) -> Column:
    found = table.column(name)
    assert found is not None
    return found


def test_rows_stand_by_their_first_metric_and_failed_ones_last(table: Table) -> None:
    values = [r.cells["ECS"].value for r in table.rows]
    present = [v for v in values if v is not None]
    assert present == sorted(present, reverse=True)
    assert values[-1] is None
    assert table.rows[-1].id == "cdaae"
    assert table.rows[-1].cells["ECS"].reason == "failed"
    assert [word for word, _ in table.rows[-1].marks] == ["failed"]


def test_reference_rows_are_in_place_and_unranked(table: Table) -> None:
    references = [r for r in table.rows if r.reference]
    assert {r.id for r in references} == {"real", "copy", "mean-shift", "warp"}
    assert all(cell.rank is None and not cell.best for r in references for cell in r.cells.values())
    assert all(r.average_rank is None for r in references)


def test_another_reference_set_is_not_put_in_the_same_column(table: Table) -> None:
    cell = row(table, "pix2pix").cells["FID"]
    assert cell.value is None
    assert cell.reason == "not comparable: ref"
    assert cell.rank is None
    assert row(table, "stargan").cells["FID"].value is not None
    titles = [title for title, _ in column(table, "FID").others]
    assert "pix2pix" in titles


def test_a_metric_without_any_figure_is_named_with_its_reason(table: Table) -> None:
    assert table.column("TAR@FAR=0.1%") is None
    (line,) = [text for metric, text in table.unavailable if metric == "TAR@FAR=0.1%"]
    assert "too few impostor pairs" in line


def test_collapsed_rows_are_scored_and_marked(table: Table) -> None:
    usgan = row(table, "usgan")
    assert usgan.cells["ECS"].value is not None
    assert [word for word, _ in usgan.marks] == ["collapsed"]


def test_seeds_are_meaned_and_their_span_is_kept(table: Table, runs: Path) -> None:
    cell = row(table, "reggan").cells["ECS"]
    each = [
        score.value
        for run in board_of(runs).methods["reggan"]
        for score in run.record.scores
        if (score.metric, score.domain, score.expression) == ("ECS", "in", "all")
    ]
    assert len(cell.seeds) == 2
    assert cell.value == pytest.approx(np.mean(each))
    assert sorted(cell.seeds) == sorted(each)
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.value < cell.high
    fid = row(table, "reggan").cells["FID"]
    assert (fid.low, fid.high) == (pytest.approx(33.9 * 0.96), pytest.approx(33.9 * 1.05))


@pytest.mark.parametrize(
    ("metric", "values", "low", "high"),
    [
        ("Rank-1", [1.0] * 20, 0.75, 1.0),
        ("Rank-1", [1.0] * 19 + [0.0], 0.5, 1.0),
        ("SSIM", [0.2, 1.0], -1.0, 1.0),
    ],
)
def test_seeds_bounds_are_those_of_the_metrics_kind(
    metric: str, values: list[float], low: float, high: float
) -> None:
    """Rates have no interval of width zero; what is cut to a range is cut here as well."""
    score: Any = SimpleNamespace(metric=metric, without_judge=())
    board: Any = SimpleNamespace(
        values=lambda *_: pd.Series(values), requests=pd.DataFrame({"identity": range(len(values))})
    )
    found = _interval_over_seeds(board, "mr", [score, score], "expression", "in")
    assert found[0] is not None
    assert found[1] is not None
    mean = float(np.mean(values))
    assert low <= found[0] < mean <= found[1] <= high
    assert found[1] - found[0] > 0.1
    if metric == "SSIM":
        assert found == (-1.0, 1.0)


def test_cells_within_the_band_of_real_halves_are_marked(table: Table) -> None:
    band = column(table, "FID").null
    assert band is not None
    assert (band.median, band.low, band.high) == (31.0, 28.5, 34.5)
    marked = {r.id for r in table.rows if r.cells["FID"].like_real}
    # One is not comparable and shows no figure.
    assert marked == {"reggan"}
    assert column(table, "SSIM").null is None


def test_partly_valid_cells_say_so(table: Table) -> None:
    cell = row(table, "ganimation").cells["FSS"]
    assert cell.partly_valid
    assert cell.value is not None
    assert not row(table, "mr").cells["FSS"].partly_valid


def test_chance_and_direction(table: Table) -> None:
    assert column(table, "ECS").chance == 0.125
    assert column(table, "FSS").chance is None
    assert column(table, "FID").style.direction == "lower"


def test_the_lowest_fid_is_best(table: Table) -> None:
    best = [r.id for r in table.rows if r.cells["FID"].best]
    assert "reggan" in best
    assert "mr" not in best


def two_methods(folder: Path, first: list[float], second: list[float]) -> Board:
    """Two methods with exactly these ECS values, one request a subject."""
    requests = requests_table(len(first), styles=False).groupby("identity").head(1).reset_index(drop=True)
    for name, values in (("mr", first), ("stargan", second)):
        kind = next(r for r in ROWS if r.id == name)
        cell = write_cell(folder, kind, requests)
        samples = pd.read_parquet(cell / "samples.parquet")
        samples["ECS"] = values
        samples.to_parquet(cell / "samples.parquet")
        record = load_record(cell)
        for score in record.scores:
            if score.metric == "ECS":
                score.value = float(np.mean(values))
        record.save(cell)
    return board_of(folder)


def test_equal_rows_share_a_rank_and_different_ones_do_not(tmp_path: Path) -> None:
    tie = build_table(two_methods(tmp_path / "a", [1, 0] * 8, [0, 1] * 8), "expression", "in")
    assert [r.cells["ECS"].rank for r in tie.rows] == [1, 1]
    assert all(r.cells["ECS"].best for r in tie.rows)
    apart = build_table(two_methods(tmp_path / "b", [1] * 16, [0] * 16), "expression", "in")
    assert {r.id: r.cells["ECS"].rank for r in apart.rows} == {"mr": 1, "stargan": 2}


def test_a_row_above_the_real_images_is_suspicious(tmp_path: Path) -> None:
    changes = {"real": {"ecs": 0.7}, "stargan": {"ecs": 1.0}}
    write_runs(tmp_path, identities=12, rows=[ROWS[0], ROWS[4], ROWS[6]], styles=False, changes=changes)
    table = build_table(board_of(tmp_path), "expression", "in")
    marked = {r.id: [word for word, _ in r.marks] for r in table.rows}
    assert marked == {"real": [], "stargan": ["suspicious"], "mr": []}


@pytest.mark.parametrize(
    ("ecs", "cosine", "marked"),
    [
        ((0.46, 0.40, 0.52), (0.14, 0.11, 0.17), True),
        ((0.46, 0.40, 0.52), (0.16, 0.11, 0.21), False),
        ((0.46, 0.40, 0.52), (0.50, 0.45, 0.55), False),
        ((0.28, 0.22, 0.34), (0.00, 0.00, 0.00), False),
        ((0.46, 0.40, 0.52), None, False),
    ],
    ids=["fooled", "perhaps not", "points there", "the judge sees little", "no targets"],
)
def test_a_change_that_the_judge_alone_sees_is_marked(ecs, cosine, marked, tmp_path: Path) -> None:
    cell = write_cell(tmp_path, ROWS[6], requests_table(4, styles=False))
    record = load_record(cell)
    (seen,) = (s for s in record.scores if (s.metric, s.expression, s.domain) == ("ECS", "all", "in"))
    seen.value, seen.low, seen.high = ecs
    if cosine is not None:
        pointed = seen.model_copy(update={"metric": "Target-cosine"})
        pointed.value, pointed.low, pointed.high = cosine
        pointed.signature = seen.signature.replace("ECS", "Target-cosine")
        record.scores.append(pointed)
    record.save(cell)
    board = board_of(tmp_path)
    table = build_table(board, "expression", "in")
    assert [c.style.name for c in table.columns][: 1 + (cosine is not None)] == (
        ["ECS"] if cosine is None else ["ECS", "Target-cosine"]
    )
    told = [note for note in notes(board, [table], []) if note.head.startswith("Judge-only")]
    assert [word for word, _ in table.rows[0].marks] == ["judge-only"] * marked
    assert [(note.head, note.alert) for note in told] == [("Judge-only: StarGAN", True)] * marked
    assert all(note.text.startswith("The change does not point to the target (ECS 46.0 %") for note in told)


def test_rows_that_were_given_landmarks_are_ranked_apart(tmp_path: Path) -> None:
    rows = [*ROWS[4:7], replace(ROWS[8], given="landmarks"), replace(ROWS[7], given="landmarks")]
    write_runs(tmp_path, identities=8, rows=rows, styles=False)
    table = build_table(board_of(tmp_path), "expression", "in")
    assert [given for given, _ in table.groups] == ["label", "landmarks"]
    for _, members in table.groups:
        assert min(r.cells["ECS"].rank or 99 for r in members) == 1


def test_an_unscored_task_has_no_rows_of_its_own(runs: Path) -> None:
    pairs = domains_of(board_of(runs))
    assert pairs[0] == ("expression", "in")
    assert [d for _, d in pairs[1:]] == ["statue", "portrait", "cartoon", "wild"]
    statue = build_table(board_of(runs), "expression", "statue")
    assert "cdaae" not in {r.id for r in statue.rows}


def test_the_drop_is_taken_on_matched_requests(tmp_path: Path) -> None:
    cell = write_cell(tmp_path, ROWS[4], requests_table(3))
    samples = pd.read_parquet(cell / "samples.parquet")
    asked = samples.target_expression.isin(["happiness", "surprise"])
    inside = samples.domain == "in"
    # Expressions that the style was not asked for must not count: their 0.0 would pull the mean down.
    samples["FSS"] = np.where(inside, np.where(asked, 0.9, 0.0), 0.5)
    samples.loc[inside & asked & (samples.identity == "a0220"), "FSS"] = 0.6
    samples.to_parquet(cell / "samples.parquet")
    found = drop(board_of(tmp_path), "mr", "FSS", "statue")
    assert found is not None
    assert found.in_distribution == pytest.approx((0.6 + 0.9 + 0.9) / 3)
    assert found.in_domain == pytest.approx(0.5)
    assert found.change == pytest.approx(0.5 - 0.8)
    assert found.n == 6
    assert drop(board_of(tmp_path), "mr", "FSS", "moon") is None


def test_metrics_are_shown_by_their_cards() -> None:
    shown = {name: style_of(name) for name in ("ECS", "FSS", "PSNR", "FID", "KID", "FD-dlib", "FID-avg")}
    assert {name: (style.direction, style.decimals, style.unit) for name, style in shown.items()} == {
        "ECS": ("higher", 1, "%"),
        "FSS": ("higher", 3, ""),
        "PSNR": ("higher", 2, "dB"),
        "FID": ("lower", 1, ""),
        "KID": ("lower", 2, ""),
        "FD-dlib": ("lower", 4, ""),
        "FID-avg": ("lower", 3, ""),
    }
    assert shown["ECS"].words == "share of images on which the judge sees the expression that was asked for"
    assert style_of("SSIM").words == "structural similarity to the target image"


def test_styles_of_strange_metrics() -> None:
    assert style_of("FD-arcface").direction == "lower"
    assert style_of("nobody-knows").direction == ""
    assert not style_of("nobody-knows").quality
    other = style_of("Rank-1[arcface]")
    assert (other.direction, other.percent, other.words) == (
        "higher",
        True,
        "rank-1 identification rate, on arcface",
    )


def test_distances_of_recognizers_do_not_enter_the_mean_rank() -> None:
    ranked = {
        name: style_of(name).quality for name in ("FD-dlib", "FD-arcface", "FD-judge", "FD-AU", "FID", "FSS")
    }
    assert [name for name, quality in ranked.items() if not quality] == ["FD-dlib", "FD-arcface"]


def test_what_a_discriminator_says_of_itself_is_marked_and_not_ranked() -> None:
    for name in ("D-acc-generated", "D-acc-real", "D-acc-real-train"):
        style = style_of(name)
        assert (style.unit, style.quality) == ("%, self-assessed", False)
        assert "self-assessment" in style.words
    assert ordered({"FID", "ECS", "zeta", "FSS"}) == ["ECS", "FSS", "FID", "zeta"]


def test_of_clips_the_expression_comes_first_and_the_floor_stands_beside_its_distance_unranked() -> None:
    names = {"ACD-C", "Drift", "ECS-apex", "Motion-distance", "Motion-floor", "PSNR-frames"}
    expected = ["ECS-apex", "Motion-distance", "Motion-floor", "ACD-C", "Drift", "PSNR-frames"]
    assert ordered(names) == expected
    assert [name for name in expected if not style_of(name).quality] == ["Motion-floor"]
    assert [name for name in expected if not style_of(name).direction] == ["Motion-floor"]
    assert [style_of(name).unit for name in expected[:2]] == ["%", "rad"]


@pytest.mark.parametrize(
    ("style", "value", "text"),
    [
        (Style("a", "higher", 1, "", percent=True), 0.7143, "71.4"),
        (Style("a", "higher", 3, ""), -0.5, "−0.500"),
        (Style("a", "higher", 1, ""), -0.01, "0.0"),
    ],
)
def test_figures_as_text(style: Style, value: float, text: str) -> None:
    assert style.text(value) == text


def test_an_empty_cell_is_not_partly_valid() -> None:
    assert not ScoreCell(reason="weights: x", n_requested=5).partly_valid
    assert Row("x", "X", 1, 0, 0, 0, None, 0).given == "label"


@pytest.mark.parametrize(("subjects", "ranked"), [(7, False), (8, True)])
def test_of_fewer_than_eight_subjects_nothing_is_ranked(subjects, ranked, tmp_path: Path) -> None:
    requests = requests_table(subjects, styles=False)
    for known in ROWS[:8]:
        write_cell(tmp_path, known, requests)
    board = board_of(tmp_path)
    table = build_table(board, "expression", "in")
    assert any(cell.rank or cell.best for r in table.rows for cell in r.cells.values()) is ranked
    assert any(r.average_rank is not None for r in table.rows) is ranked
    assert any("fewer than 8" in c.rank_rule for c in table.columns) is not ranked
    assert any(note.head == "Few subjects" for note in notes(board, [table], [])) is not ranked
