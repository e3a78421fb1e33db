from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item
from fesbench.errors import DataError, UnknownNameError
from tests.listings import counted, lay, note, plan, rows

ADAPTER = dataset("jaffe")


def test_a_literal_listing(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "jaffe/KA.AN1.39.tiff",
        "jaffe/KA.FE4.48.tiff",
        "jaffe/KA.NE1.26.tiff",
        "jaffe/KM.DI3.22.tiff",
        "jaffe/KM.NE1.1.tiff",
        "jaffe/KM.SA5.13.tiff",
        "jaffe/NA.FE3.219.tiff",
        "jaffe/TM.SU1.187.tiff",
        "jaffe/UY.HA1.137.tiff",
        "jaffe/README_FIRST.txt",
        "jaffe/.DS_Store",
    )
    found = plan("jaffe", tmp_path)
    columns = ("image", "identity", "expression", "intensity", "take", "sex", "publishable")
    assert [tuple(r[name] for name in columns) for r in rows(found)] == [
        ("KA.AN1.39.tiff", "KA", "anger", 1.0, 0, "female", False),
        ("KA.FE4.48.tiff", "KA", "fear", 1.0, 3, "female", False),
        ("KA.NE1.26.tiff", "KA", "neutral", 0.0, 0, "female", False),
        ("KM.DI3.22.tiff", "KM", "disgust", 1.0, 2, "female", False),
        ("KM.NE1.1.tiff", "KM", "neutral", 0.0, 0, "female", False),
        ("KM.SA5.13.tiff", "KM", "sadness", 1.0, 4, "female", False),
        ("NA.FE3.219.tiff", "NA", "fear", 1.0, 2, "female", False),
        ("TM.SU1.187.tiff", "TM", "surprise", 1.0, 0, "female", False),
        ("UY.HA1.137.tiff", "UY", "happiness", 1.0, 0, "female", False),
    ]
    assert found.facts.not_understood.count == 0
    assert counted(found)["subjects"] == (5, 10)
    assert "images 9 of 213" in note(found, "is partial")
    assert note(found, "fewer than 7 expressions").endswith("KA (3), KM (3), NA (1), TM (1), UY (1)")


def test_the_official_counts() -> None:
    assert dict(ADAPTER.expected) == {
        "subjects": 10,
        "images": 213,
        "neutral": 30,
        "anger": 30,
        "disgust": 29,
        "fear": 32,
        "happiness": 31,
        "sadness": 31,
        "surprise": 30,
    }


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (256, 1))
    image.putdata(range(256))
    image.putpalette([level for k in range(256) for level in [255 - k] * 3])
    image.save(tmp_path / "KA.AN1.39.tiff")
    with Image.open(tmp_path / "KA.AN1.39.tiff") as file:
        assert (file.format, file.mode) == ("TIFF", "P")
    (item,) = plan("jaffe", tmp_path).read(0, 1)
    assert isinstance(item, Item)
    assert np.array_equal(item.image, np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[None, :, None], 3, 2))


def test_wrong_names_are_told_with_their_remedy(tmp_path: Path) -> None:
    wrong = ("KA.AF1.45.tiff", "KA_AN1_40.tiff", "ZZ.AN1.39.tiff")
    found = plan("jaffe", lay(tmp_path, "KA.AN1.39.tiff", "list.dat", "sub/KA.NE1.26.jpg", *wrong))
    assert len(found) == 1
    assert found.facts.not_understood.first == (*wrong, "list.dat", "sub/KA.NE1.26.jpg")
    told = note(found, "have no name of JAFFE")
    assert told.startswith("3 images have no name of JAFFE (KA.AF1.45.tiff, KA_AN1_40.tiff, ZZ.AN1.39.tiff)")
    assert "SUBJECT.EXPRESSIONn.NUMBER.tiff, as KA.AN1.39.tiff" in told
    assert "give those files their names back" in told
    assert note(found, "converted").startswith("1 images are converted copies (sub/KA.NE1.26.jpg)")
    assert "bring the owner's TIFF files" in note(found, "converted")


def test_a_folder_without_jaffe_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image of jaffe") as caught:
        plan("jaffe", lay(tmp_path / "jpeg", "KA.NE1.26.jpg"))
    assert "bring the owner's TIFF files" in str(caught.value)
    assert "zenodo.org" in str(caught.value)
    with pytest.raises(DataError, match="fesbench data prepare jaffe --from DIR"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)


def test_two_files_of_one_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are both take 1 of KA's anger; keep the one that the owner"):
        plan("jaffe", lay(tmp_path, "KA.AN1.39.tiff", "KA.AN1.40.tiff"))
    found = plan("jaffe", lay(tmp_path / "small", "ka.an1.39.TIF"))
    assert (rows(found)[0]["identity"], rows(found)[0]["expression"]) == ("KA", "anger")


def test_it_has_no_options() -> None:
    with pytest.raises(UnknownNameError):
        ADAPTER.check_options({"takes": 1})
