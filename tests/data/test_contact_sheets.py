"""Sheets: what is shown, in which order, and that the same store gives the same image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.data.contact_sheets import PRIVATE, contact_sheet, failure_sheet, leakage_sheet
from fesbench.data.splits.assign import Split
from fesbench.data.splits.leakage import FacePair, nearest_faces
from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.writer import StoreWriter

SIZE = 96
TOP, STEP_X, STEP_Y = 28, 100, 128


def color(k: int) -> tuple[int, int, int]:
    return (10 + 3 * k % 240, 200 - 5 * k % 190, 7 * k % 250)


def make(path: Path, rows: list[dict[str, Any]], **landmarks: Any) -> AlignedStore:
    with StoreWriter(path, size=SIZE) as writer:
        for k, row in enumerate(rows):
            image = np.full((SIZE, SIZE, 3), color(k), np.uint8)
            writer.add(
                image, {"image": f"{k}.png", "sha256": str(k), "publishable": True, **row}, **landmarks
            )
        writer.skip("bad/0.png", "no face found", key="no-face", picture=np.full((40, 80, 3), 90, np.uint8))
        writer.skip("bad/1.png", "it is empty")
        return writer.finish({}, data="x", alignment="none@1")


def shown(sheet: np.ndarray, down: int, across: int, top: int = TOP) -> tuple[int, ...]:
    return tuple(sheet[top + down * STEP_Y + 48, 4 + across * STEP_X + 48].tolist())


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_subjects_down_and_expressions_across_each_at_its_strongest(tmp_path: Path) -> None:
    rows = [
        {"identity": "b", "expression": "fear", "intensity": 0.5},
        {"identity": "b", "expression": "fear", "intensity": 1.0, "domain": "sketch"},
        {"identity": "b", "expression": "fear", "intensity": 0.75},
        {"identity": "a", "expression": "neutral", "intensity": 0.0},
        {"identity": "b", "expression": "neutral", "intensity": 0.0},
    ]
    sheet = read(contact_sheet(make(tmp_path / "s", rows)))
    assert shown(sheet, 0, 0) == color(3)
    assert shown(sheet, 0, 1) == (255, 255, 255)
    assert shown(sheet, 1, 0) == color(4)
    # not the strongest of another domain
    assert shown(sheet, 1, 1) == color(2)


def test_at_most_nine_subjects_spread_over_all(tmp_path: Path) -> None:
    rows = [{"identity": f"p{k:02d}", "expression": "anger"} for k in range(33)]
    sheet = read(contact_sheet(make(tmp_path / "s", rows)))
    assert sheet.shape[0] == TOP + 9 * STEP_Y + 4
    assert [shown(sheet, k, 0) for k in range(9)] == [color(4 * k) for k in range(9)]


def test_without_identities_each_column_is_an_expression(tmp_path: Path) -> None:
    rows = [{"identity": f"?{k}", "expression": ("sadness", "anger", "")[k % 3]} for k in range(7)]
    sheet = read(contact_sheet(make(tmp_path / "s", rows)))
    assert [shown(sheet, 0, k) for k in range(3)] == [color(1), color(0), color(2)]
    assert shown(sheet, 2, 1) == color(6)
    assert shown(sheet, 2, 0) == (255, 255, 255)


def test_the_same_store_gives_the_same_bytes_and_a_private_one_says_so(tmp_path: Path) -> None:
    rows = [{"identity": "a", "expression": "anger"}, {"identity": "b", "expression": "fear"}]
    store = make(tmp_path / "s", rows)
    first = contact_sheet(store).read_bytes()
    assert contact_sheet(store).read_bytes() == first
    private = make(tmp_path / "t", [{**row, "publishable": False} for row in rows])
    sheet = read(contact_sheet(private))
    line = slice(18, 32)  # between the title and the faces
    assert (sheet[line, :, 0].astype(int) - sheet[line, :, 1] > 100).any()
    assert sheet.shape[0] == read(contact_sheet(store)).shape[0] + 14
    assert "license" in PRIVATE


def test_failures_are_shown_with_their_image_or_a_gap(tmp_path: Path) -> None:
    store = make(tmp_path / "s", [{"identity": "a"}])
    assert store.info["reasons"] == {"no-face": 1, "unreadable": 1}
    path = failure_sheet(store)
    assert path is not None
    sheet = read(path)
    assert tuple(sheet[TOP + 75, 4 + 75]) == (90, 90, 90)
    assert tuple(sheet[TOP + 75, 4 + 154 + 75]) == (232, 232, 232)
    with StoreWriter(tmp_path / "fine", size=8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), {"image": "i", "sha256": "0", "identity": "a"})
        fine = writer.finish({}, data="x", alignment="none@1")
    assert failure_sheet(fine) is None


def test_only_the_first_failures_keep_an_image(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", size=8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), {"image": "i", "sha256": "0", "identity": "a"})
        for k in range(30):
            writer.skip(f"{k}", "no face found", key="no-face", picture=np.zeros((9, 9, 3), np.uint8))
        store = writer.finish({}, data="x", alignment="none@1")
    assert len(list((store.path / "failed").iterdir())) == 24
    assert failure_sheet(store) is not None


@pytest.fixture
def people(tmp_path: Path) -> AlignedStore:
    rows = [
        {"identity": "a", "expression": "anger"},
        {"identity": "a", "expression": "neutral", "intensity": 0.0},
        {"identity": "b", "expression": "neutral", "intensity": 0.0},
        {"identity": "c", "expression": "neutral", "intensity": 0.0},
        {"identity": "d", "expression": "neutral", "intensity": 0.0},
    ]
    return make(tmp_path / "s", rows, landmarks=np.full((68, 2), 9.0))


def test_the_nearest_faces_of_different_sides(people: AlignedStore) -> None:
    split = Split(frozenset("ab"), frozenset("c"), frozenset("d"))
    asked = []

    def features(images: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(images[:, 0, 0].tolist())
        assert landmarks.shape == (4, 68, 2)
        return np.array([[0.0], [1.0], [1.5], [0.25]]), np.array([True, True, True, False])

    pairs = nearest_faces(people, split, 5, features)
    # one image of each subject, the neutral one; d's is not valid, a and b stand in one subset
    assert asked == [[list(color(k)) for k in (1, 2, 3, 4)]]
    assert [(p.first, p.second, p.distance) for p in pairs] == [(2, 3, 0.5), (1, 3, 1.5)]
    assert (pairs[0].first_subset, pairs[0].second_subset) == ("train", "validation")
    assert len(nearest_faces(people, split, 1, features)) == 1


def test_nobody_with_landmarks_on_a_side_gives_no_pair(people: AlignedStore) -> None:
    nobody = Split(frozenset("x"), frozenset(), frozenset())
    assert nearest_faces(people, nobody, 5, lambda images, landmarks: (images, landmarks)) == []


def test_the_pairs_stand_side_by_side(people: AlignedStore) -> None:
    sheet = read(leakage_sheet(people, [FacePair(2, "train", 3, "test", 0.5)]))
    middle = TOP + 60
    assert tuple(sheet[middle, 4 + 60].tolist()) == color(2)
    assert tuple(sheet[middle, 4 + 180].tolist()) == color(3)
