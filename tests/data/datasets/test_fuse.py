from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item, Plan, Skipped
from fesbench.errors import DataError

ADAPTER = dataset("fuse")
PIXELS = " ".join(str(k % 256) for k in range(2304))


def plan(root: Path) -> Plan:
    return ADAPTER.plan(root, ADAPTER.check_options({}), 48)


def image(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    face = np.full((48, 48), value, np.uint8)
    face[0] = 255
    Image.fromarray(face).save(path)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Two lines of FER-2013, the second damaged, and three images of MMAFEDB."""
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{PIXELS},Training\n3,1 2,PublicTest\n")
    for k, name in enumerate(("test/sad/1.png", "train/happy/1.png", "valid/neutral/1.png")):
        image(tmp_path / "MMAFEDB" / name, k)
    return tmp_path


def test_both_sets_under_their_names(both: Path) -> None:
    found = pickle.loads(pickle.dumps(plan(both)))
    assert len(found) == 5
    entries = found.read(0, 5)
    columns = ("image", "identity", "expression", "part")
    assert [tuple(e.row[name] for name in columns) for e in entries if isinstance(e, Item)] == [
        ("fer2013/Training/0000000", "?fer2013/Training/0000000", "anger", "train"),
        ("mmafedb/test/sad/1.png", "?mmafedb/test/sad/1.png", "sadness", "test"),
        ("mmafedb/train/happy/1.png", "?mmafedb/train/happy/1.png", "happiness", "train"),
        ("mmafedb/valid/neutral/1.png", "?mmafedb/valid/neutral/1.png", "neutral", "validation"),
    ]
    assert entries[1] == Skipped(
        "fer2013/PublicTest/0000001", "line 3 of fer2013.csv: 2 pixels instead of 2304"
    )


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 3), (2, 4), (3, 9), (0, 5), (5, 6), (2, 2)])
def test_ranges_reach_over_the_end_of_a_set(both: Path, start: int, stop: int) -> None:
    def names(entries: list[Item | Skipped]) -> list[str]:
        return [str(e.row["image"]) if isinstance(e, Item) else e.image for e in entries]

    found = plan(both)
    assert names(found.read(start, stop)) == names(found.read(0, 5))[start:stop]


def test_facts_of_both(both: Path) -> None:
    (both / "odd.csv").touch()
    facts = plan(both).facts
    counts = {count.what: (count.found, count.expected) for count in facts.counts}
    assert counts == {
        "fer2013 images": (2, 35_887),
        "fer2013 train": (1, 28_709),
        "fer2013 validation": (1, 3_589),
        "fer2013 test": (0, 3_589),
        "mmafedb images": (3, 127_680),
        "mmafedb train": (1, 92_968),
        "mmafedb validation": (1, 17_356),
        "mmafedb test": (1, 17_356),
    }
    assert set(counts) == set(ADAPTER.expected)
    assert (facts.not_understood.count, facts.not_understood.first) == (1, ("odd.csv",))
    assert 'split.duplicates = "drop"' in facts.notes[-1]
    assert any("28709, 3589 and 3589" in note for note in facts.notes)


def test_folders_of_one_name_in_both_sets_are_told_apart(tmp_path: Path) -> None:
    for name in ("fer/train/sad/1.png", "fer/test/sad/1.png", "mma/train/sad/1.png", "mma/valid/sad/1.png"):
        image(tmp_path / name, 3)
    found = plan(tmp_path)
    assert [e.row["image"] for e in found.read(0, 4) if isinstance(e, Item)] == [
        "fer2013/test/sad/1.png",
        "fer2013/train/sad/1.png",
        "mmafedb/train/sad/1.png",
        "mmafedb/valid/sad/1.png",
    ]


def test_the_fingerprint_follows_both(both: Path) -> None:
    before = plan(both).fingerprint
    assert plan(both).fingerprint == before
    image(both / "MMAFEDB/test/sad/2.png", 7)
    after = plan(both).fingerprint
    assert after != before
    (both / "fer2013.csv").write_text(f"emotion,pixels,Usage\n1,{PIXELS},Training\n")
    assert plan(both).fingerprint not in (before, after)


def test_one_set_is_not_enough(both: Path) -> None:
    with pytest.raises(DataError, match="fesbench data prepare fuse --from DIR"):
        ADAPTER.plan(None, {}, 48)
    with pytest.raises(DataError, match="holds nothing of FER-2013"):
        plan(both / "MMAFEDB")
    (both / "MMAFEDB").rename(both / "mma")
    (both / "mma" / "valid").rename(both / "mma" / "removed")
    with pytest.raises(DataError, match="holds nothing of MMAFEDB"):
        plan(both)
