from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fesbench.data.datasets.web_faces import CLASSES
from fesbench.data.layouts.mmafedb import write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError


@pytest.mark.parametrize("generation", ["plain", "bare"])
def test_every_count_comes_back(tmp_path: Path, generation: str) -> None:
    source = write(tmp_path / "made", identities=15, generation=generation)
    store = prepare("mmafedb", size=48, alignment="none@1", source=source)
    table = store.manifest.table
    assert len(store) == 15 * 7 + 2
    assert Counter(table["part"]) == {"train": 9 * 7 + 1, "validation": 3 * 7, "test": 3 * 7 + 1}
    assert Counter(table["expression"]) == {
        **dict.fromkeys(CLASSES.values(), 15),
        "happiness": 16,
        "anger": 16,
    }
    assert sorted(failure["image"] for failure in store.info["failures"]) == [
        "test/surprise/im90002.jpg",
        "train/sad/im90003.jpg",
        "valid/fear/im90004.jpg",
    ]
    assert store.info["not_understood"]["count"] == 1
    twice = [count for count in Counter(table["sha256"]).values() if count > 1]
    assert twice == [2]
    assert not store.manifest.identities_known


def test_gray_and_color_are_mixed(tmp_path: Path) -> None:
    root = write(tmp_path / "made", identities=15, size=16, generation="bare")
    modes = Counter()
    for path in root.rglob("im[0-9].jpg"):
        with Image.open(path) as image:
            modes[image.mode] += 1
    assert modes == {"L": 5, "RGB": 5}


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 15 subjects or more"):
        write(tmp_path / "x", identities=14)
    with pytest.raises(DataError, match="must be one of plain, bare"):
        write(tmp_path / "x", generation="csv")
