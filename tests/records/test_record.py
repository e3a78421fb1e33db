"""Records: written whole or not at all, read strictly, and a full disk is told in words."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fesbench.errors import DataError, RecordError, UsageError
from fesbench.files import atomic_write_bytes
from fesbench.records.record import RECORD_NAME, Cell, Health, Record, load_record, safe_name


def make_cell(**changes: Any) -> Cell:
    values = {
        "method": "mr",
        "protocol": "avatars@1",
        "protocol_hash": "0123456789abcdef",
        "data": "avatars",
        "data_fingerprint": "fedcba9876543210",
        "preset": "tiny",
        "budget": "smoke",
        "seed": 0,
    }
    return Cell.model_validate({**values, **changes})


def test_round_trip(tmp_path: Path) -> None:
    record = Record(
        cell=make_cell(), health=[Health(kind="mode-collapse", step=7, message="one face for all")]
    )
    record.finish("train", seconds=1.5, inputs="abc")
    record.save(tmp_path)
    assert load_record(tmp_path) == record
    assert record.collapsed


def test_a_stage_is_done_only_on_its_own_inputs() -> None:
    record = Record(cell=make_cell())
    record.finish("train", seconds=1, inputs="abc")
    assert record.done("train", "abc")
    assert not record.done("train", "abd")
    assert not record.done("score", "abc")


def test_folder_names_everything_that_separates_cells() -> None:
    folders = {
        make_cell(**change).folder
        for change in (
            {},
            {"seed": 1},
            {"preset": "paper"},
            {"budget": "paper"},
            {"protocol": "avatars@1+size=64"},
        )
    }
    assert len(folders) == 5
    assert str(make_cell().folder) == "avatars@1-01234567/avatars-fedcba98/mr-tiny-smoke/0"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 2}'])
def test_a_damaged_or_foreign_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD_NAME).write_text(content)
    with pytest.raises(RecordError, match=str(tmp_path)):
        load_record(tmp_path)


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    Record(cell=make_cell()).save(tmp_path)
    raw = json.loads((tmp_path / RECORD_NAME).read_text())
    (tmp_path / RECORD_NAME).write_text(json.dumps({**raw, "surprise": 1}))
    with pytest.raises(RecordError, match="surprise"):
        load_record(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    atomic_write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"disk is full.*--out"):
        atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        Record(cell=make_cell()).save(tmp_path / "file")


def full_record() -> Record:
    record = Record(cell=make_cell(), health=[Health(kind="nan", step=1, message="")], error="old")
    record.cost = {"training_seconds": 3.0, "flops": 7}
    record.counts = {"images": 1}
    for stage in ("train", "synthesize", "cost", "score"):
        record.finish(stage, seconds=1, inputs=stage)
    return record


def test_a_stale_stage_takes_along_what_it_and_later_ones_wrote() -> None:
    record = full_record()
    assert record.status == "scored"
    record.forget_from("synthesize")
    assert set(record.stages) == {"train"}
    assert (record.status, record.error, record.counts) == ("trained", "", {})
    assert record.cost == {"training_seconds": 3.0}
    assert record.health
    record.forget_from("train")
    assert (record.status, record.stages, record.cost, record.health) == ("started", {}, {}, [])


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "", "a b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="becomes a folder"):
        safe_name(name)


def test_ordinary_names_are_safe() -> None:
    assert [safe_name(name) for name in ("my-method", "ck+@1", "steps=3", "minutes=2.5")]


def test_a_record_of_before_later_fields_loads(tmp_path: Path) -> None:
    score = {
        **dict.fromkeys(("given", "task", "domain", "expression", "judge", "signature"), ""),
        **dict.fromkeys(("value", "low", "high")),
        **dict.fromkeys(("n_requested", "n_valid", "identities", "seed"), 0),
        "protocol": "avatars@1",
        "data": "avatars",
        "method": "mr",
        "preset": "tiny",
        "budget": "smoke",
        "metric": "ECS",
        "status": "ok",
    }
    first = {"schema_version": 1, "cell": make_cell().model_dump(), "status": "scored", "scores": [score]}
    (tmp_path / RECORD_NAME).write_text(json.dumps(first))
    found = load_record(tmp_path)
    assert (found.submitted, found.trained_with, found.judge_checks) == ({}, None, [])
    assert (found.scores[0].null, found.scores[0].without_judge, found.scores[0].reason) == (None, [], "")
