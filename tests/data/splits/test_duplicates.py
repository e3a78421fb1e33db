from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.data.splits.duplicates import FILE, duplicate_groups, group_list
from fesbench.data.splits.near_duplicates import SAME_GRAY, HashDescriptors, copies, hash_descriptors
from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.writer import StoreWriter


def store_of(path: Path, images: np.ndarray, hashes: list[str]) -> AlignedStore:
    with StoreWriter(path, size=images.shape[1]) as writer:
        for k, (image, sha256) in enumerate(zip(images, hashes, strict=True)):
            writer.add(image, {"image": f"{k}.png", "identity": f"p{k}", "sha256": sha256})
        return writer.finish({}, data="x", alignment="none@1")


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    return render([AvatarSpec(k, style="statue") for k in range(5)], 64).images


def test_by_file_by_image_and_over_two_steps(faces: np.ndarray, tmp_path: Path) -> None:
    brighter = np.clip(faces[1].astype(int) + 3, 0, 255).astype(np.uint8)
    brightest = np.clip(faces[1].astype(int) + 6, 0, 255).astype(np.uint8)
    # row 4 is a copy of 3 and 3 of 1, while 4 and 1 differ by 6 levels; 5 has the file of 2
    images = np.stack([faces[0], faces[1], faces[2], brighter, brightest, faces[3], faces[4]])
    store = store_of(tmp_path / "s", images, ["a", "b", "c", "d", "e", "c", ""])
    seen: list[tuple[int, int, str]] = []
    groups = duplicate_groups(store, lambda *step: seen.append(step))
    assert groups.dtype == np.int64
    assert groups.tolist() == [0, 1, 2, 1, 1, 2, 6]
    assert [rows.tolist() for rows in group_list(groups)] == [[1, 3, 4], [2, 5]]
    assert seen
    # six steps of level 3 apart would be no copy by themselves
    pair = hash_descriptors(images, np.array([1, 4]))
    assert list(copies(pair, np.array([0]), np.array([1]))) == []


def test_the_result_is_kept_beside_the_store_and_a_torn_one_made_again(
    faces: np.ndarray, tmp_path: Path
) -> None:
    store = store_of(tmp_path / "s", faces[[0, 1, 0]], ["a", "b", "c"])
    assert duplicate_groups(store).tolist() == [0, 1, 0]
    steps: list[int] = []
    duplicate_groups(store, lambda done, total, what: steps.append(done))
    assert steps == []
    np.save(store.path / FILE, np.arange(2))
    assert duplicate_groups(store).tolist() == [0, 1, 0]


def test_images_without_a_known_file_are_not_one_file(faces: np.ndarray, tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", faces[:3], ["", "", ""])
    assert duplicate_groups(store).tolist() == [0, 1, 2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 256))
def test_copies_are_those_of_the_plain_loop(seed: int, n: int, near: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    small = rng.integers(0, 1021, (n, 1024), dtype=np.uint16)
    for k in range(1, n, 3):  # neighbors a few bits and gray levels apart
        bits[k] = bits[k - 1]
        bits[k, : rng.integers(0, 6)] ^= 0x81
        small[k] = np.clip(small[k - 1].astype(int) + rng.integers(-22, 23), 0, 1020)
    expected = [
        (a, b, int(np.unpackbits(bits[a] ^ bits[b]).sum()))
        for a in range(n)
        for b in range(a + 1, n)
        if np.unpackbits(bits[a] ^ bits[b]).sum() <= near
        and np.abs(small[a] / 4 - small[b] / 4).mean() <= SAME_GRAY
    ]
    everything = np.arange(n)
    assert sorted(copies(HashDescriptors(bits, small), everything, everything, near)) == expected


def test_blocks_cut_anywhere_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from fesbench.data.splits import near_duplicates as module

    rng = np.random.default_rng(1)
    bits = np.repeat(rng.integers(0, 256, (10, 32), dtype=np.uint8), 3, axis=0)
    known = HashDescriptors(bits, np.zeros((30, 1024), np.uint16))
    everything = np.arange(30)
    whole = sorted(copies(known, everything, everything))
    assert len(whole) == 30
    monkeypatch.setattr(module, "_LEFT", 7)
    monkeypatch.setattr(module, "_RIGHT", 4)
    assert sorted(copies(known, everything, everything)) == whole
    left, right = np.arange(0, 15), np.arange(15, 30)
    across = [(a, b, d) for a, b, d in whole if a < 15 <= b]
    assert sorted(copies(known, left, right)) == across
