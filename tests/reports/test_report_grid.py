from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.errors import RecordError
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.image_grid import PEOPLE, build_gallery
from tests.reports.synthetic_records import LABELS, ROWS, draw_face, requests_table, write_cell


def board_of(folder: Path) -> Board:
    (board,) = make_boards(read_runs(folder)[0])
    return board


def small(folder: Path, people: int = 3, private: tuple[str, ...] = ()) -> Path:
    requests = requests_table(people, private=private)
    for index in (0, 1, 4):
        write_cell(folder, ROWS[index], requests)
    return folder


def test_people_are_the_first_by_name_and_private_ones_are_nowhere(tmp_path: Path) -> None:
    board = board_of(small(tmp_path / "runs", people=7, private=("a0221",)))
    gallery = build_gallery(board, "expression", "in", ["real", "copy", "mr"], tmp_path, "g")
    assert [p.title for p in gallery.panels] == ["a0220", "a0222", "a0223", "a0224"][:PEOPLE]
    assert gallery.hidden_people == 1
    styles = build_gallery(board, "expression", "statue", ["mr"], tmp_path, "s")
    assert all("a0221" not in column for panel in styles.panels for column in panel.columns)


def test_nobody_publishable_means_no_file(tmp_path: Path) -> None:
    board = board_of(small(tmp_path / "runs", people=2, private=("a0220", "a0221")))
    out = tmp_path / "out"
    gallery = build_gallery(board, "expression", "in", ["mr"], out, "g")
    assert gallery.panels == []
    assert gallery.hidden_people == 2
    assert not out.exists()


def test_strips_hold_source_truth_and_rows_in_order(tmp_path: Path) -> None:
    board = board_of(small(tmp_path / "runs"))
    panel = build_gallery(board, "expression", "in", ["real", "mr", "copy"], tmp_path / "images", "g").panels[
        0
    ]
    assert panel.columns == list(LABELS)
    assert [s.title for s in panel.strips] == ["source", "target", "MR"]
    with Image.open(tmp_path / panel.strips[1].source) as strip:
        assert strip.size == (32 * 7, 32)
        tile = np.asarray(strip.convert("RGB"))[:, 32 * 4 : 32 * 5]
    assert np.array_equal(tile, np.asarray(draw_face("target", "a0220", "happiness", "in")))


def test_a_picture_that_was_not_made_is_gray_and_counted(tmp_path: Path) -> None:
    runs = small(tmp_path / "runs")
    (gone,) = runs.rglob("mr-tiny-smoke/0/images/expression-in-a0220-0-anger.png")
    gone.unlink()
    panel = build_gallery(board_of(runs), "expression", "in", ["mr"], tmp_path / "i", "g").panels[0]
    strip = panel.strips[-1]
    assert strip.missing == 1
    assert "1 not made" in strip.alt
    with Image.open(tmp_path / strip.source) as sheet:
        assert sheet.convert("RGB").getpixel((5, 5)) == (128, 128, 128)


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    runs = small(tmp_path / "runs")
    (bad,) = runs.rglob("mr-tiny-smoke/0/images/expression-in-a0220-0-anger.png")
    bad.write_text("not an image")
    with pytest.raises(RecordError, match=r"a0220-0-anger\.png"):
        build_gallery(board_of(runs), "expression", "in", ["mr"], tmp_path / "i", "g")


def test_large_pictures_are_written_as_jpeg(tmp_path: Path) -> None:
    requests = requests_table(1, styles=False)
    write_cell(tmp_path / "runs", ROWS[4], requests, painter=lambda *a: draw_face(*a, size=96))
    panel = build_gallery(
        board_of(tmp_path / "runs"), "expression", "in", ["mr"], tmp_path / "i", "g"
    ).panels[0]
    assert panel.strips[0].source == "i/g-0-0.jpg"
    assert panel.strips[0].height == 96


def test_style_columns_show_every_chosen_person(tmp_path: Path) -> None:
    board = board_of(small(tmp_path / "runs", people=6))
    (panel,) = build_gallery(board, "expression", "wild", ["mr"], tmp_path / "i", "g").panels
    assert panel.columns == [f"a022{n} {label}" for n in range(4) for label in ("happiness", "surprise")]


def test_levels_and_second_expressions_stand_in_the_column_titles(tmp_path: Path) -> None:
    requests = (
        requests_table(1, styles=False)
        .head(2)
        .assign(task="compound", second_expression=["surprise", ""], intensity=[1.0, 0.5])
    )
    write_cell(tmp_path / "runs", replace(ROWS[4], status="trained"), requests)
    (panel,) = build_gallery(
        board_of(tmp_path / "runs"), "compound", "in", ["mr"], tmp_path / "i", "g"
    ).panels
    assert panel.columns == ["anger + surprise", "contempt 0.5"]
