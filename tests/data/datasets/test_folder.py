from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item, Skipped
from fesbench.data.datasets.folder import FolderPlan
from fesbench.data.datasets.folder_table import POINTS
from fesbench.data.layouts.plain import write_plain
from fesbench.data.prepare import prepare
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import ACTION_UNITS

ADAPTER = dataset("folder")


def plan(root: Path) -> FolderPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options({}), 128)
    assert isinstance(found, FolderPlan)
    return found


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def table(root: Path, *lines: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def rows(found: FolderPlan, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(image.row[name] for name in columns) for image in found.images]


def test_a_tree_of_real_looking_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Happy/anna_02.png",
        "Happy/anna_10.JPG",
        "neutral/anna.jpeg",
        "neutral/Jean Luc_1.tiff",
        "train/AFRAID/s12_session2_3.png",
        "TEST/sadly angry/s12_1.webp",
        "Happy/.DS_Store",
        "__MACOSX/Happy/._anna_02.png",
        "Happy/list.txt",
        "portraits/anna_01.png",
        "happily-surprised/s12_1.bmp",
    )
    found = plan(tmp_path)
    assert rows(found, "image", "identity", "expression", "intensity", "take", "part") == [
        ("Happy/anna_02.png", "anna", "happiness", 1.0, 0, ""),
        ("Happy/anna_10.JPG", "anna", "happiness", 1.0, 1, ""),
        ("TEST/sadly angry/s12_1.webp", "s12", "sadly_angry", 1.0, 0, "test"),
        ("happily-surprised/s12_1.bmp", "s12", "happily_surprised", 1.0, 0, ""),
        ("neutral/Jean Luc_1.tiff", "Jean Luc", "neutral", 0.0, 0, ""),
        ("neutral/anna.jpeg", "anna", "neutral", 0.0, 0, ""),
        ("train/AFRAID/s12_session2_3.png", "s12", "fear", 1.0, 0, "train"),
    ]
    assert found.facts.not_understood.first == ("Happy/list.txt", "portraits/anna_01.png")
    assert found.facts.notes == ("5 of 7 images have no part, the others have one",)
    assert found.facts.counts == ()


def test_a_tree_from_above_and_from_inside(tmp_path: Path) -> None:
    touch(tmp_path, "test/mine/happy/anna_1.png", "test/mine/sad/anna_1.png")
    assert rows(plan(tmp_path / "test"), "image", "part") == [
        ("happy/anna_1.png", ""),
        ("sad/anna_1.png", ""),
    ]
    # the folders above the one that was given say nothing about parts
    assert rows(plan(tmp_path / "test" / "mine"), "part") == [("",), ("",)]
    assert rows(plan(tmp_path / "test" / "mine" / "happy"), "image", "expression") == [
        ("happy/anna_1.png", "happiness")
    ]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/happy/anna_1.png", "b/happy/anna_1.png")
    with pytest.raises(DataError, match=r"have one name in this data set, 'happy/anna_1\.png'"):
        plan(tmp_path)


def test_one_identity_for_all_is_pointed_out(tmp_path: Path) -> None:
    touch(tmp_path, "happy/img_1.png", "sad/img_2.png")
    (note,) = plan(tmp_path).facts.notes
    assert note.startswith("all 2 images have one identity, 'img'; name the files person_number.png")


def test_names_without_a_separator_are_pointed_out(tmp_path: Path) -> None:
    touch(tmp_path, "anger/KA.AN1.39.tiff", "neutral/KA.NE1.26.tiff", "neutral/anna.png", "happy/anna_2.png")
    (note,) = plan(tmp_path).facts.notes
    assert note.startswith("NOBODY KNOWS WHO IS SHOWN: 2 of 4 file names have no '_' after the subject")
    assert "such as KA.AN1.39.tiff, KA.NE1.26.tiff" in note
    assert "name the files person_number.png, or write manifest.csv" in note


def test_one_identity_an_image_is_pointed_out(tmp_path: Path) -> None:
    touch(tmp_path, "happy/a_1.png", "sad/b_1.png", "neutral/c_1.png")
    (note,) = plan(tmp_path).facts.notes
    assert note.startswith("EVERY IDENTITY HAS ONE IMAGE (3 images)")
    (one,) = plan(table(tmp_path, "image,identity,expression", "happy/a_1.png,a,happy")).facts.notes
    assert one.startswith("manifest.csv says")
    table(tmp_path, "image,identity,expression", "happy/a_1.png,a,happy", "sad/b_1.png,b,sad")
    assert any(text.startswith("EVERY IDENTITY HAS ONE IMAGE (2") for text in plan(tmp_path).facts.notes)


