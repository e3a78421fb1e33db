from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.clips import start_and_middle
from fesbench.errors import DataError
from tests.listings import counted, lay, note, plan, rows

ADAPTER = dataset("mug")


def take(root: Path, folder: str, *, first: int = 0, frames: int = 11) -> Path:
    return lay(root, *(f"{folder}/img_{k:04d}.jpg" for k in range(first, first + frames)))


def test_a_literal_listing(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *(f"subjects3/001/happiness/take000/img_{k:04d}.jpg" for k in range(51)),
        *(f"subjects3/001/neutral/take001/img_{k:04d}.jpg" for k in range(7, 60)),
        *(f"subjects3/052/disgust/take002/img_{k:04d}.jpg" for k in range(14, 24)),
        "subjects3/.DS_Store",
        "readme.txt",
    )
    found = plan("mug", tmp_path)
    assert rows(found)[3:6] == [
        {
            "image": f"001/happiness/take000/img_{number:04d}.jpg",
            "identity": "001",
            "expression": "happiness",
            "intensity": 1.0,
            "sequence": "001_happiness_take000",
            "frame": number,
            "take": place,
            "pose": "frontal",
            "publishable": False,
        }
        for place, number in enumerate((24, 25, 26))
    ]
    brief = [(r["sequence"], r["expression"], r["intensity"], r["frame"], r["take"]) for r in rows(found)]
    assert brief[:3] == [("001_happiness_take000", "neutral", 0.0, k, k) for k in range(3)]
    # neutral is a folder: its takes give no peak; and no number has to be 0000
    assert brief[6:9] == [("001_neutral_take001", "neutral", 0.0, k + 7, k) for k in range(3)]
    assert brief[9:] == [
        *(("052_disgust_take002", "neutral", 0.0, k + 14, k) for k in range(3)),
        *(("052_disgust_take002", "disgust", 1.0, k + 17, k) for k in range(3)),
    ]
    assert found.facts.not_understood.count == 0
    assert counted(found) == {"subjects": (2, 52)}
    assert "happiness 1" in note(found, "takes:")
    assert note(found, "fewer than 6 labels").endswith("001 (1), 052 (1)")


def test_a_folder_of_three_digits_around_the_subjects_is_nobody(tmp_path: Path) -> None:
    for who in ("001", "002"):
        take(tmp_path / "123", f"{who}/anger/take000")
        take(tmp_path / "456", f"{who}/{who}/anger/take000")
    for root in ("123", "456"):
        assert {row["identity"] for row in rows(plan("mug", tmp_path / root))} == {"001", "002"}


def test_the_apex_is_in_the_middle() -> None:
    assert start_and_middle(range(50), 3) == ([0, 1, 2], [23, 24, 25])
    assert start_and_middle(range(51), 3) == ([0, 1, 2], [24, 25, 26])
    assert start_and_middle(range(10, 19), 3) == ([10, 11, 12], [13, 14, 15])
    assert start_and_middle(range(7), 3) == ([0, 1], [2, 3])
    assert start_and_middle(range(2), 3) == ([], [])


@pytest.mark.parametrize("session", ["001/", "002/", "session1/"])
def test_a_session_is_no_subject(tmp_path: Path, session: str) -> None:
    take(tmp_path, f"MUG/subjects3/001/{session}anger/take000")
    take(tmp_path, "MUG/subjects3/002/anger/take000")
    found = plan("mug", tmp_path)
    assert sorted({(r["identity"], r["sequence"]) for r in rows(found)}) == [
        ("001", f"001_{session.strip('/')}_anger_take000"),
        ("002", "002_anger_take000"),
    ]
    assert rows(found)[0]["image"] == f"001/{session}anger/take000/img_0000.jpg"


def test_two_sessions_do_not_run_into_one_sequence(tmp_path: Path) -> None:
    for session in ("001", "002"):
        take(tmp_path, f"subjects3/001/{session}/anger/take000")
    found = plan("mug", tmp_path)
    assert len(rows(found)) == 12
    assert {r["identity"] for r in rows(found)} == {"001"}


def test_takes_that_nobody_uses_are_left_out(tmp_path: Path) -> None:
    for name in ("take000", "take001end", "take002_nsg", "ending"):
        take(tmp_path, f"subjects3/001/anger/{name}")
    found = plan("mug", tmp_path)
    assert {r["sequence"] for r in rows(found)} == {"001_anger_take000", "001_anger_ending"}
    assert note(found, "because of the folder's name") == (
        "22 images of 2 takes are left out because of the folder's name: 001_anger_take001end, "
        "001_anger_take002_nsg"
    )


def test_the_induced_part_is_not_mixed_in(tmp_path: Path) -> None:
    take(tmp_path, "subjects3/001/anger/take000")
    take(tmp_path, "subjects4/001", frames=12)
    found = plan("mug", tmp_path)
    assert {r["sequence"] for r in rows(found)} == {"001_anger_take000"}
    assert found.facts.not_understood.count == 12
    assert len(found.facts.not_understood.first) == 10


def test_short_and_incomplete_takes_are_told(tmp_path: Path) -> None:
    take(tmp_path, "subjects3/001/anger/take000", frames=2)
    take(tmp_path, "subjects3/001/fear/take000", frames=6)
    take(tmp_path, "subjects3/001/sadness/take000")
    (tmp_path / "subjects3/001/sadness/take000/img_0003.jpg").unlink()
    found = plan("mug", tmp_path)
    chosen = [(r["sequence"], r["expression"], r["frame"]) for r in rows(found)]
    assert chosen[:4] == [
        *(("001_fear_take000", "neutral", k) for k in (0, 1)),
        *(("001_fear_take000", "fear", k) for k in (2, 3)),
    ]
    assert note(found, "in between").endswith("001_sadness_take000")
    assert note(found, "too short").startswith("2 sequences")


def test_nobody_claims_to_know_how_many_subjects_there_are(tmp_path: Path) -> None:
    take(tmp_path, "subjects3/001/anger/take000")
    found = plan("mug", tmp_path)
    assert not any("partial" in text for text in found.facts.notes)
    assert note(found, "86 were recorded").startswith(
        "1 subjects; 86 were recorded and copies of 52 are known"
    )


def test_folders_that_are_not_mug(tmp_path: Path) -> None:
    lay(tmp_path, "subjects3/001/anger/take000/frame1.jpg")
    with pytest.raises(DataError, match="no image of mug"):
        plan("mug", tmp_path)
    with pytest.raises(DataError, match="Aristotle University"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)
    with pytest.raises(DataError, match="'frames' must be a whole number"):
        ADAPTER.check_options({"frames": "3"})
