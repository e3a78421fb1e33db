from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.alignment.faces import find_landmarks
from fesbench.data.images import read_image
from fesbench.data.layouts.oulu_casia import FOLDERS, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from tests.listings import counted, note, plan, rows


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "oulu"
    return write(out, identities=1, frames=6, generation="archive")


def test_the_adapter_reads_back_what_was_written(copy: Path) -> None:
    store = prepare("oulu-casia", size=64, alignment="dlib68-128@1", source=copy)
    table = store.manifest.table
    assert len(store) == 6 * (3 + 3)
    assert store.info["failures"] == []
    assert store.info["not_understood"]["count"] == 0
    assert set(table["identity"]) == {"P001"}
    assert set(table["lighting"]) == {"strong"}
    assert table["expression"].value_counts().to_dict() == {
        "neutral": 18,
        **dict.fromkeys(("anger", "disgust", "fear", "happiness", "sadness", "surprise"), 3),
    }
    # sequences are 6, 7 and 8 frames long in turn
    last = table[table["intensity"] == 1].groupby("sequence")["frame"].max()
    assert last.to_dict() == {
        "VL_Strong_P001_Anger": 5,
        "VL_Strong_P001_Disgust": 6,
        "VL_Strong_P001_Fear": 7,
        "VL_Strong_P001_Happiness": 5,
        "VL_Strong_P001_Sadness": 6,
        "VL_Strong_P001_Surprise": 7,
    }


def test_every_camera_and_light_is_there(copy: Path) -> None:
    for camera in ("VL", "NI"):
        found = plan("oulu-casia", copy, modality=camera, lighting=["Strong", "Weak", "Dark"])
        assert len(found) == 3 * 36
        assert {counted(found)[f"{camera} {light} sequences"] for light in ("Strong", "Weak", "Dark")} == {
            (6, 480)
        }
        assert "126 images are left out" in note(found, "option modality")
        assert note(found, "folder B_PreprocessImg").startswith("42 files")


def test_the_traps_are_there(copy: Path) -> None:
    root = copy / FOLDERS["archive"]
    images = {
        (camera, light): root / camera / light / "P001/Anger/000.jpeg"
        for camera in ("VL", "NI")
        for light in ("Strong", "Weak", "Dark")
    }
    with Image.open(images["VL", "Strong"]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 240))
    level = {key: read_image(path).mean() for key, path in images.items()}
    assert level["VL", "Dark"] < 10 < level["VL", "Weak"] < level["VL", "Strong"] / 3
    assert level["NI", "Dark"] > 60
    infrared = read_image(images["NI", "Dark"]).astype(int)
    assert np.ptp(infrared, axis=2).max() <= 2
    with pytest.raises(DataError, match="face"):
        find_landmarks(read_image(images["VL", "Dark"]))
    assert (root / ".DS_Store").exists()


def test_the_other_generations(tmp_path: Path) -> None:
    images = set()
    for generation in write.generations:
        out = write(tmp_path / generation, identities=1, frames=6, size=64, generation=generation)
        images.add(tuple(row["image"] for row in rows(plan("oulu-casia", out))))
        assert (out / FOLDERS[generation] / "NI/Dark/P001/Surprise/007.jpeg").exists()
    assert len(images) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 81}, "holds 1 to 80 subjects, not 81"),
        ({"frames": 5}, "needs 6 frames"),
        ({"size": 241}, "64 to 240 pixels wide, not 241"),
        ({"generation": "third"}, "must be one of plain, archive, kaggle"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
