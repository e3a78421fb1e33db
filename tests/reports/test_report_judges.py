"""What a page does with panels of judges: their error in ranks and notes, and other panels beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fesbench.records.judges import Judges
from fesbench.records.record import load_record
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.notes import notes
from fesbench.reports.ranking import above_real, drop
from fesbench.reports.site import build
from fesbench.reports.table_model import Row, Table
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, write_runs

PANEL, OTHER = (Judges(3, "cnn64-1", "0a1b2c3d", digest) for digest in ("77aa01bc", "00000000"))
REAL, MR, STARGAN = ROWS[0], ROWS[4], ROWS[6]
APART = (-0.2, 0.0, 0.2)
"""What ECS is without each judge, less what it is."""


def judged(
    folder: Path,
    spreads: Mapping[str, tuple[float, ...]],
    *,
    other: str = "",
    ecs: Mapping[str, float],
    values: Mapping[str, float] | None = None,
) -> Board:
    """Records of `real`, StarGAN and MR, judged by a panel; of the method ``other`` by another one."""
    changes = {name: {"ecs": rate} for name, rate in ecs.items()}
    write_runs(folder, identities=12, rows=[REAL, MR, STARGAN], styles=False, changes=changes)
    for path in sorted(folder.rglob("record.json")):
        record = load_record(path.parent)
        panel = OTHER if record.cell.method == other else PANEL
        for score in record.scores:
            if score.metric == "ECS" and score.value is not None:
                if score.expression == "all":
                    score.value = (values or {}).get(record.cell.method, score.value)
                score.signature = score.signature.replace("|n:", f"|judges:{panel}|n:")
                score.without_judge = [
                    score.value + d for d in spreads.get(record.cell.method, (0.0, 0.0, 0.0))
                ]
        record.save(path.parent)
    (board,) = make_boards(read_runs(folder)[0])
    return board


def rows_of(table: Table) -> dict[str, Row]:
    return {row.id: row for row in table.rows}


def test_judges_who_do_not_agree_on_the_order_part_no_ranks(tmp_path: Path) -> None:
    ecs = {"stargan": 0.9, "mr": 0.4}
    alike = judged(tmp_path / "alike", {"stargan": APART, "mr": APART}, ecs=ecs)
    apart = judged(tmp_path / "apart", {"stargan": APART, "mr": APART[::-1]}, ecs=ecs)
    ranks = []
    for board in (alike, apart):
        rows = rows_of(build_table(board, "expression", "in"))
        ranks.append({name: rows[name].cells["ECS"].rank for name in ("stargan", "mr")})
    assert ranks == [{"stargan": 1, "mr": 2}, {"stargan": 1, "mr": 1}]


def test_rows_above_the_real_images_are_named_significant_or_not(tmp_path: Path) -> None:
    ecs = {"real": 0.60, "stargan": 0.60, "mr": 0.4}
    for spread, named in (((-0.001, 0.0, 0.001), True), (APART, False)):
        board = judged(
            tmp_path / str(named), {"stargan": spread}, ecs=ecs, values={"real": 0.6, "stargan": 0.64}
        )
        table = build_table(board, "expression", "in")
        assert [row.id for row, _, _ in above_real(table)] == ["stargan"] * named
        told = {note.head: note for note in notes(board, [table], [])}
        assert ("Above the real images: expression, in" in told) is named
        if named:
            note = told["Above the real images: expression, in"]
            assert note.alert
            assert "StarGAN by 4.0 (error 0.1)" in note.text
        assert not any(word == "suspicious" for word, _ in rows_of(table)["stargan"].marks)


def test_a_row_of_another_panel_is_not_shown_beside_the_others(tmp_path: Path) -> None:
    board = judged(tmp_path, {}, other="mr", ecs={"real": 0.9, "stargan": 0.6, "mr": 0.5})
    table = build_table(board, "expression", "in")
    cell = rows_of(table)["mr"].cells["ECS"]
    assert (cell.value, cell.reason, cell.without_judge) == (None, "not comparable: judge", ())
    assert rows_of(table)["stargan"].cells["ECS"].value is not None
    assert f"judges:{PANEL}" in next(c for c in table.columns if c.style.name == "ECS").signature


def test_the_page_shows_the_spread_over_members(tmp_path: Path) -> None:
    judged(tmp_path / "runs", {"stargan": APART}, ecs={"real": 0.9, "stargan": 0.6, "mr": 0.5})
    text = build(tmp_path / "runs", tmp_path / "page").read_text(encoding="utf-8")
    assert "standard error over judges 28.3; without one of 3 judges" in text
    assert "hold the error of the 3 judges as well as that of subjects" in text


def test_a_drop_has_the_judges_part_too(tmp_path: Path) -> None:
    write_runs(tmp_path, identities=12, rows=[STARGAN])
    found = []
    for spread in (0.0, 0.1):
        for path in sorted(tmp_path.rglob("record.json")):
            record = load_record(path.parent)
            for score in record.scores:
                if score.metric == "ECS" and score.value is not None:
                    away = spread if score.domain != "in" else 0.0
                    score.without_judge = [score.value + away * sign for sign in (-1, 0, 1)]
            record.save(path.parent)
        (board,) = make_boards(read_runs(tmp_path)[0])
        made = drop(board, "stargan", "ECS", "statue")
        assert made is not None
        found.append(made)
    assert found[0].change == found[1].change
    margin = np.sqrt(0.02) * 4.302652729911275
    assert found[1].high == pytest.approx(found[1].change + np.hypot(found[0].high - found[0].change, margin))
