"""Clips on a page: which, of what size, in which order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.errors import RecordError
from fesbench.reports import clips
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.clips import SHOWN, Player, build_players, choose
from fesbench.reports.site import build
from tests.reports.synthetic_clips import LENGTH, SIZE, clip_requests, gray, write_clip_cell, write_clip_runs
from tests.reports.synthetic_records import LABELS, ROWS, requests_table, write_cell
from tests.reports.test_report_site import Page

PAIR = ("sequence", "in")


def players_of(runs: Path, out: Path) -> list[Player]:
    (board,) = make_boards(read_runs(runs)[0])
    return build_players(board, [("expression", "in"), PAIR], ["real", "mr", "copy"], out, "b0")


def indexed(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("request")


def test_requests_spread_over_labels_and_then_over_subjects() -> None:
    table = indexed(clip_requests(5))
    chosen = table.loc[choose(table)]
    assert len(chosen) == SHOWN
    assert Counter(chosen["target_expression"]) == {**dict.fromkeys(LABELS, 1), LABELS[0]: 2}
    assert set(Counter(chosen["identity"]).values()) == {1, 2}
    assert chosen["identity"].tolist()[:5] == sorted(set(table["identity"]))
    assert choose(table.sample(frac=1, random_state=1)) == choose(table)
    assert choose(table.iloc[:3]) == table.index[:3].tolist()
    assert choose(table.iloc[:0]) == []


def test_every_row_has_every_frame_side_by_side(tmp_path: Path) -> None:
    runs = write_clip_runs(tmp_path / "runs", clip_requests(2, LABELS[:2]))
    (player,) = players_of(runs, tmp_path / "images")
    assert [(row.title, row.kind) for row in player.rows] == [
        ("source", "source"),
        ("target", "target"),
        ("MR", "method"),
    ]
    assert player.columns == [
        (LABELS[0], "a0220"),
        (LABELS[1], "a0221"),
        (LABELS[0], "a0221"),
        (LABELS[1], "a0220"),
    ]
    assert (player.length, player.scaled, player.left_out, player.hidden_people) == (LENGTH, False, 0, 0)
    for row, name in zip(player.rows, ("copy", "real", "mr"), strict=True):
        assert len(row.clips) == 4
        for clip in row.clips:
            with Image.open(tmp_path / clip.source) as strip:
                assert strip.size == (clip.width, clip.height) == (LENGTH * SIZE, SIZE)
                seen = np.asarray(strip.convert("L"))[SIZE // 2, SIZE // 2 :: SIZE]
            assert seen == pytest.approx([gray(name, frame) for frame in range(LENGTH)], abs=2)
    assert player.size == sum(path.stat().st_size for path in (tmp_path / "images").iterdir())


@pytest.mark.parametrize("private", [(), ("a0221",)])
def test_the_clip_whose_motion_was_granted_stands_below_the_source(
    tmp_path: Path, private: tuple[str, ...]
) -> None:
    requests = clip_requests(2, LABELS[:1], private).assign(task="motion-transfer")
    first, second = requests["request"]
    runs = write_clip_runs(tmp_path / "runs", requests)
    granted = pd.DataFrame({"request": [first, second], "driver": [7, 5], "target": [5, 7]})
    (real,) = runs.glob("*/*/real*/0")
    granted.to_csv(real / "requests.csv")
    for path in (real / "clips" / second).iterdir():
        Image.new("RGB", (SIZE, SIZE), (200, 200, 200)).save(path)
    (board,) = make_boards(read_runs(runs)[0])
    (player,) = build_players(
        board, [("motion-transfer", "in")], ["real", "mr", "copy"], tmp_path / "images", "b0"
    )
    rows = {row.kind: row for row in player.rows}
    if private:
        # whose motion it is may not be seen, and the row is left out
        assert list(rows) == ["source", "target", "method"]
        return
    assert list(rows) == ["source", "driver", "target", "method"]
    seen = {}
    for kind in ("driver", "target"):
        with Image.open(tmp_path / rows[kind].clips[0].source) as strip:
            seen[kind] = np.asarray(strip.convert("L"))[SIZE // 2, SIZE // 2 :: SIZE]
    assert seen["driver"] == pytest.approx([200] * LENGTH, abs=2)
    assert seen["target"] == pytest.approx([gray("real", frame) for frame in range(LENGTH)], abs=2)


def test_film_strips_hold_first_and_last_frame() -> None:
    def film(length: int) -> list[tuple[int, float]]:
        return Player("p", *PAIR, length, [], [], 0, False, 0, 0).film

    assert film(16) == [(1, 0), (4, 20), (7, 40), (10, 60), (13, 80), (16, 100)]
    assert [frame for frame, _ in film(32)] == [1, 7, 13, 20, 26, 32]
    assert film(3) == [(1, 0), (2, 50), (3, 100)]


def test_requests_that_do_not_fit_are_left_out_for_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = write_clip_runs(tmp_path / "runs", clip_requests(2, LABELS[:2]), noise=20)
    (whole,) = players_of(runs, tmp_path / "whole")
    monkeypatch.setattr(clips, "BYTES", whole.size - 1)
    (less,) = players_of(runs, tmp_path / "less")
    assert less.columns == whole.columns[:3]
    assert less.left_out == 1
    assert less.size < whole.size
    assert all(len(row.clips) == 3 for row in less.rows)
    monkeypatch.setattr(clips, "BYTES", 1)
    (one,) = players_of(runs, tmp_path / "one")
    assert (len(one.columns), one.left_out) == (1, 3)


def test_one_noisy_request_of_twelve_rows_fits_at_the_largest_size() -> None:
    """So that two tasks, of which one request at least is shown, keep a page below 15 MB."""
    level = np.random.default_rng(0).integers(108, 149, (32, clips.SIDE, clips.SIDE, 3))
    assert 14 * len(clips._encode(level.astype(np.uint8), 32, clips.SIDE)) < clips.BYTES // 2


def test_large_frames_are_scaled_down(tmp_path: Path) -> None:
    runs = write_clip_runs(tmp_path / "runs", clip_requests(1, LABELS[:1]), size=160)
    (player,) = players_of(runs, tmp_path / "images")
    assert player.scaled
    clip = player.rows[0].clips[0]
    assert (clip.width, clip.height) == (LENGTH * 128, 128)


def test_who_may_not_be_shown_is_in_no_clip(tmp_path: Path) -> None:
    requests = clip_requests(3, LABELS[:2], private=["a0221"])
    runs = write_clip_runs(tmp_path / "runs", requests)
    (player,) = players_of(runs, tmp_path / "images")
    assert {who for _, who in player.columns} == {"a0220", "a0222"}
    assert player.hidden_people == 1
    hidden = write_clip_runs(tmp_path / "hidden", requests.assign(publishable=False))
    (nothing,) = players_of(hidden, tmp_path / "none")
    assert (nothing.columns, nothing.rows, nothing.hidden_people) == ([], [], 3)
    assert not (tmp_path / "none").exists()
    text = build(hidden, tmp_path / "site").read_text(encoding="utf-8")
    assert "No clip of the test subjects may be shown." in text


def test_a_clip_that_was_not_made_is_gray_and_counted(tmp_path: Path) -> None:
    requests = clip_requests(2, LABELS[:1])
    runs = write_clip_runs(tmp_path / "runs", requests)
    (gone,) = runs.rglob(f"mr-tiny-smoke/0/clips/{requests['request'][0]}")
    for frame in gone.iterdir():
        frame.unlink()
    (player,) = players_of(runs, tmp_path / "images")
    assert [row.missing for row in player.rows] == [0, 0, 1]
    assert "not made" in player.rows[-1].clips[0].alt
    assert "not made" not in player.rows[-1].clips[1].alt


def test_clips_of_different_lengths_are_refused(tmp_path: Path) -> None:
    requests = clip_requests(1, LABELS[:1])
    write_clip_cell(tmp_path / "runs", ROWS[0], requests, length=5)
    write_clip_cell(tmp_path / "runs", ROWS[1], requests, length=6)
    with pytest.raises(RecordError, match=r"\[5, 6\] frames"):
        players_of(tmp_path / "runs", tmp_path / "images")


def test_the_page_names_its_clips_and_links_to_them(tmp_path: Path) -> None:
    runs = write_clip_runs(tmp_path / "runs", clip_requests(2, LABELS[:2]))
    site = build(runs, tmp_path / "site")
    page = Page(site.read_text(encoding="utf-8"))
    assert page.faults == []
    assert page.captions == {"table": len(page.all("table"))}
    strips = [attrs for attrs in page.all("img") if str(attrs["src"]).endswith(".webp")]
    assert len(strips) == 3 * 4 * (1 + LENGTH)
    assert all(attrs["alt"] for attrs in strips)
    (slider,) = [attrs for attrs in page.all("input") if attrs.get("type") == "range"]
    assert (slider["min"], slider["max"]) == ("1", str(LENGTH))


def test_a_board_without_clips_has_no_such_section(tmp_path: Path) -> None:
    write_cell(tmp_path / "runs", ROWS[1], requests_table(1, styles=False))
    page = Page(build(tmp_path / "runs", tmp_path / "site").read_text(encoding="utf-8"))
    assert "clips" not in [attrs.get("id") for _, attrs in page.tags]
