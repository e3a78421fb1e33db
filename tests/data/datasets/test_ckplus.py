from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Count, Skipped
from fesbench.data.datasets.ckplus import LABELLED, CkPlusPlan
from fesbench.data.prepare import prepare
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import ACTION_UNITS

ADAPTER = dataset("ck+")


def sequence(
    root: Path,
    name: str,
    frames: range | list[int],
    *,
    emotion: str | None = None,
    label_frame: int | None = None,
    facs: str | None = None,
) -> None:
    """Empty images of a sequence with its label files, by their real names."""
    person, number = name.split("_")
    folder = f"{person}/{number}"
    for frame in frames:
        path = root / "cohn-kanade-images" / folder / f"{name}_{frame:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for kind, text in (("Emotion", emotion), ("FACS", facs)):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
        if text is not None:
            last = label_frame if label_frame is not None else max(frames)
            (root / kind / folder / f"{name}_{last:08d}_{kind.lower()}.txt").write_text(text)


def plan(root: Path, **options: object) -> CkPlusPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options(options), 128)
    assert isinstance(found, CkPlusPlan)
    return found


def chosen(found: CkPlusPlan) -> dict[str, list[tuple[str, int, int]]]:
    listed: dict[str, list[tuple[str, int, int]]] = {}
    for row in (image.row for image in found.images):
        listed.setdefault(row["sequence"], []).append((row["expression"], row["frame"], row["take"]))
    return listed


def note(found: CkPlusPlan, words: str) -> str:
    (match,) = [text for text in found.facts.notes if words in text]
    return match


def test_first_three_are_neutral_and_last_three_the_peak(tmp_path: Path) -> None:
    sequence(tmp_path, "S005_001", range(1, 12), emotion="   3.0000000e+00\n")
    sequence(tmp_path, "S005_002", range(1, 9))
    found = plan(tmp_path)
    assert chosen(found) == {
        "S005_001": [
            *(("neutral", k + 1, k) for k in range(3)),
            *(("disgust", k + 9, k) for k in range(3)),
        ],
        "S005_002": [("neutral", k + 1, k) for k in range(3)],
    }
    row = found.images[3].row
    assert row["image"] == "S005/001/S005_001_00000009.png"
    assert (row["identity"], row["sequence"], row["frame"]) == ("S005", "S005_001", 9)
    assert (row["intensity"], row["publishable"]) == (1.0, False)
    assert found.images[0].row["intensity"] == 0.0


def test_short_sequences_are_divided(tmp_path: Path) -> None:
    for frames in (1, 2, 4, 5):
        sequence(tmp_path, f"S010_00{frames}", range(1, frames + 1), emotion="1")
    sequence(tmp_path, "S010_009", [1, 2])
    found = plan(tmp_path)
    listed = {name: [(e, n) for e, n, _ in rows] for name, rows in chosen(found).items()}
    assert listed == {
        "S010_001": [("anger", 1)],
        "S010_002": [("neutral", 1), ("anger", 2)],
        "S010_004": [("neutral", 1), ("neutral", 2), ("anger", 3), ("anger", 4)],
        "S010_005": [("neutral", 1), ("neutral", 2), ("anger", 3), ("anger", 4), ("anger", 5)],
        "S010_009": [("neutral", 1), ("neutral", 2)],
    }
    assert "4 sequences are too short" in note(found, "too short")


def test_incomplete_sequences_do_not_pass_for_whole_ones(tmp_path: Path) -> None:
    sequence(tmp_path, "S011_001", range(1, 9), emotion="5", label_frame=12)
    sequence(tmp_path, "S011_002", range(4, 13), emotion="5")
    found = plan(tmp_path)
    assert {e for e, _, _ in chosen(found)["S011_001"]} == {"neutral"}
    assert {e for e, _, _ in chosen(found)["S011_002"]} == {"happiness"}
    assert note(found, "incomplete copy").startswith("1 sequences do not end at their labelled frame")
    assert "S011_002" in note(found, "lack frame 00000001")


def test_action_units_and_the_unknown_intensity(tmp_path: Path) -> None:
    text = (
        "   4.0000000e+00   0.0000000e+00\n   1.2000000e+01   5.0000000e+00\n"
        "   3.8000000e+01   1.0000000e+00\n"
    )
    sequence(tmp_path, "S014_001", range(1, 9), emotion="1", facs=text)
    sequence(tmp_path, "S014_002", range(1, 9), emotion="1")
    found = plan(tmp_path)
    neutral, peak, uncoded = found.images[0], found.images[5], found.images[-1]
    assert neutral.action_units is not None
    assert (neutral.action_units == 0).all()
    assert peak.action_units is not None
    assert peak.action_units[ACTION_UNITS.index(4)] == np.float32(0.6)
    assert peak.action_units[ACTION_UNITS.index(12)] == 1.0
    assert peak.action_units.sum() == np.float32(1.6)
    assert uncoded.action_units is None
    assert note(found, "without an intensity").startswith("1 action units")
    assert note(found, "outside the vocabulary").startswith("1 codes")
    assert note(found, "no FACS codes").startswith("1 sequences")


