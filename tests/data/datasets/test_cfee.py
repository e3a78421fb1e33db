from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Count
from fesbench.data.datasets.cfee import CATEGORIES
from fesbench.data.datasets.cfee_labels import read_annotation
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.layouts.workbooks import Tables, xls_bytes, xlsx_bytes
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import ACTION_UNITS

ADAPTER = dataset("cfee")
BOOK = "AU_annotation_all_subjects.xls"

# real file names
REAL = (
    "01-04/Images1/01_126_3963.jpg",
    "01-04/Images1/02_339_3470.jpg",
    "05-08/Images2/06_111_2638.jpg",
    "09-12/Images3/10_110_2559.JPG",
    "17-20/Images5/20_206_9936.jpg",
    "21-26/Images6/23_178_6632.jpg",
)
SUMMARY: Tables = {
    "summary": [
        ["ID", "Category"],
        [1.0, "Neutral"],
        [2.0, "Happy"],
        [6.0, "Fearfully surprised "],
        [10.0, "awed"],
        ["20", "Sadly_Angry"],
    ]
}


def copy(root: Path, names: tuple[str, ...] = REAL, book: bytes | None = None) -> Path:
    for name in names:
        path = root / "CFEE_Database_230" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "CFEE_Database_230" / BOOK).write_bytes(xls_bytes(SUMMARY) if book is None else book)
    return root


def plan(root: Path, **options: object) -> ListedPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options(options), 128)
    assert isinstance(found, ListedPlan)
    return found


def note(found: ListedPlan, words: str) -> str:
    (match,) = [text for text in found.facts.notes if words in text]
    return match


def units(*present: int) -> np.ndarray:
    return np.array([unit in present for unit in ACTION_UNITS], np.float32)


def test_real_names_give_every_column(tmp_path: Path) -> None:
    root = copy(tmp_path) / "CFEE_Database_230"
    (root / ".DS_Store").touch()
    (root / "agreement.pdf").touch()
    (root / "01-04/Images1/02_339_3470_detectface.jpg").touch()
    found = plan(tmp_path)
    assert [tuple(image.row.values()) for image in found.images] == [
        ("10_110_2559.JPG", "110", "awed", 1.0, 0, "frontal", False),
        ("06_111_2638.jpg", "111", "fearfully_surprised", 1.0, 0, "frontal", False),
        ("01_126_3963.jpg", "126", "neutral", 0.0, 0, "frontal", False),
        ("20_206_9936.jpg", "206", "sadly_angry", 1.0, 0, "frontal", False),
        ("02_339_3470.jpg", "339", "happiness", 1.0, 0, "frontal", False),
    ]
    assert list(found.images[0].row) == [
        *("image", "identity", "expression", "intensity", "take", "pose", "publishable")
    ]
    assert all(image.action_units is None for image in found.images)
    assert found.facts.not_understood.first == ("CFEE_Database_230/01-04/Images1/02_339_3470_detectface.jpg",)
    assert [p.row for p in plan(root).images] == [p.row for p in found.images]


def test_codes_that_the_sheet_does_not_name_are_counted(tmp_path: Path) -> None:
    more = ("21-26/Images6/23_110_1.jpg", "21-26/Images6/26_110_2.jpg")
    found = plan(copy(tmp_path, REAL + more))
    assert len(found) == 5
    assert note(found, "not named").startswith("3 images of 2 codes that are not named (23, 26) are left out")


def test_the_order_of_codes_is_the_sheets(tmp_path: Path) -> None:
    swapped = xls_bytes({"summary": [["", ""], [1.0, "Neutral"], [2.0, "Disgust"], [6.0, "Happy"]]})
    found = plan(copy(tmp_path, book=swapped))
    assert {p.row["image"][:2]: p.row["expression"] for p in found.images} == {
        "01": "neutral",
        "02": "disgust",
        "06": "happiness",
    }


def test_without_the_workbook_codes_are_not_guessed(tmp_path: Path) -> None:
    copy(tmp_path)
    (tmp_path / "CFEE_Database_230" / BOOK).unlink()
    with pytest.raises(DataError, match=r"without AU_annotation_all_subjects\.xls.*Codes are not guessed"):
        plan(tmp_path)
    found = plan(tmp_path, codes={"01": "Neutral", "02": "happy"})
    assert [p.row["expression"] for p in found.images] == ["neutral", "happiness"]
    assert "no workbook" in note(found, "option codes")
    with pytest.raises(DataError, match="none of those that are named: 09"):
        plan(tmp_path, codes={"09": "fear"})


