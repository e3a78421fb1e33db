from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Skipped
from fesbench.data.datasets.kdef import LABELS, MISNAMED, POSES
from fesbench.errors import DataError, UnknownNameError
from tests.listings import counted, lay, note, plan, rows

ADAPTER = dataset("kdef")


def test_a_literal_listing(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "AF01/AF01AFS.JPG",
        "AF01/AF01ANHL.JPG",
        "AF01/AF01DIHR.JPG",
        "BF01/BF01HAFL.JPG",
        "BF01/BF01NEFR.JPG",
        "AM35/AM35SAS.JPG",
        "BM35/BM35SUS.JPG",
        "AF01/Thumbs.db",
        "Readme.doc",
    )
    columns = ("image", "identity", "expression", "intensity", "take", "pose", "sex", "publishable")
    found = plan("kdef", tmp_path)
    assert [tuple(r[name] for name in columns) for r in rows(found)] == [
        ("AF01AFS.JPG", "F01", "fear", 1.0, 0, "S", "female", False),
        ("AF01ANHL.JPG", "F01", "anger", 1.0, 2, "HL", "female", False),
        ("AF01DIHR.JPG", "F01", "disgust", 1.0, 4, "HR", "female", False),
        ("BF01HAFL.JPG", "F01", "happiness", 1.0, 7, "FL", "female", False),
        ("BF01NEFR.JPG", "F01", "neutral", 0.0, 9, "FR", "female", False),
        ("AM35SAS.JPG", "M35", "sadness", 1.0, 0, "S", "male", False),
        ("BM35SUS.JPG", "M35", "surprise", 1.0, 1, "S", "male", False),
    ]
    assert found.facts.not_understood.count == 0
    assert counted(found)["subjects"] == (2, 70)
    assert counted(found)["session B"] == (3, 2450)
    assert "images 7 of 4900" in note(found, "is partial")
    assert note(found, "fewer than 70 images").endswith("F01 (5), M35 (2)")


def test_every_take_is_a_side_and_a_session(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{session}F01NE{pose}.JPG" for session, pose in product("AB", POSES)))
    taken = {r["take"]: (r["pose"], r["image"][0]) for r in rows(plan("kdef", tmp_path))}
    assert taken == dict(enumerate(product(("S", "HL", "HR", "FL", "FR"), "AB")))


def test_a_whole_copy_has_the_counts_that_are_expected(tmp_path: Path) -> None:
    wrong = {right: wrong for wrong, right in MISNAMED.items()}
    identities = [f"{session}{sex}{k:02d}" for session, sex, k in product("AB", "FM", range(1, 36))]
    stems = [f"{who}{label}{pose}" for who, label, pose in product(identities, LABELS, POSES)]
    lay(tmp_path, *(f"KDEF/{stem[:4]}/{wrong.get(stem, stem)}.JPG" for stem in stems))
    found = plan("kdef", tmp_path)
    assert {what: have for what, (have, _) in counted(found).items()} == dict(ADAPTER.expected)
    assert (counted(found)["images"], counted(found)["happiness"]) == ((4900, 4900), (700, 700))
    assert found.facts.notes == (
        "AF31V.JPG is misnamed in the distribution and is read as AF31SAHL",
        "AM31H.JPG is misnamed in the distribution and is read as AM31SUHR",
    )
    straight = plan("kdef", tmp_path, poses=["S"])
    assert len(straight) == 980
    assert {r["take"] for r in rows(straight)} == {0, 1}
    assert note(straight, "option poses").startswith("3920 images are left out by option poses (FL 980,")


def test_the_misnamed_files_get_their_labels(tmp_path: Path) -> None:
    found = plan("kdef", lay(tmp_path, "AF31/AF31V.JPG", "AM31/AM31H.JPG"))
    assert [(r["image"], r["identity"], r["expression"], r["pose"], r["take"]) for r in rows(found)] == [
        ("AF31V.JPG", "F31", "sadness", "HL", 2),
        ("AM31H.JPG", "M31", "surprise", "HR", 4),
    ]
    again = plan("kdef", lay(tmp_path, "AF31/AF31SAHL.JPG"))
    assert [r["image"] for r in rows(again)] == ["AF31SAHL.JPG", "AM31H.JPG"]
    assert note(again, "AF31V.JPG") == "AF31V.JPG is left out: AF31SAHL.JPG is there already"
    assert counted(again)["images"] == (2, 4900)


def test_averaged_faces_are_left_out(tmp_path: Path) -> None:
    lay(tmp_path, "KDEF_and_AKDEF/KDEF/AF01/AF01AFS.JPG")
    lay(tmp_path, *(f"KDEF_and_AKDEF/AKDEF/{stem}.JPG" for stem in ("FAFS", "MANHL", "FAHR")))
    found = plan("kdef", tmp_path)
    assert [r["image"] for r in rows(found)] == ["AF01AFS.JPG"]
    assert note(found, "folder AKDEF").startswith("3 files")
    assert found.facts.not_understood.count == 0


def test_small_letters_and_two_files_of_one_name(tmp_path: Path) -> None:
    found = plan("kdef", lay(tmp_path, "af01afs.jpg"))
    assert (rows(found)[0]["identity"], rows(found)[0]["expression"]) == ("F01", "fear")
    with pytest.raises(DataError, match="are the same image of KDEF; remove one"):
        plan("kdef", lay(tmp_path, "AF01/AF01AFS.JPG"))


def test_names_that_are_not_kdefs(tmp_path: Path) -> None:
    odd = ("AF00AFS.JPG", "AF01AFS.png", "AF01COS.JPG", "AF36AFS.JPG", "CF01AFS.JPG", "FAFS.JPG")
    found = plan("kdef", lay(tmp_path, "AF01AFS.JPG", *odd))
    assert found.facts.not_understood.first == odd
    with pytest.raises(DataError, match="no image of kdef"):
        plan("kdef", lay(tmp_path / "other", "FAFS.JPG"))
    with pytest.raises(DataError, match="Karolinska Institutet"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)


def test_an_empty_file_is_skipped_with_its_reason(tmp_path: Path) -> None:
    (skipped,) = plan("kdef", lay(tmp_path, "AF01AFS.JPG")).read(0, 1)
    assert isinstance(skipped, Skipped)
    assert skipped.image == "AF01AFS.JPG"
    assert "is empty (0 bytes)" in skipped.reason


def test_options() -> None:
    assert ADAPTER.check_options({"poses": ["HR", "S"]})["poses"] == ["S", "HR"]
    with pytest.raises(DataError, match="'poses' must be a list of some of S, HL, HR, FL, FR"):
        ADAPTER.check_options({"poses": ["front"]})
    with pytest.raises(UnknownNameError, match="Did you mean poses"):
        ADAPTER.check_options({"pose": ["S"]})
