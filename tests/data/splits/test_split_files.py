"""Splits as files: written, read back, and every mistake told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.splits.files import folds_in, read_sides, sides_hash, split_frame
from fesbench.errors import DataError
from tests.stores import shot, tiny_store

SIDES = {"a, b": "train", "é": "test", "c": "validation"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store = tiny_store(
        tmp_path / "s", [shot(who, what) for who in (*SIDES, "nowhere") for what in ("neutral", "fear")]
    )
    table = split_frame(store.manifest, SIDES)
    assert list(table.columns) == ["image", "identity", "expression", "side"]
    assert len(table) == 6
    path = tmp_path / "split.csv"
    table.to_csv(path, index=False)
    assert read_sides(path) == SIDES
    assert sides_hash(read_sides(path)) == sides_hash(dict(reversed(SIDES.items())))


def test_spreadsheets_byte_order_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\ufeffidentity,side\r\na,train\r\n".encode())
    assert read_sides(path) == {"a": "train"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("identity,part\na,train\n", "lacks the column 'side'"),
        ("", "lacks the column 'identity'"),
        ("identity,side\n", "names nobody"),
        ("identity,side\na,train\nb,dev\n", r"line 3: side 'dev' is none of train, validation, test"),
        ("identity,side\na,train\na,test\n", r"line 3: identity 'a' is on train and on test"),
        ("identity,side\na,train\nb,2\n", "both folds and sides"),
        ("identity,side\na\n", r"line 2: side ''"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        read_sides(path)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_sides(tmp_path / "none.csv")
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no CSV file"):
        read_sides(tmp_path / "s.csv")


def test_folds_are_counted_to_the_highest_number() -> None:
    assert folds_in({"a": "0", "b": "4", "c": "2"}) == 5
    assert folds_in({"a": "train"}) is None
    with pytest.raises(DataError, match="needs three"):
        folds_in({"a": "0", "b": "1"})