def test_codes_given_come_before_the_sheet(tmp_path: Path) -> None:
    found = plan(copy(tmp_path), codes={"02": "sad"})
    assert [p.row["expression"] for p in found.images] == ["sadness"]
    assert note(found, "option codes, not by the workbook")
    assert found.fingerprint != plan(tmp_path).fingerprint


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (["02"], "must be a table"),
        ({"2": "happy"}, "must be a table"),
        ({"02": "bliss"}, "unknown expression 'bliss'"),
        ({"02": "happy", "03": "joy"}, "one expression to two codes"),
    ],
)
def test_codes_that_make_no_sense(codes: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ADAPTER.check_options({"codes": codes})


def test_counts_and_missing_subjects(tmp_path: Path) -> None:
    found = plan(copy(tmp_path))
    counts = {count.what: count for count in found.facts.counts}
    assert counts["subjects"] == Count("subjects", 5, 230)
    assert counts["images"] == Count("images", 5, 5060)
    assert counts["awed"] == Count("awed", 1, 230)
    assert counts["hatred"] == Count("hatred", 0, 230)
    assert len(CATEGORIES) == 22
    assert set(counts) == {"subjects", "images", *CATEGORIES}
    assert "subjects 5 of 230" in note(found, "partial")
    assert note(found, "fewer than 22").startswith("5 of 5 subjects")


def test_a_second_image_is_another_take_by_number(tmp_path: Path) -> None:
    found = plan(copy(tmp_path, ("01-04/Images1/02_339_3470.jpg", "01-04/Images1/02_339_999.jpg")))
    assert [(p.row["image"], p.row["take"]) for p in found.images] == [
        ("02_339_999.jpg", 0),
        ("02_339_3470.jpg", 1),
    ]
    assert note(found, "take 1 and on").startswith("1 images")


def test_action_units_of_sheets_that_explain_themselves(tmp_path: Path) -> None:
    book = xls_bytes(
        {
            **SUMMARY,
            # one sheet a category: units in columns, then units in lists
            "Happy": [["Subject", "AU6", "AU12", "AU3"], [339.0, 1.0, 1.0, 1.0], [111.0, None, 0.0, None]],
            "06": [["Subject", "codes"], [111.0, "1+2 + 25"], [339.0, 5.0, "AU20"]],
            # one sheet a subject
            "110": [[None, 1.0, 2.0], [1.0, None, None], ["Awed", 1.0, 0.0]],
        }
    )
    found = read_annotation(copy(tmp_path, book=book) / "CFEE_Database_230" / BOOK, {})
    assert {key: vector.tolist() for key, vector in found.action_units.items()} == {
        ("339", "02"): units(6, 12).tolist(),
        ("111", "02"): units().tolist(),
        ("111", "06"): units(1, 2, 25).tolist(),
        ("339", "06"): units(5, 20).tolist(),
        ("110", "01"): units().tolist(),
        ("110", "10"): units(1).tolist(),
    }
    assert found.notes == ["1 codes of action units outside the vocabulary are left out"]
    images = {p.row["image"]: p.action_units for p in plan(tmp_path).images}
    assert images["01_126_3963.jpg"] is None
    happy = images["02_339_3470.jpg"]
    assert happy is not None
    assert happy.tolist() == units(6, 12).tolist()
    assert note(plan(tmp_path), "action units are known").startswith("action units are known for 3 of 5")


@pytest.mark.parametrize(
    "rows",
    [
        [["remarks"]],  # neither subjects nor units
        [["Subject", "AU6", "AU12"], [339.0, 3.0, 1.0]],  # intensities on a scale that is not known
        [[339.0, 0.0, 1.0, 1.0]],  # a matrix without a head must not pass for a list of units
        [[339.0, 12.0], [339.0, 25.0]],  # one subject twice
        [[339.0, "12 or 25"]],
    ],
)
def test_sheets_that_do_not_explain_themselves_are_left_unread(tmp_path: Path, rows: list[list[str]]) -> None:
    book = xls_bytes({**SUMMARY, "Happy": rows, "Sheet9": [["x"]]})
    found = read_annotation(copy(tmp_path, book=book) / "CFEE_Database_230" / BOOK, {})
    assert found.action_units == {}
    assert found.notes == [
        f"2 sheets of {BOOK} are not understood and their action units left unknown: 'Happy', 'Sheet9'"
    ]


def test_odd_summaries(tmp_path: Path) -> None:
    for book, message in (
        ({"Sheet1": [["x"]]}, "has no sheet 'summary'"),
        ({"summary": [["ID", "Name"], ["x", "y"]]}, "names no category"),
        ({"summary": [[1.0, "happy"], [2.0, "joy"]]}, "names code 02 or 'happiness' twice"),
        ({"summary": [[1.0, "happy"], [1.0, "sad"]]}, "names code 01 or 'sadness' twice"),
    ):
        with pytest.raises(DataError, match=message):
            plan(copy(tmp_path, book=xls_bytes(book)))
    strange = xls_bytes({"Summary": [[1.0, "Neutral"], [2.0, "Smirk"]]})
    found = plan(copy(tmp_path, book=strange))
    assert len(found) == 1
    assert "02 ('Smirk')" in note(found, "no known category")


def test_an_xlsx_and_two_workbooks(tmp_path: Path) -> None:
    other = copy(tmp_path) / "CFEE_Database_230" / f"{BOOK}x"
    other.write_bytes(xlsx_bytes({"summary": [[2.0, "Sad"]]}))
    assert note(plan(tmp_path), "is not read") == f"{BOOK}x is not read, {BOOK} is"
    (tmp_path / "CFEE_Database_230" / BOOK).unlink()
    assert [p.row["expression"] for p in plan(tmp_path).images] == ["sadness"]


def test_a_changed_workbook_changes_the_fingerprint(tmp_path: Path) -> None:
    before = plan(copy(tmp_path)).fingerprint
    assert plan(copy(tmp_path, book=xls_bytes({**SUMMARY, "more": [["x"]]}))).fingerprint != before


def test_folders_that_are_not_cfee(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image of CFEE"):
        plan(tmp_path)
    with pytest.raises(DataError, match=r"fesbench data prepare cfee --from DIR"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)
    with pytest.raises(UnknownNameError, match="Did you mean codes"):
        ADAPTER.check_options({"code": {}})
    copy(tmp_path)
    twice = tmp_path / "backup" / "02_339_3470.jpg"
    twice.parent.mkdir()
    twice.touch()
    with pytest.raises(DataError, match="the same image"):
        plan(tmp_path)
