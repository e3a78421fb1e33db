"""Splits as files: written, read back, and every mistake told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.splits.files import folds_in, read_subsets, split_frame, subsets_hash, template_frame
from fesbench.errors import DataError
from tests.stores import shot, tiny_store

SUBSETS = {"a, b": "train", "é": "test", "c": "validation"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store = tiny_store(
        tmp_path / "s", [shot(who, what) for who in (*SUBSETS, "nowhere") for what in ("neutral", "fear")]
    )
    table = split_frame(store.manifest, SUBSETS)
    assert list(table.columns) == ["image", "identity", "expression", "subset"]
    assert len(table) == 6
    path = tmp_path / "split.csv"
    table.to_csv(path, index=False)
    assert read_subsets(path) == SUBSETS
    assert subsets_hash(read_subsets(path)) == subsets_hash(dict(reversed(SUBSETS.items())))


def test_spreadsheets_byte_order_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\ufeffidentity,subset\r\na,train\r\n".encode())
    assert read_subsets(path) == {"a": "train"}


def test_the_older_name_of_the_column_is_read(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("identity,side\na,train\nb,test\n")
    assert read_subsets(path) == {"a": "train", "b": "test"}
    path.write_text("identity,side,subset\na,left,train\n")
    assert read_subsets(path) == {"a": "train"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("identity,part\na,train\n", "lacks the column 'subset'"),
        ("", "lacks the column 'identity'"),
        ("identity,subset\n", "names nobody"),
        ("identity,subset\na,train\nb,dev\n", r"line 3: subset 'dev' is none of train, validation, test"),
        ("identity,subset\na,train\na,test\n", r"line 3: identity 'a' is in train and in test"),
        ("identity,subset\na,train\nb,2\n", "both folds and subsets"),
        ("identity,subset\na\n", r"line 2: subset ''"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        read_subsets(path)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_subsets(tmp_path / "none.csv")
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no CSV file"):
        read_subsets(tmp_path / "s.csv")


def test_folds_are_counted_to_the_highest_number() -> None:
    assert folds_in({"a": "0", "b": "4", "c": "2"}, Path("s.csv")) == 5
    assert folds_in({"a": "train"}, Path("s.csv")) is None
    with pytest.raises(DataError, match="needs three"):
        folds_in({"a": "0", "b": "1"}, Path("s.csv"))


def test_a_template_leaves_no_subset_empty(tmp_path: Path) -> None:
    for count in range(3, 12):
        people = [f"p{k}" for k in range(count)]
        store = tiny_store(tmp_path / str(count), [shot(who, "neutral") for who in people])
        begun = template_frame(store.manifest)
        assert list(begun["identity"]) == sorted(people)
        assert set(begun["subset"]) == {"train", "validation", "test"}
        assert begun["images"].tolist() == [1] * count
    path = tmp_path / "split.csv"
    begun.to_csv(path, index=False)
    assert read_subsets(path) == dict(zip(begun["identity"], begun["subset"], strict=True))
    few = tiny_store(tmp_path / "two", [shot(who, "neutral") for who in "ab"])
    with pytest.raises(DataError, match="2 subjects cannot be split"):
        template_frame(few.manifest)


def test_a_list_of_folds_as_emotion_fan_publishes_it(tmp_path: Path) -> None:
    path = tmp_path / "folds.txt"
    text = (
        "1-fold 3 Angry 2 Happy 1\nS130/007 Angry\nS501/001 Angry\nS130/013 Happy\n"
        "2-fold 1 Angry 1\nS010/004 Angry\n10-fold 1 Sad 1\nS034/003 Sad\n"
    )
    path.write_text(text)
    assert read_subsets(path) == {"S130": "0", "S501": "0", "S010": "1", "S034": "9"}
    assert folds_in(read_subsets(path), path) == 10
    for more, told in (
        ("S501/002 Fear\n", "line 9: 'S501' stands in two folds"),
        ("x\n", "line 9: 'x' is no"),
    ):
        path.write_text(text + more)
        with pytest.raises(DataError, match=told):
            read_subsets(path)
    path.write_text("1-fold 0\n")
    with pytest.raises(DataError, match="names nobody"):
        read_subsets(path)
