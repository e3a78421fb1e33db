"""CK+48, the derivative that students bring for CK+: recognized, and told why nothing can be asked of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.ck48 import recognized
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from tests.listings import lay, plan
from tests.stores import picture

NAMES = [
    f"{label}/S{subject:03d}_004_{frame:08d}.png"
    for subject in range(10, 30)
    for label in ("anger", "happy", "surprise")
    for frame in (15, 16, 17)
]


def test_names_tell_it_apart() -> None:
    told = recognized(NAMES)
    assert told.startswith("these images are CK+48 (180 of its 981)")
    assert recognized([*NAMES, *("anger/anna_1.png" for _ in NAMES)]) == ""
    assert recognized([]) == ""
    assert recognized(["cohn-kanade-images/S005/001/S005_001_00000011.png"]) == ""


def test_given_as_ckplus_it_is_called_by_its_name(tmp_path: Path) -> None:
    adapter = dataset("ck+")
    with pytest.raises(
        DataError, match=r"does not hold CK\+ as its owner.*CK\+48 \(180 of.*NO NEUTRAL IMAGE"
    ):
        adapter.plan(lay(tmp_path / "CK+48", *NAMES), adapter.check_options({}), 128)


def test_given_as_a_folder_it_is_noted(tmp_path: Path) -> None:
    found = plan("folder", lay(tmp_path / "CK+48", *NAMES))
    assert found.facts.notes[0].startswith("these images are CK+48")
    assert {image.row["identity"] for image in found.images} == {f"S{k:03d}" for k in range(10, 30)}


def test_a_missing_neutral_image_is_the_cause_that_is_named(tmp_path: Path) -> None:
    for name in NAMES:
        path = tmp_path / "CK+48" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(picture(name, 48))).save(path)
    store = prepare("folder", size=32, alignment="none@1", source=tmp_path / "CK+48")
    rules = load_protocol("folder")
    split = build_split(rules, store)
    with pytest.raises(DataError) as caught:
        build_requests(rules, store, split, "smoke")
    told = str(caught.value)
    assert "it starts from a neutral image, and the data has none of the subjects who are asked" in told
    assert "(it shows anger, happiness, surprise)" in told
    assert "these images are CK+48" in told
