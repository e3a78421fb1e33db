from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.datasets.workbook import Row, sheets
from fesbench.data.layouts.workbooks import Tables, xls_bytes, xlsx_bytes
from fesbench.errors import DataError

TABLES: Tables = {
    "summary": [["Code", " Name "], [1.0, "Häppy"], [2.0, None, 0.5]],
    "long": [[float(row * column) for column in range(70)] for row in range(300)],
}


def read(path: Path) -> dict[str, list[Row]]:
    return {name: list(rows) for name, rows in sheets(path)}


@pytest.mark.parametrize("write", [xls_bytes, xlsx_bytes])
@pytest.mark.parametrize("ending", ["xls", "xlsx"])
def test_both_kinds_are_read_by_their_content(tmp_path: Path, write, ending: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"book.{ending}"
    path.write_bytes(write(TABLES))
    found = read(path)
    assert list(found) == ["summary", "long"]
    assert [row[:2] for row in found["summary"]] == [("Code", "Name"), (1.0, "Häppy"), (2.0, None)]
    assert found["summary"][2][2] == 0.5
    assert len(found["long"]) == 300
    assert found["long"][299][69] == 299 * 69


CELL = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-16", categories=("L", "N", "P")), min_size=1, max_size=40),
)


@given(st.lists(st.lists(CELL, min_size=1, max_size=5), max_size=200))
def test_cells_of_an_xls_survive(tmp_path_factory: pytest.TempPathFactory, rows: list[list[object]]) -> None:
    path = tmp_path_factory.mktemp("book") / "book.xls"
    path.write_bytes(xls_bytes({"one": rows, "two": [["end"]]}))  # type: ignore[dict-item]
    found = read(path)
    assert found["two"] == [("end",)]
    assert filled(found["one"]) == filled(rows)


def filled(rows: Sequence[Sequence[object]]) -> dict[tuple[int, int], object]:
    return {(i, j): cell for i, row in enumerate(rows) for j, cell in enumerate(row) if cell is not None}


def test_an_xls_is_what_other_readers_expect() -> None:
    content = xls_bytes({"a": [["x"]]})
    assert content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    assert len(content) % 512 == 0


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no zip", b"Code\tName\n", xls_bytes(TABLES)[:700], xlsx_bytes(TABLES)[:900]]
)
def test_damaged_workbooks_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "book.xls"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"book\.xls is no workbook that can be read"):
        read(path)
    with pytest.raises(DataError, match=r"none\.xls cannot be read"):
        read(tmp_path / "none.xls")