def test_a_table_with_every_column(tmp_path: Path) -> None:
    touch(tmp_path, "images/a 1.png", "b.png", "images/c.png", "images/extra.png", ".DS_Store")
    points = [str(k / 2) for k in range(136)]
    sha = "0" * 64
    table(
        tmp_path,
        "image,sha256,identity,expression,intensity,sequence,frame,take,pose,gaze,lighting,domain,part,sex,age,"
        f"skin,glasses,publishable,AU1,AU12,{','.join(POINTS)}",
        f"a 1.png,{sha},anna,Happy,0.5,s1,7,3,045,left,dark,statue,Test,female,31.5,4,no,yes,0.25,"
        f",{','.join(points)}",
        f"b.png,,,Neutral,,,,,,,,,,,nan,,,,,,{',' * 135}",
        f"images\\c.png,,bert,,,,,,,,,,,,,,,,0,1,{',' * 135}",
    )
    found = plan(tmp_path)
    first, second, third = found.images
    assert first.path == tmp_path / "images" / "a 1.png"
    assert first.row == {
        "image": "a 1.png",
        "identity": "anna",
        "expression": "happiness",
        "intensity": 0.5,
        "sequence": "s1",
        "frame": 7,
        "take": 3,
        "pose": "045",
        "gaze": "left",
        "lighting": "dark",
        "domain": "statue",
        "part": "test",
        "sex": "female",
        "age": 31.5,
        "skin": "4",
        "glasses": "no",
        "publishable": True,
    }
    assert first.landmarks is not None
    assert first.landmarks.shape == (68, 2)
    assert first.landmarks[67].tolist() == [67.0, 67.5]
    assert first.action_units is not None
    assert first.action_units[ACTION_UNITS.index(1)] == 0.25
    assert np.isnan(first.action_units).sum() == len(ACTION_UNITS) - 1
    assert second.row["identity"] == "?b.png"
    assert (second.row["expression"], second.row["intensity"], second.row["take"]) == ("neutral", 0.0, 0)
    assert (second.row["domain"], second.row["publishable"], "age" in second.row) == ("in", False, False)
    assert (second.landmarks, second.action_units) == (None, None)
    assert (third.row["image"], third.row["expression"], third.row["intensity"]) == ("images/c.png", "", 1.0)
    assert third.path == tmp_path / "images" / "c.png"
    assert found.declared == (sha, "", "")
    assert found.facts.not_understood.first == ("images/extra.png",)
    notes = " / ".join(found.facts.notes)
    assert "1 of 3 images have no identity" in notes
    assert "1 of 3 images have no expression" in notes


def test_the_table_is_found_from_above_and_from_images(tmp_path: Path) -> None:
    touch(tmp_path, "set/images/a.png")
    table(tmp_path / "set", "image,expression", "a.png,happy")
    for root in (tmp_path, tmp_path / "set", tmp_path / "set" / "images"):
        assert rows(plan(root), "image", "identity") == [("a.png", "?a.png")]
    assert "manifest.csv has no column 'identity'" in plan(tmp_path).facts.notes
    touch(tmp_path, "other/a.png")
    table(tmp_path / "other", "image,expression", "a.png,happy")
    with pytest.raises(DataError, match="are two tables"):
        plan(tmp_path)


