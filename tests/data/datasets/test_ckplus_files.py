from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets.ckplus_files import read_emotion, read_facs, read_landmarks, scan
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS


def lay(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize(
    ("images", "emotion", "facs", "landmarks"),
    [
        ("cohn-kanade-images", "Emotion", "FACS", "Landmarks"),
        ("cohn-kanade-images", "Emotion_labels", "FACS_labels", "Landmarks"),
        (
            "extended-cohn-kanade-images/cohn-kanade-images",
            "Emotion_labels/Emotion",
            "FACS_labels/FACS",
            "Landmarks/Landmarks",
        ),
        ("CK+/x/cohn-kanade-images", "CK+/Emotion", "CK+/FACS", "CK+/Landmarks"),
    ],
)
def test_every_generation_of_folders(
    tmp_path: Path, images: str, emotion: str, facs: str, landmarks: str
) -> None:
    lay(
        tmp_path,
        f"{images}/S005/001/S005_001_00000001.png",
        f"{images}/S005/001/S005_001_00000011.png",
        f"{images}/S999/003/S999_003_00000055.png",
        f"{emotion}/S005/001/S005_001_00000011_emotion.txt",
        f"{facs}/S005/001/S005_001_00000011_facs.txt",
        f"{landmarks}/S005/001/S005_001_00000011_landmarks.txt",
        f"{images}/.DS_Store",
        f"{images}/S005/.DS_Store",
        f"{emotion}/S005/._001",
        "Agreement.pdf",
        "extended-cohn-kanade-images.zip",
        "__MACOSX/cohn-kanade-images/S005/001/S005_001_00000001.png",
    )
    (tmp_path / emotion / "S999" / "003").mkdir(parents=True)
    files = scan(tmp_path)
    assert files.odd == []
    assert {kind: {key: list(f) for key, f in found.items()} for kind, found in files.kinds.items()} == {
        "image": {("S005", "001"): [1, 11], ("S999", "003"): [55]},
        "landmarks": {("S005", "001"): [11]},
        "emotion": {("S005", "001"): [11]},
        "facs": {("S005", "001"): [11]},
    }


def test_what_is_not_understood_is_listed(tmp_path: Path) -> None:
    odd = (
        "cohn-kanade-images/S005/001/S0005_001_00000011.png",
        "cohn-kanade-images/S005/001/S006_001_00000011.png",
        "cohn-kanade-images/S005/001/S005_001_00000011.jpg",
        "cohn-kanade-images/S005/001/S005_001_11.png",
        "cohn-kanade-images/S005/001/notes.txt",
        "cohn-kanade-images/S005/S005_001_00000011.png",
        "Emotion/S005/001/S005_001_00000011_emotion.txt.bak",
        "images.tar",
    )
    assert scan(lay(tmp_path, *odd)).odd == sorted(odd)


def test_two_copies_side_by_side_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "a/S005/001/S005_001_00000001.png", "b/S005/001/S005_001_00000001.png")
    with pytest.raises(DataError, match="same file of CK\\+ twice; give the folder of one copy"):
        scan(tmp_path)


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    lay(tmp_path / "far", "S005/001/S005_001_00000001.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "cohn-kanade-images").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "loop").symlink_to(root)
    assert list(scan(root).kinds["image"]) == [("S005", "001")]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        scan(tmp_path / "none")


def test_the_fingerprint_sees_a_changed_label(tmp_path: Path) -> None:
    lay(tmp_path, "i/S005/001/S005_001_00000001.png")
    label = (
        lay(tmp_path, "e/S005/001/S005_001_00000001_emotion.txt") / "e/S005/001/S005_001_00000001_emotion.txt"
    )
    label.write_text("   3.0000000e+00\n")
    before = scan(tmp_path).fingerprint()
    assert scan(tmp_path).fingerprint() == before
    label.write_text("   4.0000000e+00\n")
    assert scan(tmp_path).fingerprint() != before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("   1.0000000e+00\n", "anger"),
        ("   2.0000000e+00\n", "contempt"),
        ("   3.0000000e+00\n", "disgust"),
        ("   4.0000000e+00\n", "fear"),
        ("   5.0000000e+00\n", "happiness"),
        ("   6.0000000e+00\n", "sadness"),
        ("   7.0000000e+00\n\n", "surprise"),
        ("0", "neutral"),
    ],
)
def test_emotion_codes(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "e.txt").write_text(text)
    assert read_emotion(tmp_path / "e.txt") == name


@pytest.mark.parametrize("text", ["", "8", "2.5", "-1", "1 2", "happy", "nan", "1\n2\n"])
def test_other_emotion_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.txt").write_text(text)
    with pytest.raises(DataError, match=r"e\.txt"):
        read_emotion(tmp_path / "e.txt")


def test_facs_intensities(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text(
        "   4.0000000e+00   3.0000000e+00\n"
        "   1.2000000e+01   0.0000000e+00\n"
        "   2.5000000e+01   5.0000000e+00\n"
        "   1.7000000e+01   B\n"
        "   3.8000000e+01   1.0000000e+00\n"
    )
    facs = read_facs(tmp_path / "f.txt")
    expected = np.zeros(len(ACTION_UNITS), np.float32)
    for unit, strength in ((4, 0.6), (12, 0.6), (25, 1.0), (17, 0.4)):
        expected[ACTION_UNITS.index(unit)] = strength
    assert np.array_equal(facs.units, expected)
    # intensity 0 is "present, not given", never "absent"; AU 38 is outside of the vocabulary
    assert (facs.without_intensity, facs.outside) == (1, 1)


def test_an_empty_facs_file_codes_everything_as_absent(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("")
    assert (read_facs(tmp_path / "f.txt").units == 0).all()


@pytest.mark.parametrize("text", ["4\n", "4 6\n", "4 -1\n", "4.5 1\n", "4 1 2\n", "AU4 1\n", "\x00"])
def test_other_facs_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.txt").write_text(text)
    with pytest.raises(DataError, match=r"f\.txt"):
        read_facs(tmp_path / "f.txt")


def test_landmarks(tmp_path: Path) -> None:
    lines = [f"   {k:.7e}   {2 * k + 0.5:.7e} \n" for k in range(68)]
    (tmp_path / "l.txt").write_text("".join(lines))
    points = read_landmarks(tmp_path / "l.txt")
    assert points.shape == (68, 2)
    assert points[67].tolist() == [67, 134.5]
    for bad in ("".join(lines[:67]), "1 2 3\n" * 68, "x y\n" * 68, "", "inf 1\n" * 68):
        (tmp_path / "l.txt").write_text(bad)
        with pytest.raises(DataError, match=r"l\.txt"):
            read_landmarks(tmp_path / "l.txt")
