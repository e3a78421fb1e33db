from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.layouts import layout
from fesbench.data.layouts.ferg import HIDDEN, write
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "ferg", identities=2, images=3, size=64)


@pytest.fixture(scope="module")
def store(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("ferg")))
        return prepare("ferg", size=64, alignment="none@1", source=copy, options={"images": 2})


def test_the_adapter_reads_back_what_was_written(store: AlignedStore) -> None:
    table = store.manifest.table
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert len(store) == 2 * 7 * 2
    assert set(zip(table["identity"], table["expression"], table["take"], strict=True)) == {
        (who, label, take) for who in ("aia", "bonnie") for label in labels for take in (0, 1)
    }
    # files 1, 2, 4: of three, the middles of two stretches are the first and the third
    assert set(table["frame"]) == {1, 4}
    assert not table["publishable"].any()
    counts = {count["what"]: count["found"] for count in store.info["counts"]}
    assert counts == {
        "characters": 2,
        "expressions": 7,
        "images": 43,
        "aia": 21,
        "bonnie": 22,
        "jules": 0,
        "malcolm": 0,
        "mery": 0,
        "ray": 0,
    }
    assert store.info["not_understood"]["count"] == 0
    (failure,) = store.info["failures"]
    assert failure["image"] == "bonnie/bonnie_surprise/bonnie_surprise_100.png"
    assert "0 bytes" in failure["reason"]


def test_the_background_is_white_and_the_hidden_color_gone(copy: Path, store: AlignedStore) -> None:
    with Image.open(copy / "FERG_DB_256/aia/aia_joy/aia_joy_1.png") as image:
        assert image.mode == "RGBA"
        pixels = np.asarray(image)
    hidden = pixels[..., 3] == 0
    assert 0.05 < hidden.mean() < 0.6
    assert (pixels[hidden][:, :3] == HIDDEN).all()
    assert (store.images[:, 0, 0] == 255).all()
    assert not (store.images == HIDDEN).all(axis=-1).any()
    # the face itself is there
    assert (store.images[:, 28:44, 28:36] < 250).any(axis=-1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 7}, "holds 1 to 6 characters, not 7"),
        ({"images": 0}, "needs an image or more"),
        ({"generation": "new"}, "generation must be one of plain"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
    assert layout("ferg").identities == 6
