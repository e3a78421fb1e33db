from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fesbench.data.images import read_image
from fesbench.data.layouts.kdef import cast_of, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from tests.listings import counted, note, plan, rows


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "kdef", identities=2, generation="archive")


def test_the_adapter_reads_back_what_was_written(copy: Path) -> None:
    found = plan("kdef", copy)
    assert len(found) == 140
    assert found.facts.not_understood.count == 0
    assert note(found, "folder AKDEF").startswith("3 files")
    assert note(found, "misnamed").startswith("AF31V.JPG")
    assert not any("fewer than" in text for text in found.facts.notes)
    have = {what: number for what, (number, _) in counted(found).items()}
    assert (have["subjects"], have["happiness"], have["pose FL"], have["session B"]) == (2, 20, 28, 70)
    assert {row["identity"] for row in rows(found)} == {"F01", "F31"}
    assert len({(row["identity"], row["take"], row["expression"]) for row in rows(found)}) == 140
    with Image.open(found.images[0].path) as image:
        assert (image.format, image.size) == ("JPEG", (200, 271))


def test_no_face_is_found_in_profile_or_in_the_dark(copy: Path) -> None:
    options = {"poses": ["HR", "FR"]}
    store = prepare("kdef", size=64, alignment="dlib68-128@1", source=copy, options=options)
    assert set(store.manifest.table["pose"]) == {"HR"}
    assert len(store) == 28
    failed = {failure["image"] for failure in store.info["failures"]}
    assert len(failed) == 28
    assert all(name.endswith("FR.JPG") for name in failed)
    assert "BF01ANFR.JPG" in failed
    (black,) = copy.rglob("BF01ANFR.JPG")
    assert read_image(black).max() == 0


def test_the_other_generations(tmp_path: Path, copy: Path) -> None:
    for generation in ("plain", "flat"):
        out = write(tmp_path / generation, identities=1, size=64, generation=generation)
        wanted = [r["image"] for r in rows(plan("kdef", copy)) if r["identity"] == "F01"]
        assert [r["image"] for r in rows(plan("kdef", out))] == wanted
    assert (tmp_path / "plain/BF01/BF01NES.JPG").exists()
    assert (tmp_path / "flat/BF01NES.JPG").exists()


def test_everybody_has_a_number_and_the_avatars_sex() -> None:
    from fesbench.data.avatars import attributes

    cast = cast_of(70)
    assert len({name for _, name in cast}) == 70
    assert all(str(attributes(who)["sex"])[0].upper() == name[0] for who, name in cast)
    assert {"F31", "M31"} <= {name for _, name in cast_of(12)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 71}, "holds 1 to 70 subjects, not 71"),
        ({"identities": 0}, "not 0"),
        ({"size": 600}, "64 to 562 pixels wide, not 600"),
        ({"generation": "third"}, "must be one of plain, archive, flat"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
