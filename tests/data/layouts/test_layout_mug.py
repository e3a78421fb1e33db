from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.images import read_image
from fesbench.data.layouts.mug import levels, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from tests.listings import counted, note, plan, rows


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "mug", identities=3, frames=9, size=64)


def test_the_adapter_reads_back_what_was_written(copy: Path) -> None:
    found = plan("mug", copy)
    # each of three subjects: six expressions, one of them twice, and a neutral take
    assert len(found) == 3 * (7 * 6 + 3)
    assert counted(found) == {"subjects": (3, 52)}
    assert note(found, "takes:") == (
        "takes: anger 4, disgust 4, fear 4, happiness 3, sadness 3, surprise 3, neutral 3"
    )
    assert note(found, "folder's name").endswith("002_disgust_take002end, 003_fear_take002nsg")
    assert found.facts.not_understood.first == ("induced/001/img_0000.jpg",)
    assert not any("too short" in text or "fewer than" in text for text in found.facts.notes)
    frames = {r["frame"] for r in rows(found) if r["sequence"] == "002_disgust_take001"}
    assert frames == {12, 13, 14, 15, 16, 17}
    assert {r["expression"] for r in rows(found) if r["sequence"] == "001_neutral_take000"} == {"neutral"}


def test_the_middle_is_the_apex(copy: Path) -> None:
    folder = copy / "subjects3/001/surprise/take000"
    frames = [read_image(folder / f"img_{k:04d}.jpg").astype(int) for k in range(9)]
    change = [np.abs(frame - frames[0]).mean() for frame in frames]
    assert max(change[:3] + change[6:]) < min(change[3:6])
    assert [round(x, 2) for x in levels(9)] == [0.0, 0.05, 0.1, 0.95, 1.0, 0.97, 0.08, 0.04, 0.01]
    assert np.argmax(levels(50)) == 24
    with Image.open(folder / "img_0000.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))


def test_faces_are_found(tmp_path: Path) -> None:
    out = write(tmp_path / "mug", identities=1, frames=9, generation="sessions")
    store = prepare("mug", size=64, alignment="dlib68-128@1", source=out, options={"frames": 1})
    assert len(store) == 7 * 2 + 1
    assert store.info["failures"] == []
    assert set(store.manifest.table["identity"]) == {"001"}
    assert store.manifest.table["sequence"][0] == "001_001_anger_take000"
    assert store.manifest.table["image"][0] == "001/001/anger/take000/img_0000.jpg"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 87}, "holds 1 to 86 subjects, not 87"),
        ({"frames": 8}, "needs 9 frames"),
        ({"size": 32}, "64 to 896 pixels wide, not 32"),
        ({"generation": "third"}, "must be one of plain, sessions"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
