from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fesbench.data.layouts.rafd import cast_of, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from tests.listings import counted, plan, rows


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "rafd", identities=1)


def test_the_adapter_reads_back_what_was_written(copy: Path) -> None:
    found = plan("rafd", copy)
    assert len(found) == 120
    assert found.facts.not_understood.count == 0
    assert not any("fewer than" in text for text in found.facts.notes)
    have = {what: number for what, (number, _) in counted(found).items()}
    assert (have["subjects"], have["angle 180"], have["gaze left"], have["contempt"]) == (1, 24, 40, 15)
    assert (have["Caucasian"], have["female"]) == (120, 120)
    assert len({(row["take"], row["expression"]) for row in rows(found)}) == 15 * 8
    with Image.open(found.images[0].path) as image:
        assert (image.format, image.size) == ("JPEG", (200, 301))


def test_no_face_is_found_in_profile(copy: Path) -> None:
    options = {"angles": ["000", "045", "090", "180"], "gazes": ["left"]}
    store = prepare("rafd", size=64, alignment="dlib68-128@1", source=copy, options=options)
    table = store.manifest.table
    assert set(table["pose"]) == {"045", "090"}
    assert set(table["take"]) == {1, 4}
    assert len(store) == 16
    failed = [failure["image"] for failure in store.info["failures"]]
    assert len(failed) == 16
    assert {name[4:7] for name in failed} == {"000", "180"}


def test_sorted_by_expression(tmp_path: Path, copy: Path) -> None:
    out = write(tmp_path / "x", identities=1, size=64, generation="by-expression")
    assert len(list((out / "contemptuous").iterdir())) == 15
    assert [r["image"] for r in rows(plan("rafd", out))] == [r["image"] for r in rows(plan("rafd", copy))]


def test_everybody_has_a_group_and_the_avatars_sex() -> None:
    from fesbench.data.avatars import attributes

    cast = cast_of(67)
    assert cast[0][1].startswith("01_")
    assert cast[-1][1].startswith("73_")
    assert all(str(attributes(who)["sex"]) == name.split("_")[2] for who, name in cast)
    groups = [name[3:] for _, name in cast_of(12)]
    assert {"Caucasian_female", "Kid_female", "Caucasian_male", "Moroccan_male", "Kid_male"} <= set(groups)
    assert "Moroccan_female" not in {name[3:] for _, name in cast}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 68}, "holds 1 to 67 subjects, not 68"),
        ({"size": 682}, "64 to 681 pixels wide, not 682"),
        ({"generation": "third"}, "must be one of flat, by-expression"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
