from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.oulu_casia import EXPRESSIONS
from fesbench.errors import DataError, UnknownNameError
from tests.listings import counted, lay, note, plan, rows

ADAPTER = dataset("oulu-casia")


def sequence(root: Path, folder: str, *, first: int = 0, frames: int = 8) -> Path:
    return lay(root, *(f"{folder}/{k:03d}.jpeg" for k in range(first, first + frames)))


def test_a_literal_listing(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *(f"OriginalImg/VL/Strong/P001/Anger/{k:03d}.jpeg" for k in range(20)),
        *(f"OriginalImg/VL/Strong/P080/Surprise/{k:03d}.jpeg" for k in range(9)),
        "OriginalImg/.DS_Store",
        "License agreement.pdf",
    )
    found = plan("oulu-casia", tmp_path)
    assert rows(found)[3:6] == [
        {
            "image": f"VL/Strong/P001/Anger/{number:03d}.jpeg",
            "identity": "P001",
            "expression": "anger",
            "intensity": 1.0,
            "sequence": "VL_Strong_P001_Anger",
            "frame": number,
            "take": take,
            "pose": "frontal",
            "lighting": "strong",
            "publishable": False,
        }
        for take, number in enumerate((17, 18, 19))
    ]
    brief = [(r["identity"], r["expression"], r["intensity"], r["frame"], r["take"]) for r in rows(found)]
    assert brief[:3] == [("P001", "neutral", 0.0, k, k) for k in range(3)]
    assert brief[6:] == [
        *(("P080", "neutral", 0.0, k, k) for k in range(3)),
        *(("P080", "surprise", 1.0, k + 6, k) for k in range(3)),
    ]
    assert rows(found)[0]["sequence"] == "VL_Strong_P001_Anger"
    assert found.facts.not_understood.count == 0
    assert counted(found) == {
        "subjects": (2, 80),
        "VL Strong sequences": (2, 480),
        "VL Strong anger": (1, 80),
        "VL Strong disgust": (0, 80),
        "VL Strong fear": (0, 80),
        "VL Strong happiness": (0, 80),
        "VL Strong sadness": (0, 80),
        "VL Strong surprise": (1, 80),
    }
    assert "VL Strong sequences 2 of 480" in note(found, "is partial")
    assert note(found, "subjects have fewer than 6 sequences").endswith("P001 (1), P080 (1)")


@pytest.mark.parametrize(
    "outer",
    [
        "",
        "OriginalImg/",
        "B_OriginalImg/OriginalImg/",
        "B_OriginalImg/B_OriginalImg/OriginalImg/",
        "x/Oulu_CASIA_NIR_VIS/",
    ],
)
def test_every_generation_of_folders(tmp_path: Path, outer: str) -> None:
    sequence(tmp_path, f"{outer}VL/Strong/P001/Anger")
    assert [r["image"] for r in rows(plan("oulu-casia", tmp_path, frames=1))] == [
        "VL/Strong/P001/Anger/000.jpeg",
        "VL/Strong/P001/Anger/007.jpeg",
    ]


def test_a_folder_inside_of_the_data_set_will_do(tmp_path: Path) -> None:
    sequence(tmp_path, "Oulu_CASIA_NIR_VIS/NI/Dark/P001/Anger")
    found = plan("oulu-casia", tmp_path / "Oulu_CASIA_NIR_VIS/NI", modality="NI", lighting=["Dark"])
    assert rows(found)[0]["image"] == "NI/Dark/P001/Anger/000.jpeg"


def test_the_cameras_are_never_mixed(tmp_path: Path) -> None:
    for camera in ("VL", "NI"):
        sequence(tmp_path, f"{camera}/Strong/P001/Anger")
    visible, infrared = plan("oulu-casia", tmp_path), plan("oulu-casia", tmp_path, modality="NI")
    assert {r["sequence"] for r in rows(visible)} == {"VL_Strong_P001_Anger"}
    assert {r["sequence"] for r in rows(infrared)} == {"NI_Strong_P001_Anger"}
    assert note(visible, "option modality") == "8 images are left out by option modality (NI 8)"
    assert counted(infrared)["NI Strong anger"] == (1, 80)
    assert visible.fingerprint != infrared.fingerprint


def test_light_is_chosen_and_told(tmp_path: Path) -> None:
    for light in ("Strong", "Weak", "Dark"):
        sequence(tmp_path, f"VL/{light}/P001/Anger")
    found = plan("oulu-casia", tmp_path)
    assert {r["lighting"] for r in rows(found)} == {"strong"}
    assert "(Dark 8, Weak 8)" in note(found, "option lighting")
    both = plan("oulu-casia", tmp_path, lighting=["Dark", "Strong"])
    assert both.options["lighting"] == ["Strong", "Dark"]
    assert {r["lighting"] for r in rows(both)} == {"strong", "dark"}
    assert counted(both)["subjects"] == (1, 80)
    assert counted(both)["VL Dark sequences"] == (1, 480)
    assert "fewer than 12 sequences: P001 (2)" in note(both, "fewer than")


