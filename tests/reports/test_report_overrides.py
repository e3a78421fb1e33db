"""What a page says of a protocol that was changed for one run, and of rows that a detector cannot judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.evaluation.score import _aligned_by
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.records.record import Record, load_record
from fesbench.reports.boards import Board, BoardKey, Run
from fesbench.reports.notes import _records
from fesbench.reports.site import build
from tests.records.test_record import make_cell
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

KEY = BoardKey("ck+@1", "0" * 64, "ck+", "1" * 64, "tiny", "smoke")
CK = load_protocol("ck+@1")


def key_of(rules: Protocol) -> BoardKey:
    return replace(KEY, protocol=rules.name, protocol_hash=rules.hash)


def test_the_words_stay_under_every_override_of_this_version(tmp_path: Path) -> None:
    split = tmp_path / "mine.csv"
    split.write_text("identity,subset\nS005,train\nS010,test\nS011,validation\n")
    some = CK.with_labels(("neutral", "anger", "fear"))
    for rules in (CK, CK.with_overrides(size=64), CK.with_overrides(split=split), some):
        found, why = Board(key_of(rules)).protocol
        assert why == ""
        assert found is not None
        assert (found.title, found.summary) == (CK.title, CK.summary)
    found, _ = Board(key_of(some)).protocol
    assert found is not None
    assert found.labels == ("neutral", "anger", "fear")


def test_the_page_says_that_its_words_on_the_split_do_not_hold(tmp_path: Path) -> None:
    split = tmp_path / "mine.csv"
    split.write_text("identity,subset\nS005,train\nS010,test\nS011,validation\n")
    warning = "does not hold"
    for number, rules in enumerate((CK, CK.with_overrides(split=split))):
        cell = ROWS[0]
        place = write_cell(tmp_path / str(number), cell, requests_table(8, styles=False))
        record = load_record(place)
        record.cell = record.cell.model_copy(update={"protocol": rules.name, "protocol_hash": rules.hash})
        record.save(place)
        page = build(tmp_path / str(number), tmp_path / "report" / str(number))
        text = page.read_text(encoding="utf-8")
        assert CK.summary.split()[0] in text
        assert (warning in text) is bool(number)


def test_other_rules_of_the_same_name_are_not_given_these_words() -> None:
    found, why = Board(replace(KEY, protocol="ck+@1")).protocol
    assert (found, why) == (None, "the protocol file installed here has other rules than these records")
    found, why = Board(replace(KEY, protocol="gone@1")).protocol
    assert found is None
    assert "not installed here" in why


def test_the_weights_of_the_alignment_stand_behind_a_value_too() -> None:
    assert _aligned_by(load_protocol("jaffe")) == ["dlib-landmarks"]
    assert _aligned_by(load_protocol("avatars")) == _aligned_by(load_protocol("fuse-28")) == []


@pytest.mark.parametrize(("unseen", "alerts"), [(0, ["Faces lost: method"]), (95, [])])
def test_faces_that_nobody_could_find_are_no_alert(unseen: int, alerts: list[str]) -> None:
    def run(method: str, lost: int) -> Run:
        record = Record(cell=make_cell().model_copy(update={"method": method}), card={"title": method})
        record.counts = {"images": 100, "faces_not_found": lost}
        return Run(Path(), record)

    board = Board(KEY, {"real": [run("real", unseen)], "method": [run("method", 100)]})
    assert [note.head for note in _records(board) if note.alert] == alerts