def test_counts_found_and_expected(tmp_path: Path) -> None:
    sequence(tmp_path, "S005_001", range(1, 9), emotion="3", facs="")
    sequence(tmp_path, "S005_002", range(1, 9), emotion="3")
    sequence(tmp_path, "S999_001", range(1, 9))
    counts = {count.what: count for count in plan(tmp_path).facts.counts}
    assert counts["subjects"] == Count("subjects", 2, 123)
    assert counts["sequences"] == Count("sequences", 3, 593)
    assert counts["subjects with a label"] == Count("subjects with a label", 1, 118)
    assert counts["labelled sequences"] == Count("labelled sequences", 2, 327)
    assert counts["labelled disgust"] == Count("labelled disgust", 2, 59)
    assert counts["sequences with FACS codes"].found == 1
    assert counts["labelled disgust"].missing == 57
    assert Count("x", 5, 3).missing == 0
    assert sum(LABELLED.values()) == 327
    assert note(plan(tmp_path), "partial").startswith("this copy is partial: 3 of 593 sequences")


def test_label_files_that_contradict_or_are_damaged_are_odd(tmp_path: Path) -> None:
    sequence(tmp_path, "S022_001", range(1, 9), emotion="7")
    for name, text in (("S022_002", "0"), ("S022_003", "happy"), ("S022_004", "9"), ("S022_005", "")):
        sequence(tmp_path, name, range(1, 9), emotion=text, facs="4 1\n")
    sequence(tmp_path, "S022_006", range(1, 9), emotion="7", facs="4 one\n")
    second = tmp_path / "Emotion/S022/006/S022_006_00000007_emotion.txt"
    second.write_text("6")
    orphan = tmp_path / "Emotion/S077/001/S077_001_00000008_emotion.txt"
    orphan.parent.mkdir(parents=True)
    orphan.write_text("6")
    for k in range(5):
        (tmp_path / "cohn-kanade-images" / "S022" / "001" / f"copy{k}.png").touch()
    found = plan(tmp_path)
    assert {name for name, rows in chosen(found).items() if rows[-1][0] != "neutral"} == {"S022_001"}
    assert found.facts.not_understood.count == 4 + 2 + 1 + 1 + 5
    assert len(found.facts.not_understood.first) == 10
    assert found.facts.not_understood.first[0] == "Emotion/S022/002/S022_002_00000008_emotion.txt"


def test_ckplus_is_explained_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare("ck+", size=128, alignment="dlib68-128@1")
    for words in (
        "593 sequences, 123 subjects",
        "signed agreement",
        "University of Pittsburgh",
        "cohn-kanade-images/S005/001/S005_001_00000011.png",
        "fesbench data prepare ck+ --from DIR",
        "--data avatars",
    ):
        assert words in str(caught.value)


def test_folders_that_are_not_ckplus(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(
        DataError, match=r"holds no image of CK\+ \(found instead, for example: holiday\.jpg\)"
    ):
        plan(tmp_path)
    sequence(tmp_path, "S005_001", range(1, 9))
    with pytest.raises(DataError, match="not one readable emotion label"):
        plan(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        plan(tmp_path / "none")


def test_options(tmp_path: Path) -> None:
    sequence(tmp_path, "S005_001", range(1, 9), emotion="3")
    assert [image.row["frame"] for image in plan(tmp_path, frames=1).images] == [1, 8]
    assert plan(tmp_path, frames=1).fingerprint != plan(tmp_path).fingerprint
    with pytest.raises(DataError, match="'files' or 'dlib'"):
        ADAPTER.check_options({"landmarks": "aam"})
    with pytest.raises(DataError, match="'frames' must be a whole number of 1 or more"):
        ADAPTER.check_options({"frames": 0})
    with pytest.raises(UnknownNameError, match="Did you mean frames"):
        ADAPTER.check_options({"frame": 3})


def test_unreadable_frames_are_skipped_by_name(tmp_path: Path) -> None:
    sequence(tmp_path, "S005_001", range(1, 9), emotion="3")
    image = tmp_path / "cohn-kanade-images/S005/001/S005_001_00000002.png"
    Image.new("L", (640, 490)).save(image)
    points = tmp_path / "Landmarks/S005/001/S005_001_00000002_landmarks.txt"
    points.parent.mkdir(parents=True)
    points.write_text("1 2\n")
    first, second = plan(tmp_path).read(0, 2)
    assert isinstance(first, Skipped)
    assert "is empty (0 bytes)" in first.reason
    assert isinstance(second, Skipped)
    assert "should hold 68 lines" in second.reason
    (item,) = plan(tmp_path, landmarks="dlib").read(1, 2)
    assert not isinstance(item, Skipped)
    assert item.image.shape == (490, 640, 3)
    assert item.landmarks is None