def test_the_table_decides_over_the_folders(tmp_path: Path) -> None:
    touch(tmp_path, "sad/anna_1.png", "sad/anna_2.png")
    table(tmp_path, "image,expression,identity", "sad/anna_1.png,happy,bert")
    found = plan(tmp_path)
    assert rows(found, "identity", "expression") == [("bert", "happiness")]
    assert found.facts.not_understood.first == ("sad/anna_2.png",)


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("image,expresion", "a.png,happy", "unknown column 'expresion'; the nearest is 'expression'"),
        ("image,expression,AU3", "a.png,happy,1", "unknown column 'AU3'; the nearest is 'AU"),
        ("image,identity", "a.png,x", "column 'expression' is missing"),
        (
            "image,expression",
            "a.png,joyful",
            "line 2, column 'expression': found 'joyful', an unknown expres",
        ),
        ("image,expression", "gone.png,happy", "line 2, column 'image': found 'gone.png', which is neither"),
        ("image,expression", "../a.png,happy", "wanted a path relative to the table"),
        ("image,expression", "/a.png,happy", "wanted a path relative to the table"),
        ("image,expression", ",happy", "wanted a path relative to the table"),
        ("image,expression", "a.png,happy\nimages/a.png,sad\na.png,sad", "line 4, .*that line 2 names"),
        ("image,expression", "a.png,happy\n./a.png,sad", "line 3, .*that line 2 names"),
        ("image,expression,intensity", "a.png,happy,1.5", "found '1.5', wanted a number from 0 to 1"),
        ("image,expression,intensity", "a.png,happy,0", "0 is for neutral and for it alone"),
        ("image,expression,intensity", "a.png,neutral,0.5", "0 is for neutral and for it alone"),
        ("image,expression,take", "a.png,happy,-1", "column 'take': found '-1', wanted a whole number"),
        ("image,expression,part", "a.png,happy,dev", "wanted train, validation, test, or nothing"),
        ("image,expression,age", "a.png,happy,old", "column 'age'"),
        ("image,expression,publishable", "a.png,happy,perhaps", "wanted yes or no"),
        ("image,expression,sha256", "a.png,happy,abc", "wanted 64 hexadecimal digits"),
        ("image,expression,AU12", "a.png,happy,5", "column 'AU12': found '5', wanted a number from 0 to 1"),
        ("image,expression,x0,y0", "a.png,happy,1,2", "line 1: column 'x1' is missing"),
        (
            f"image,expression,{','.join(POINTS)}",
            f"a.png,happy,{','.join(['1'] * 135)},",
            "column 'y67': found '', while the line gives other landmarks",
        ),
        (
            f"image,expression,{','.join(POINTS)}",
            f"a.png,happy,{','.join(['1'] * 135)},far",
            "column 'y67': found 'far'",
        ),
    ],
)
def test_bad_tables(tmp_path: Path, header: str, cells: str, message: str) -> None:
    touch(tmp_path, "a.png", "images/a.png")
    table(tmp_path, header, cells)
    with pytest.raises(DataError, match=message) as caught:
        plan(tmp_path)
    assert "manifest.csv" in str(caught.value)


def test_content_that_the_table_does_not_declare_is_skipped(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for name in ("file.png", "pixels.png", "other.png", "broken.png", "free.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"")
    file = hashlib.sha256((tmp_path / "file.png").read_bytes()).hexdigest()
    table(
        tmp_path,
        "image,expression,sha256",
        f"file.png,happy,{file}",
        f"pixels.png,happy,{hashlib.sha256(pixels.tobytes()).hexdigest()}",
        f"other.png,happy,{'f' * 64}",
        f"broken.png,happy,{file}",
        "free.png,happy,",
    )
    found = pickle.loads(pickle.dumps(plan(tmp_path)))
    entries = found.read(0, 5)
    assert [type(entry) for entry in entries] == [Item, Item, Skipped, Skipped, Item]
    assert "is not what manifest.csv declares (sha256 ffffffffffff...)" in entries[2].reason
    assert "is empty" in entries[3].reason
    assert entries[1].row["sha256"] == file
    assert type(found.read(2, 3)[0]) is Skipped


def test_the_fingerprint_follows_the_table(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    before = plan(table(tmp_path, "image,expression,pose", "a.png,happy,left")).fingerprint
    assert plan(tmp_path).fingerprint == before
    after = plan(table(tmp_path, "image,expression,pose", "a.png,happy,right")).fingerprint
    assert after != before


def test_what_fesbench_exports_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plain(tmp_path / "out", identities=1, size=64)
    back = prepare("folder", size=64, alignment="none@1", source=tmp_path / "out")
    there = prepare("avatars", size=64, alignment="none@1", options={"identities": [1, 0, 0]})
    columns = [name for name in there.manifest.table.columns if name != "sha256"]
    assert back.manifest.table[columns].equals(there.manifest.table[columns])
    assert np.array_equal(back.images, there.images)
    assert np.allclose(back.manifest.landmarks, there.manifest.landmarks, atol=1e-3)
    assert np.allclose(back.manifest.action_units, there.manifest.action_units, atol=1e-5)
    assert back.info["failures"] == []
    assert back.info["not_understood"]["count"] == 0
    assert back.manifest.identities_known


def test_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fesbench data prepare folder --from DIR"):
        ADAPTER.plan(None, {}, 64)
    with pytest.raises(DataError, match="is not a folder"):
        plan(tmp_path / "none")
    touch(tmp_path, "holiday/a.png")
    with pytest.raises(
        DataError, match=r"holds no image that is understood \(1 files, such as holiday/a.png"
    ):
        plan(tmp_path)
    table(tmp_path, "image,expression")
    with pytest.raises(DataError, match="holds no image that is understood"):
        plan(tmp_path)
    with pytest.raises(UnknownNameError):
        ADAPTER.check_options({"form": "csv"})
