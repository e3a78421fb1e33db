from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.datasets.tables import Line, read_table
from fesbench.data.datasets.user_files import number_takes, who
from fesbench.errors import DataError


def line(**cells: str) -> Line:
    return Line(Path("t.csv"), 7, cells)


def test_lines_keep_their_numbers_through_blanks_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffa, b \r\n1,"x,\ny"\r\n\r\n , \r\n 3 ,z\r\n'.encode())
    lines = list(read_table(path, ("a", "b"), ("a",)))
    assert [(found.number, found.cells) for found in lines] == [
        (3, {"a": "1", "b": "x,\ny"}),
        (6, {"a": "3", "b": "z"}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a;b\n1;2\n", "separated by semicolons or tabs"),
        (b"a,imge\n", "line 1: unknown column 'imge'; the nearest is 'image'"),
        (b"a,a\n", "column 'a' stands twice"),
        (b"image\n", "column 'a' is missing"),
        (b"", "column 'a' is missing"),
        (b"a\n1,2\n", "line 2: 2 cells for 1 columns"),
        (b"a\n\xff\xfe\n", "is not UTF-8"),
        (b'a\n"1" 2\n', "line 2: .*save it as a plain CSV"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(path, ("a", "image"), ("a",)))


def test_cells() -> None:
    assert line(a="0.25").number_in("a", 0, 1) == 0.25
    assert line(a="").number_in("a", 0, 1) is None
    assert line(a="nan").number_in("a", 0, 1) is None
    assert line().whole("a") is None
    assert line(a="12").whole("a") == 12
    assert [line(a=text).yes("a") for text in ("Yes", "true", "1", "", "no", "False", "0")] == [
        *[True] * 3,
        *[False] * 4,
    ]
    for text in ("1.01", "-0.1", "one", "inf", "-nan?"):
        with pytest.raises(
            DataError, match=r"t\.csv, line 7, column 'a': found '.*', wanted a number from 0"
        ):
            line(a=text).number_in("a", 0, 1)
    with pytest.raises(DataError, match="wanted a number, or nothing"):
        line(a="inf").number_in("a", 0, float("inf"))
    for text in ("1.0", "-1", "x", "\u00b2"):
        with pytest.raises(DataError, match="whole number"):
            line(a=text).whole("a")
    with pytest.raises(DataError, match="wanted yes or no"):
        line(a="maybe").yes("a")


def test_who_is_in_a_file_name() -> None:
    assert [who(name) for name in ("anna_01.png", "anna.png", "a b_c_d.jpg", "_x.png", "x.y_1.png")] == [
        "anna",
        "anna",
        "a b",
        "_x",
        "x.y",
    ]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "s"]), st.none() | st.integers(0, 3))))
def test_takes_fill_the_gaps_in_the_order_of_names(entries: list[tuple[str, str, int | None]]) -> None:
    rows = [
        {"image": f"{-k % 7}{k}", "identity": person, "expression": "fear", "sequence": sequence}
        | ({} if take is None else {"take": take})
        for k, (person, sequence, take) in enumerate(entries)
    ]
    number_takes(rows)
    for k, (_, _, take) in enumerate(entries):
        assert take is None or rows[k]["take"] == take
    for group in {entry[:2] for entry in entries}:
        mine = [k for k, entry in enumerate(entries) if entry[:2] == group]
        given_ = {rows[k]["take"] for k in mine if entries[k][2] is not None}
        numbered = [k for k in mine if entries[k][2] is None]
        free = [take for take in range(len(entries) + 4) if take not in given_]
        numbered.sort(key=lambda k: rows[k]["image"])
        assert [rows[k]["take"] for k in numbered] == free[: len(numbered)]
