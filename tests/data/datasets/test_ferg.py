from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Count, Skipped
from fesbench.data.datasets.ferg import evenly
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.prepare import prepare
from fesbench.errors import DataError, UnknownNameError

ADAPTER = dataset("ferg")

# real file names
REAL = (
    "aia/aia_anger/aia_anger_1.png",
    "aia/aia_joy/aia_joy_12.png",
    "bonnie/bonnie_neutral/bonnie_neutral_3.png",
    "malcolm/malcolm_sadness/malcolm_sadness_1001.png",
    "mery/mery_disgust/mery_disgust_7.png",
    "ray/ray_surprise/ray_surprise_40.png",
    "jules/jules_fear/jules_fear_2.png",
)


def copy(root: Path, names: tuple[str, ...] = REAL) -> Path:
    for name in names:
        path = root / "FERG_DB_256" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")
    return root


def frames(root: Path, numbers: range | list[int], what: str = "joy") -> Path:
    return copy(root, tuple(f"aia/aia_{what}/aia_{what}_{number}.png" for number in numbers))


def plan(root: Path, **options: object) -> ListedPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options(options), 128)
    assert isinstance(found, ListedPlan)
    return found


def note(found: ListedPlan, words: str) -> str:
    (match,) = [text for text in found.facts.notes if words in text]
    return match


def test_real_names_give_every_column(tmp_path: Path) -> None:
    copy(tmp_path)
    (tmp_path / "FERG_DB_256/.DS_Store").touch()
    (tmp_path / "FERG_DB_256/readme.txt").touch()
    found = plan(tmp_path)
    assert [tuple(image.row.values()) for image in found.images] == [
        ("aia/aia_anger/aia_anger_1.png", "aia", "anger", 1.0, 1, 0, False),
        ("aia/aia_joy/aia_joy_12.png", "aia", "happiness", 1.0, 12, 0, False),
        ("bonnie/bonnie_neutral/bonnie_neutral_3.png", "bonnie", "neutral", 0.0, 3, 0, False),
        ("jules/jules_fear/jules_fear_2.png", "jules", "fear", 1.0, 2, 0, False),
        ("malcolm/malcolm_sadness/malcolm_sadness_1001.png", "malcolm", "sadness", 1.0, 1001, 0, False),
        ("mery/mery_disgust/mery_disgust_7.png", "mery", "disgust", 1.0, 7, 0, False),
        ("ray/ray_surprise/ray_surprise_40.png", "ray", "surprise", 1.0, 40, 0, False),
    ]
    assert list(found.images[0].row) == [
        *("image", "identity", "expression", "intensity", "frame", "take", "publishable")
    ]
    assert found.facts.not_understood.count == 0
    root = tmp_path / "FERG_DB_256"
    assert [p.row for p in plan(root).images] == [p.row for p in found.images]
    assert [p.row["image"] for p in plan(root / "aia/aia_joy").images] == ["aia/aia_joy/aia_joy_12.png"]


def test_images_are_evenly_spaced_over_the_numbers(tmp_path: Path) -> None:
    # ten files whose names sort otherwise than their numbers: 1, 3, ... 19
    frames(tmp_path, range(1, 20, 2))
    rows = [image.row for image in plan(tmp_path, images=3).images]
    # stretches of 10/3 files: the middles are files 1, 5 and 8
    assert [(row["frame"], row["take"]) for row in rows] == [(3, 0), (11, 1), (17, 2)]
    assert [p.row["frame"] for p in plan(tmp_path, images=1).images] == [11]
    every = plan(tmp_path, images=0)
    assert [p.row["frame"] for p in every.images] == list(range(1, 20, 2))
    assert [p.row["take"] for p in every.images] == list(range(10))
    assert len(plan(tmp_path, images=10)) == len(plan(tmp_path, images=99)) == 10
    assert note(plan(tmp_path, images=3), "left out") == "7 images are left out by option images = 3"
    assert plan(tmp_path, images=3).fingerprint == plan(tmp_path, images=3).fingerprint
    assert plan(tmp_path, images=3).fingerprint != plan(tmp_path, images=4).fingerprint


@given(st.integers(0, 300), st.integers(0, 320))
def test_chosen_files_are_different_in_order_and_spread(files: int, number: int) -> None:
    chosen = evenly(list(range(files)), number)  # type: ignore[arg-type, type-var]
    assert len(chosen) == (min(number, files) or files)
    gaps = np.diff(np.array(chosen, int))
    assert (gaps > 0).all()
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_counts_are_those_of_the_copy_whatever_is_chosen(tmp_path: Path) -> None:
    frames(copy(tmp_path), range(100, 110))
    counts = {count.what: count for count in plan(tmp_path, images=2).facts.counts}
    assert counts["images"] == Count("images", 17, 55766)
    assert counts["characters"] == Count("characters", 6, 6)
    assert counts["expressions"] == Count("expressions", 7, 7)
    assert counts["aia"] == Count("aia", 12, 7558)
    assert counts["ray"] == Count("ray", 1, 10755)
    # whose count is whose is inferred: no sentence calls a character incomplete
    assert note(plan(tmp_path), "partial").startswith("this copy of FERG-DB is partial (images 17 of 55766)")
    assert note(plan(tmp_path), "inferred")


def test_empty_files_are_skipped_with_the_reason(tmp_path: Path) -> None:
    frames(tmp_path, [1, 2, 3, 4])
    (tmp_path / "FERG_DB_256/aia/aia_joy/aia_joy_2.png").write_bytes(b"")
    found = plan(tmp_path, images=2)
    # it takes no subject's place: of 1, 3 and 4, not of all four
    assert [p.row["frame"] for p in found.images] == [1, 4, 2]
    (last,) = found.read(2, 3)
    assert isinstance(last, Skipped)
    assert "is empty (0 bytes)" in last.reason
    assert note(found, "0 bytes").startswith("1 files are empty")


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    path = frames(tmp_path, [1]) / "FERG_DB_256/aia/aia_joy/aia_joy_1.png"
    pixels = np.full((16, 16, 4), (200, 0, 200, 0), np.uint8)
    pixels[4:12, 4:12] = (10, 120, 30, 255)
    Image.fromarray(pixels).save(path)
    (image,) = prepare("ferg", size=16, alignment=ADAPTER.alignment, source=tmp_path).images
    assert (image[:3] == 255).all()
    assert (image[6:10, 6:10] == (10, 120, 30)).all()


def test_files_that_contradict_their_folder_are_odd(tmp_path: Path) -> None:
    odd = ("aia/aia_joy/aia_fear_1.png", "ray/aia_joy/aia_joy_2.png", "zoe/zoe_joy/zoe_joy_1.png")
    found = plan(copy(tmp_path, REAL + odd))
    assert len(found) == 7
    assert found.facts.not_understood.count == 3
    assert "FERG_DB_256/zoe/zoe_joy/zoe_joy_1.png" in found.facts.not_understood.first


def test_folders_and_options_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image of FERG-DB"):
        plan(tmp_path)
    with pytest.raises(DataError, match="fesbench data prepare ferg --from DIR"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)
    with pytest.raises(DataError, match="'images' must be a whole number of 0 or more"):
        ADAPTER.check_options({"images": -1})
    with pytest.raises(UnknownNameError, match="Did you mean images"):
        ADAPTER.check_options({"image": 1})
