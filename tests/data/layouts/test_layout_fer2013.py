from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.web_faces import CLASSES
from fesbench.data.layouts.fer2013 import write
from fesbench.data.layouts.web_faces import faces
from fesbench.data.prepare import prepare
from fesbench.data.splits.assign import Split
from fesbench.data.splits.leakage import find_leakage
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError

IDENTITIES = 5
PARTS = ("train", "validation", "test")


def made(tmp_path: Path, generation: str) -> AlignedStore:
    source = write(tmp_path / "made", identities=IDENTITIES, generation=generation)
    return prepare("fer2013", size=48, alignment="none@1", source=source)


def by(store: AlignedStore, column: str) -> dict[str, int]:
    return dict(Counter(store.manifest.table[column]))


def leaks(store: AlignedStore) -> set[tuple[str, str, str]]:
    table = store.manifest.table
    subsets = {part: frozenset(table["identity"][table["part"] == part]) for part in set(table["part"])}
    split = Split(*(subsets.get(part, frozenset()) for part in ("train", "validation", "test")))
    return {
        (pair.kind, pair.first, pair.second) for pair in find_leakage(store.manifest, store.images, split)
    }


def test_the_table_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    store = made(tmp_path, "csv")
    drawn = sorted(faces(range(IDENTITIES), 48, 0), key=lambda f: PARTS.index(f.part))
    assert len(drawn) == 35
    for k, face in enumerate(drawn):
        assert np.array_equal(store.images[k], np.repeat(face.image[..., None], 3, axis=2))
        row = store.manifest.table.iloc[k]
        assert (row["expression"], row["part"]) == (CLASSES[face.label], face.part)
    assert by(store, "part") == {"train": 21, "validation": 7, "test": 7 + 2}
    assert by(store, "expression") == {**dict.fromkeys(CLASSES.values(), 5), "anger": 6, "disgust": 6}
    assert [failure["reason"] for failure in store.info["failures"]] == [
        "every pixel has the same value; there is no face to see",
        "line 41 of fer2013.csv: 2303 pixels instead of 2304",
        "line 42 of fer2013.csv: emotion '7' instead of 0 to 6",
    ]
    assert {count["what"]: count["found"] for count in store.info["counts"]}["images"] == 39
    assert leaks(store) == {
        ("file", "Training/0000000", "PrivateTest/0000035"),
        ("image", "Training/0000001", "PrivateTest/0000036"),
    }


def test_the_folders_come_back(tmp_path: Path) -> None:
    store = made(tmp_path, "folder")
    assert by(store, "part") == {"train": 21 + 1, "validation": 7, "test": 7 + 2}
    assert by(store, "expression") == {
        **dict.fromkeys(CLASSES.values(), 5),
        "anger": 6,
        "disgust": 6,
        "happiness": 6,
    }
    assert "train/happy/Copy of Training (1).jpg" in set(store.manifest.table["image"])
    assert sorted(failure["image"] for failure in store.info["failures"]) == [
        "test/surprise/PrivateTest_1037.jpg",
        "train/angry/Training_0.jpg",
    ]
    assert store.info["not_understood"]["first"] == ["train/happy/list.csv"]
    assert leaks(store) == {
        ("file", "test/angry/PrivateTest_1035.jpg", "train/angry/Training_1000.jpg"),
        ("image", "test/disgust/PrivateTest_1036.jpg", "train/disgust/Training_1001.jpg"),
    }


def test_the_other_pack_comes_back(tmp_path: Path) -> None:
    store = made(tmp_path, "images")
    assert by(store, "part") == {"train": 22, "validation": 7, "test": 9}
    assert len(store.info["failures"]) == 2


def test_ferplus_comes_back(tmp_path: Path) -> None:
    store = made(tmp_path, "fer+")
    # of 38 images every seventh has no majority, every tenth a vote for "not a face"; the last is black
    left = [k for k in range(38) if k % 7 != 6 and k % 10 != 9]
    assert left[-1] == 37
    names = [name.split("/")[1] for name in store.manifest.table["image"]]
    assert sorted(names) == [f"fer{k:07d}.png" for k in left[:-1]]
    labels = dict(zip(names, store.manifest.table["expression"], strict=True))
    drawn = sorted(faces(range(IDENTITIES), 48, 0), key=lambda f: PARTS.index(f.part))
    assert all(labels[f"fer{k:07d}.png"] == CLASSES[drawn[k].label] for k in left if k < 35)
    notes = " / ".join(store.info["notes"])
    assert "3 images have a vote for 'not a face'" in notes
    assert "5 images have no expression that more than half" in notes
    assert "1 images have no line in fer2013new.csv" in notes
    assert "1 lines of fer2013new.csv name no image" in notes
    assert store.info["not_understood"]["count"] == 0


def test_subjects_are_in_one_part_only() -> None:
    parts: dict[int, set[str]] = {}
    for face in faces(range(10), 16, 0):
        parts.setdefault(face.identity, set()).add(face.part)
    assert [parts[who] for who in range(5)] == [{"train"}, {"train"}, {"train"}, {"validation"}, {"test"}]
    assert all(len(found) == 1 for found in parts.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 4}, "needs 5 subjects or more"),
        ({"generation": "zip"}, r"must be one of csv, folder, images, fer\+"),
        ({"generation": "folder", "size": 8}, "16 to 1024 pixels wide, not 8"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **options)  # type: ignore[arg-type]
    assert dataset("fer2013").needs_source