def test_cropped_versions_are_left_out(tmp_path: Path) -> None:
    for folder in ("B_OriginalImg/OriginalImg", "B_PreprocessImg/PreprocessImg", "PreProcess_Img"):
        sequence(tmp_path, f"{folder}/VL/Strong/P001/Anger")
    found = plan("oulu-casia", tmp_path)
    assert all("/B_OriginalImg/" in str(image.path) for image in found.images)
    assert note(found, "folder B_PreprocessImg").startswith("8 files")
    assert note(found, "folder PreProcess_Img").startswith("8 files")


def test_two_copies_are_refused(tmp_path: Path) -> None:
    for copy in ("a", "b"):
        sequence(tmp_path, f"{copy}/VL/Strong/P001/Anger")
    with pytest.raises(DataError, match="give the folder of one copy"):
        plan("oulu-casia", tmp_path)


def test_sequences_that_are_short_or_incomplete(tmp_path: Path) -> None:
    sequence(tmp_path, "VL/Strong/P001/Anger", frames=5)
    sequence(tmp_path, "VL/Strong/P001/Disgust", frames=1)
    sequence(tmp_path, "VL/Strong/P001/Fear", first=4)
    sequence(tmp_path, "VL/Strong/P001/Sadness")
    (tmp_path / "VL/Strong/P001/Sadness/004.jpeg").unlink()
    found = plan("oulu-casia", tmp_path)
    chosen = [(r["sequence"].split("_")[-1], r["expression"] == "neutral", r["frame"]) for r in rows(found)]
    assert chosen == [
        *(("Anger", True, k) for k in (0, 1)),
        *(("Anger", False, k) for k in (2, 3, 4)),
        ("Disgust", False, 0),
        *(("Fear", False, k) for k in (9, 10, 11)),
        *(("Sadness", True, k) for k in (0, 1, 2)),
        *(("Sadness", False, k) for k in (5, 6, 7)),
    ]
    assert note(found, "lack frame 000").endswith("neutral frames: VL_Strong_P001_Fear")
    assert note(found, "in between").endswith("VL_Strong_P001_Sadness")
    assert note(found, "too short").startswith("2 sequences")


@pytest.mark.parametrize("first", [0, 9])
def test_a_copy_of_the_peaks_alone_keeps_all_of_them(tmp_path: Path, first: int) -> None:
    for label in ("Anger", "Fear"):
        sequence(tmp_path, f"VL/Strong/P001/{label}", first=first, frames=3)
    found = plan("oulu-casia", tmp_path)
    assert [(r["expression"], r["frame"] - first, r["take"]) for r in rows(found)] == [
        *(("anger", k, k) for k in range(3)),
        *(("fear", k, k) for k in range(3)),
    ]
    assert note(found, "peak frames of 2 sequences alone; all of them are kept")


def test_other_files_are_named(tmp_path: Path) -> None:
    sequence(tmp_path, "VL/Strong/P001/Anger")
    odd = (
        "VL/Strong/P001/Anger/0001.jpeg",
        "VL/Strong/P001/Contempt/000.jpeg",
        "VIS/Strong/P1/Anger/000.jpeg",
    )
    found = plan("oulu-casia", lay(tmp_path, *odd))
    assert found.facts.not_understood.first == tuple(sorted(odd))


def test_folders_without_what_is_asked_for(tmp_path: Path) -> None:
    lay(tmp_path, "holiday.jpg")
    with pytest.raises(DataError, match=r"no image of oulu-casia \(found instead, for example: holiday\.jpg"):
        plan("oulu-casia", tmp_path)
    sequence(tmp_path, "NI/Strong/P001/Anger")
    with pytest.raises(DataError, match=r"none that the options ask for \(modality = 'VL'.*\(NI 8\)"):
        plan("oulu-casia", tmp_path)
    with pytest.raises(DataError, match="license agreement: ask the Center for Machine Vision"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)


def test_a_whole_copy_has_the_counts_that_are_expected(tmp_path: Path) -> None:
    for k in range(80):
        lay(tmp_path, *(f"VL/Strong/P{k + 1:03d}/{label}/000.jpeg" for label in EXPRESSIONS))
    found = plan("oulu-casia", tmp_path)
    assert {what: have for what, (have, _) in counted(found).items()} == dict(ADAPTER.expected)
    assert not any(" partial" in text or "fewer than" in text for text in found.facts.notes)


def test_options() -> None:
    for options, message in (
        ({"modality": "NIR"}, "'modality' must be 'VL' or 'NI', found 'NIR'"),
        ({"lighting": "Strong"}, "'lighting' must be a list of some of Strong, Weak, Dark"),
        ({"lighting": []}, "'lighting' must be a list"),
        ({"lighting": ["Bright"]}, "'lighting' must be a list"),
        ({"frames": 0}, "'frames' must be a whole number of 1 or more"),
    ):
        with pytest.raises(DataError, match=message):
            ADAPTER.check_options(options)
    with pytest.raises(UnknownNameError, match="Did you mean lighting"):
        ADAPTER.check_options({"lightning": ["Dark"]})
