from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.rafd import ANGLES, GAZES, LABELS, MODELS
from fesbench.data.layouts.rafd import cast_of
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import EXPRESSIONS
from tests.listings import counted, lay, note, plan, rows

ADAPTER = dataset("rafd")


def test_a_literal_listing(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "Rafd090_28_Caucasian_male_angry_frontal.jpg",
        "Rafd090_28_Caucasian_male_neutral_left.jpg",
        "Rafd045_01_Caucasian_female_contemptuous_right.jpg",
        "Rafd180_73_Moroccan_male_surprised_left.jpg",
        "Rafd000_64_Kid_female_happy_frontal.jpg",
        "Rafd135_65_Kid_male_sad_frontal.jpg",
        ".DS_Store",
        "RaFD manual.pdf",
    )
    columns = ("identity", "expression", "intensity", "take", "pose", "gaze", "sex", "skin", "publishable")
    found = plan("rafd", tmp_path)
    assert [tuple(r[name] for name in columns) for r in rows(found)] == [
        ("01", "contempt", 1.0, 5, "045", "right", "female", "Caucasian", False),
        ("28", "anger", 1.0, 0, "090", "frontal", "male", "Caucasian", False),
        ("28", "neutral", 0.0, 1, "090", "left", "male", "Caucasian", False),
        ("64", "happiness", 1.0, 9, "000", "frontal", "female", "", False),
        ("65", "sadness", 1.0, 6, "135", "frontal", "male", "", False),
        ("73", "surprise", 1.0, 13, "180", "left", "male", "Moroccan", False),
    ]
    assert rows(found)[1]["image"] == "Rafd090_28_Caucasian_male_angry_frontal.jpg"
    assert all("age" not in row for row in rows(found))
    assert found.facts.not_understood.count == 0
    assert counted(found)["subjects"] == (5, 67)
    assert "images 6 of 8040" in note(found, "is partial")
    assert "fewer than 120 images: 01 (1), 28 (2)" in note(found, "fewer than")


def test_every_take_is_an_angle_and_a_gaze(tmp_path: Path) -> None:
    lay(tmp_path, *(f"Rafd{a}_28_Caucasian_male_angry_{g}.jpg" for a, g in product(ANGLES, GAZES)))
    taken = {r["take"]: (r["pose"], r["gaze"]) for r in rows(plan("rafd", tmp_path))}
    assert taken == dict(
        enumerate(product(("090", "045", "135", "000", "180"), ("frontal", "left", "right")))
    )


def test_a_whole_copy_has_the_counts_of_the_public_list(tmp_path: Path) -> None:
    names = [
        f"Rafd{angle}_{person}_{label}_{gaze}.jpg"
        for (_, person), angle, label, gaze in product(cast_of(67), ANGLES, LABELS, GAZES)
    ]
    found = plan("rafd", lay(tmp_path, *names))
    assert counted(found) == {
        "subjects": (67, 67),
        "images": (8040, 8040),
        **{f"angle {angle}": (1608, 1608) for angle in ("000", "045", "090", "135", "180")},
        **{f"gaze {gaze}": (2680, 2680) for gaze in ("frontal", "left", "right")},
        **dict.fromkeys(EXPRESSIONS, (1005, 1005)),
        **{name: (n, n) for name, n in (("Caucasian", 4680), ("Moroccan", 2160), ("Kid", 1200))},
        **{name: (n, n) for name, n in (("male", 5040), ("female", 3000))},
    }
    assert found.facts.notes == ()
    assert len(MODELS) == 67
    assert not {"06", "13", "17", "34", "62", "66"} & set(MODELS)
    assert (MODELS[0], MODELS[-1]) == ("01", "73")
    chosen = plan("rafd", tmp_path, angles=["045", "090", "135"])
    assert len(chosen) == 4824
    assert note(chosen, "option angles") == "3216 images are left out by option angles (000 1608, 180 1608)"
    frontal = plan("rafd", tmp_path, angles=["090"], gazes=["frontal"])
    assert {r["take"] for r in rows(frontal)} == {0}
    assert counted(frontal)["images"] == (8040, 8040)


def test_options_do_not_renumber_takes(tmp_path: Path) -> None:
    lay(tmp_path, "Rafd135_28_Caucasian_male_angry_left.jpg", "Rafd090_28_Caucasian_male_angry_right.jpg")
    (row,) = rows(plan("rafd", tmp_path, angles=["135"], gazes=["left"]))
    assert row["take"] == 7
    found = plan("rafd", tmp_path, gazes=["right"])
    assert [r["take"] for r in rows(found)] == [2]
    assert note(found, "option gazes") == "1 images are left out by option gazes (left 1)"


def test_sorted_into_folders_and_twice(tmp_path: Path) -> None:
    lay(tmp_path, "x/angry/Rafd090_28_Caucasian_male_angry_frontal.jpg")
    assert rows(plan("rafd", tmp_path))[0]["image"] == "Rafd090_28_Caucasian_male_angry_frontal.jpg"
    lay(tmp_path, "train/angry/Rafd090_28_Caucasian_male_angry_frontal.jpg")
    with pytest.raises(DataError, match="give the folder of one copy"):
        plan("rafd", tmp_path)


def test_names_that_are_not_rafds(tmp_path: Path) -> None:
    odd = (
        "Rafd090_28_Caucasian_male_angry.jpg",
        "Rafd090_28_Caucasian_male_angry_up.jpg",
        "Rafd090_28_Kid_angry_frontal.jpg",
        "Rafd100_28_Caucasian_male_angry_frontal.jpg",
        "Rafd90_28_Caucasian_male_angry_frontal.jpg",
        "xRafd090_28_Caucasian_male_angry_frontal.jpg",
    )
    lay(tmp_path, *odd, "Rafd090_06_Caucasian_male_angry_frontal.jpg")
    found = plan("rafd", tmp_path)
    assert found.facts.not_understood.first == odd
    assert note(found, "model numbers that RaFD does not have").endswith("06; they are kept")
    with pytest.raises(DataError, match="accredited universities"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)


def test_options() -> None:
    assert ADAPTER.check_options({"angles": ("135", "045")})["angles"] == ["045", "135"]
    with pytest.raises(DataError, match="'angles' must be a list of some of 000, 045, 090, 135, 180"):
        ADAPTER.check_options({"angles": [90]})
    with pytest.raises(DataError, match="'gazes' must be a list"):
        ADAPTER.check_options({"gazes": "left"})
    with pytest.raises(UnknownNameError, match="Did you mean angles"):
        ADAPTER.check_options({"angle": ["090"]})
