"""Tables of the further task kinds, data without identities, k-fold forms, domains with other subjects."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesbench.records.record import load_record
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.data_block import data_block, folds_note
from fesbench.reports.grid_writers import to_latex
from fesbench.reports.image_grid import build_gallery
from fesbench.reports.metric_display import ordered, style_of
from fesbench.reports.paper_tables import main_grid
from fesbench.reports.ranking import drop
from fesbench.reports.sections import drops, heat_maps, marks
from fesbench.reports.site import build
from fesbench.reports.table_model import Table
from fesbench.reports.tables import build_table, domains_of
from fesbench.reports.task_captions import caption
from fesbench.reports.writers import to_csv, to_markdown
from tests.reports.synthetic_records import ROWS, requests_table, write_cell
from tests.reports.synthetic_tasks import (
    DATA,
    UNITS,
    add_tasks,
    write_by_image,
    write_other_subjects,
    write_tasks,
)

NOTE = "split by image: identities unknown"


def board_of(folder: Path) -> Board:
    (board,) = make_boards(read_runs(folder)[0])
    return board


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board_of(write_tasks(tmp_path_factory.mktemp("tasks")))


@pytest.fixture(scope="module")
def by_image(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board_of(write_by_image(tmp_path_factory.mktemp("image")))


@pytest.fixture(scope="module")
def augmentation(tasks: Board) -> Table:
    return build_table(tasks, "augmentation", "in")


def words(page: Path) -> str:
    text = re.sub(r"(?s)<(style|script).*?</\1>", "", page.read_text(encoding="utf-8"))
    return re.sub(r"<[^>]+>", " ", text)


def test_tasks_stand_in_their_order(tasks: Board) -> None:
    found = [task for task, _ in domains_of(tasks)]
    assert found == ["expression", "action-unit", "random", "identity-verification", "augmentation"]


def test_factors_stand_across_and_controls_down(augmentation: Table) -> None:
    assert [c.style.head for c in augmentation.columns] == [
        "accuracy 0×",
        "accuracy 1×",
        "gain 1×",
        "accuracy 5×",
        "gain 5×",
    ]
    assert [row.id for row in augmentation.rows] == [
        "ganimation",
        "mr",
        "copy",
        "control-classical",
        "control-repetition",
    ]
    rows = {row.id: row for row in augmentation.rows}
    assert rows["ganimation"].cells["augmentation-gain@5"].value == pytest.approx(0.08)
    assert rows["control-classical"].cells["augmentation-gain@5"].value == pytest.approx(0.021)
    assert rows["control-repetition"].cells["augmentation-accuracy@0"].value == pytest.approx(0.673)
    for row in rows.values():
        assert row.cells["augmentation-gain@1"].extra == "± 0.8 over seeds"
        assert row.cells["augmentation-accuracy@1"].extra == ""
    assert all(rows[name].reference and rows[name].average_rank is None for name in rows if "control" in name)


def test_a_control_never_takes_a_rank(augmentation: Table) -> None:
    for row in augmentation.rows:
        if row.reference:
            assert all(cell.rank is None and not cell.best for cell in row.cells.values())


def test_a_factor_that_nobody_reaches_is_one_line_with_the_reason(augmentation: Table) -> None:
    assert augmentation.folded == [
        ("augmentation-accuracy@100, augmentation-gain@100", "only 7.3 synthetic images for each real one")
    ]


def test_chance_and_scales_of_a_recognizer(augmentation: Table) -> None:
    accuracy, gain = (augmentation.column(f"augmentation-{kind}@5") for kind in ("accuracy", "gain"))
    assert accuracy is not None
    assert gain is not None
    assert accuracy.chance == pytest.approx(1 / 7)
    assert gain.chance is None
    assert (gain.style.unit, gain.style.share) == ("points", False)
    assert (accuracy.style.unit, accuracy.style.share) == ("%", True)
    assert len(marks(augmentation)) == 5 * 5


def test_factors_are_ordered_as_numbers() -> None:
    names = {"augmentation-gain@10", "augmentation-gain@5", "augmentation-accuracy@10", "FID"}
    assert ordered(names) == [
        "FID",
        "augmentation-gain@5",
        "augmentation-accuracy@10",
        "augmentation-gain@10",
    ]
    assert style_of("augmentation-accuracy@0").direction == ""


def test_action_units_have_a_map_of_their_own_in_numerical_order(tasks: Board) -> None:
    table = build_table(tasks, "action-unit", "in")
    (found,) = heat_maps(tasks, table)
    assert found.expressions == [f"AU{unit}" for unit in UNITS]
    assert {row.id for row, _ in found.rows} == {"copy", "ganimation"}
    assert table.folded == [("SSIM, PSNR", "no target images in this domain")]


def test_the_leaderboard_of_a_protocol_without_the_expression_task(tmp_path: Path) -> None:
    for index in (4, 6):
        folder = write_cell(tmp_path / "runs", ROWS[index], requests_table(2, styles=False))
        record = load_record(folder)
        for score in record.scores:
            score.task = "random"
        record.save(folder)
        samples = pd.read_parquet(folder / "samples.parquet").assign(task="random")
        samples.to_parquet(folder / "samples.parquet")
    board = board_of(tmp_path / "runs")
    assert board.headline == ("random", "in")
    text = words(build(tmp_path / "runs", tmp_path / "site"))
    assert "Task random: images of an expression out of nothing" in text
    assert "Task expression" not in text


def test_every_table_of_a_split_by_image_says_so(by_image: Board, tmp_path: Path) -> None:
    table = build_table(by_image, "expression", "in")
    assert table.split_note == NOTE
    assert NOTE in to_markdown([table])
    assert NOTE in to_latex(main_grid(table))
    assert {line["split"] for line in csv.DictReader(io.StringIO(to_csv([table])))} == {"by image"}
    assert all("over images" in c.rank_rule for c in table.columns if "paired tests" in c.rank_rule)


def test_the_page_of_a_split_by_image_speaks_of_images(tmp_path: Path) -> None:
    page = build(write_by_image(tmp_path / "runs"), tmp_path / "site")
    source, text = page.read_text(encoding="utf-8"), words(page)
    assert source.count(f'<strong class="split">{NOTE}') == 1 + 4  # the leaderboard and the four maps
    # the protocol's own summary speaks of subjects; nothing below it may
    body = text[text.index("Before you read") :]
    assert not re.search(r"\bpeople\b", body)
    assert "95 % interval over images" in body


def test_by_identity_nothing_is_said_of_images(tasks: Board) -> None:
    table = build_table(tasks, "expression", "in")
    assert table.split_note == ""
    assert NOTE not in to_markdown([table]) + to_latex(main_grid(table))
    assert {line["split"] for line in csv.DictReader(io.StringIO(to_csv([table])))} == {"by identity"}


def test_one_strip_of_images_that_belong_to_nobody(by_image: Board, tmp_path: Path) -> None:
    (panel,) = build_gallery(by_image, "expression", "in", ["real", "mr"], tmp_path, "g").panels
    assert panel.columns == ["anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"]


def test_the_data_block(tasks: Board) -> None:
    block = data_block(tasks)
    assert block is not None
    facts = dict(block.facts)
    assert facts["Files"].endswith("c0ffee1234567890")
    assert facts["Images used"] == "4821"
    assert facts["Split"].startswith("subjects by sha256")
    assert facts["Subjects by subset"] == "83 train, 12 validate, 23 tested"
    assert facts["Split hash"] == "9f8e7d6c5b4a3210"
    assert block.not_used == [("no face found", 12), ("several faces", 3)]
    assert block.first == ["S005/001/f.png: no face found"]
    assert block.notes == DATA["notes"]


def test_a_k_fold_form_says_how_often_subjects_are_tested(tmp_path: Path) -> None:
    split = {**DATA["split"], "folds": 10, "train": 0, "validation": 0, "test": 118}
    runs = write_tasks(tmp_path / "runs", rows=(0, 4), data={**DATA, "split": split})
    assert folds_note(board_of(runs)) == "every subject tested once, 10 trainings"
    assert "every subject tested once, 10 trainings" in words(build(runs, tmp_path / "site"))


def test_records_of_before_there_was_a_data_card_still_render(tmp_path: Path) -> None:
    write_cell(tmp_path / "runs", ROWS[4], requests_table(2, styles=False))
    board = board_of(tmp_path / "runs")
    assert data_block(board) is None
    assert (folds_note(board), board.units) == ("", "subjects")
    assert 'id="data"' not in build(tmp_path / "runs", tmp_path / "site").read_text(encoding="utf-8")


def test_a_domain_of_other_subjects_is_compared_unpaired(tmp_path: Path) -> None:
    board = board_of(write_other_subjects(tmp_path))
    same, other = (drop(board, "mr", "FSS", domain) for domain in ("statue", "oulu-casia"))
    assert same is not None
    assert other is not None
    assert (same.paired, other.paired) == (True, False)
    requests = board.requests
    values = board.values("mr", "FSS", "expression", "in")
    assert values is not None
    asked = requests.loc[values.index, "target_expression"] != "contempt"
    assert other.in_distribution == pytest.approx(values[asked].mean())
    assert other.change == pytest.approx(other.in_domain - other.in_distribution)
    assert other.low < other.change < other.high
    table = build_table(board, "expression", "in")
    views = drops(board, table, ["statue", "oulu-casia"])
    assert {view.unpaired for view in views} == {("oulu-casia",)}


def test_one_other_subject_proves_nothing(tmp_path: Path) -> None:
    assert drop(board_of(write_other_subjects(tmp_path, subjects=1)), "mr", "FSS", "oulu-casia") is None


def test_the_page_tells_paired_from_unpaired(tmp_path: Path) -> None:
    text = words(build(write_other_subjects(tmp_path / "runs"), tmp_path / "site"))
    assert re.search(r"statue\s+paired", text)
    assert re.search(r"oulu-casia\s+unpaired", text)


def test_seeds_of_a_method_hide_no_control(tmp_path: Path) -> None:
    requests = requests_table(2, styles=False)
    for seed in (0, 1):
        add_tasks(write_cell(tmp_path, ROWS[4], requests, seed=seed), ROWS[4])
    table = build_table(board_of(tmp_path), "augmentation", "in")
    mr, *controls = table.rows
    assert len(mr.cells["augmentation-gain@5"].seeds) == 2
    assert np.isfinite(mr.cells["augmentation-gain@5"].low or np.nan)
    assert [row.id for row in controls] == ["control-classical", "control-repetition"]


def test_captions() -> None:
    assert caption("expression", "in", "subjects").endswith("95 % interval over subjects")
    assert "test image to each" in caption("expression", "in", "images")
    assert (
        caption("novel", "moon", "subjects") == "Task novel, domain moon. Score, 95 % interval over subjects"
    )
