from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Skipped
from fesbench.data.datasets.listing import ListedPlan
from fesbench.errors import DataError

ADAPTER = dataset("mmafedb")
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def plan(root: Path) -> ListedPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options({}), 48)
    assert isinstance(found, ListedPlan)
    return found


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("outer", ["MMAFEDB/", "archive/MMAFEDB/", ""])
def test_the_three_parts(tmp_path: Path, outer: str) -> None:
    root = tmp_path / "copy"
    touch(root, *(f"{outer}train/{name}/im {k} (1).png" for k, name in enumerate(CLASSES)))
    touch(root, f"{outer}valid/sad/1.jpg", f"{outer}test/sad/1.jpg", f"{outer}test/sad/list.csv")
    found = plan(root)
    columns = ("image", "identity", "expression", "intensity", "part")
    rows = [tuple(image.row[name] for name in columns) for image in found.images]
    assert rows == [
        ("test/sad/1.jpg", "?test/sad/1.jpg", "sadness", 1.0, "test"),
        ("train/angry/im 0 (1).png", "?train/angry/im 0 (1).png", "anger", 1.0, "train"),
        ("train/disgust/im 1 (1).png", "?train/disgust/im 1 (1).png", "disgust", 1.0, "train"),
        ("train/fear/im 2 (1).png", "?train/fear/im 2 (1).png", "fear", 1.0, "train"),
        ("train/happy/im 3 (1).png", "?train/happy/im 3 (1).png", "happiness", 1.0, "train"),
        ("train/neutral/im 4 (1).png", "?train/neutral/im 4 (1).png", "neutral", 0.0, "train"),
        ("train/sad/im 5 (1).png", "?train/sad/im 5 (1).png", "sadness", 1.0, "train"),
        ("train/surprise/im 6 (1).png", "?train/surprise/im 6 (1).png", "surprise", 1.0, "train"),
        ("valid/sad/1.jpg", "?valid/sad/1.jpg", "sadness", 1.0, "validation"),
    ]
    assert found.facts.not_understood.first == (f"{outer}test/sad/list.csv",)
    counts = {count.what: (count.found, count.expected) for count in found.facts.counts}
    assert counts["images"] == (9, 127_680)
    assert counts["train"] == (7, 92_968)
    assert counts["validation"] == (1, 17_356)
    assert counts["validation sadness"] == (1, 2_236)
    assert counts["test sadness"] == (1, 2_177)
    assert counts["test fear"] == (0, 691)


def test_every_count_of_the_owner() -> None:
    assert {k: v for k, v in ADAPTER.expected.items() if " " not in k} == {
        "images": 127_680,
        "train": 92_968,
        "validation": 17_356,
        "test": 17_356,
    }
    order = ("neutral", "happiness", "sadness", "surprise", "anger", "fear", "disgust")
    assert [ADAPTER.expected[f"train {label}"] for label in order] == [
        29384,
        28592,
        12223,
        8113,
        6566,
        4859,
        3231,
    ]
    assert [ADAPTER.expected[f"test {label}"] for label in order] == [5858, 5459, 2177, 1475, 1041, 691, 655]
    assert [ADAPTER.expected[f"validation {label}"] for label in order] == [
        5839,
        5475,
        2236,
        1474,
        1017,
        659,
        656,
    ]


def test_that_it_contains_fer2013_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "MMAFEDB/train/sad/1.jpg")
    partial, contains = plan(tmp_path).facts.notes
    assert partial.startswith("this copy of MMAFEDB is partial (images 1 of 127680, train 1 of 92968")
    assert "contains FER-2013, part for part: 28709, 3589 and 3589" in contains


def test_fer2013_does_not_pass_for_it(tmp_path: Path) -> None:
    touch(tmp_path, "fer/train/sad/1.jpg", "fer/test/sad/1.jpg")
    with pytest.raises(DataError, match=r"holds nothing of MMAFEDB .*FER-2013's form"):
        plan(tmp_path)
    touch(tmp_path, "other/train/sad/1.jpg", "other/valid/sad/2.jpg")
    assert [image.path.parts[-4] for image in plan(tmp_path).images] == ["other", "other"]
    touch(tmp_path, "MMAFEDB/train/sad/9.jpg")
    with pytest.raises(DataError, match="both are MMAFEDB; give the folder of one copy"):
        plan(tmp_path)


def test_files_of_no_size_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "valid/sad/1.jpg")
    (tmp_path / "valid/sad/2.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    first, second = plan(tmp_path).read(0, 2)
    assert isinstance(first, Skipped)
    assert "is empty (0 bytes)" in first.reason
    assert isinstance(second, Skipped)
    assert second.image == "valid/sad/2.jpg"


def test_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fesbench data prepare mmafedb --from DIR"):
        ADAPTER.plan(None, {}, 48)
    with pytest.raises(DataError, match=r"holds nothing of MMAFEDB\.\n"):
        plan(tmp_path)
