from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from fesbench.data.splits.assign import Split
from fesbench.data.splits.leakage import check_leakage, find_leakage
from fesbench.data.splits.near_duplicates import perceptual_hashes
from fesbench.data.store.manifest import Manifest, manifest_of
from fesbench.errors import LeakageError
from fesbench.vocabulary import ACTION_UNITS


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    # statues have neither color nor hair to tell them apart: the hardest distinct subjects
    return render([AvatarSpec(k, style="statue") for k in range(12)], 64).images


def manifest(people: list[str], hashes: list[str] | None = None) -> Manifest:
    n = len(people)
    rows = [
        {"image": f"{k}.png", "identity": who, "sha256": hashes[k] if hashes else str(k)}
        for k, who in enumerate(people)
    ]
    return manifest_of(rows, np.zeros((n, len(ACTION_UNITS))), np.zeros((n, 68, 2)))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def halves(n: int) -> Split:
    return Split(
        frozenset(f"p{k}" for k in range(0, n, 2)), frozenset(), frozenset(f"p{k}" for k in range(1, n, 2))
    )


def test_hashes_are_those_of_imagehash(faces: np.ndarray) -> None:
    import imagehash

    noise = np.random.default_rng(0).integers(0, 256, (4, 101, 90, 3), dtype=np.uint8)
    for images in (faces, noise):
        expected = [
            imagehash.phash(Image.fromarray(image), hash_size=16).hash.reshape(-1) for image in images
        ]
        assert np.array_equal(perceptual_hashes(images), np.array(expected))


def test_different_avatars_are_no_copies(faces: np.ndarray) -> None:
    assert check_leakage(manifest([f"p{k}" for k in range(12)]), faces, halves(12)) == []


def test_a_like_hash_alone_is_no_leak(faces: np.ndarray) -> None:
    """The second step: even if every pair were a candidate, the images themselves differ."""
    assert find_leakage(manifest([f"p{k}" for k in range(12)]), faces, halves(12), near=256) == []


def test_a_reencoded_copy_is_found(faces: np.ndarray) -> None:
    copies = [
        jpeg(faces[0], 50),
        np.asarray(Image.fromarray(faces[0]).resize((32, 32)).resize((64, 64))),
        np.clip(faces[0].astype(int) + 3, 0, 255).astype(np.uint8),
    ]
    for copy in copies:
        images = np.stack([faces[0], faces[1], faces[2], copy])
        pairs = find_leakage(manifest(["p0", "p1", "p2", "p3"]), images, halves(4))
        assert [(p.kind, p.first, p.second) for p in pairs] == [("image", "0.png", "3.png")]


def test_copies_on_one_side_are_no_leak(faces: np.ndarray) -> None:
    images = np.stack([faces[0], faces[1], faces[0], faces[2]])
    assert check_leakage(manifest(["p0", "p1", "p2", "p3"]), images, halves(4)) == []


def test_subjects_outside_of_the_split_play_no_part(faces: np.ndarray) -> None:
    images = np.stack([faces[0], faces[1], faces[1]])
    assert check_leakage(manifest(["p0", "p1", "elsewhere"]), images, halves(2)) == []


def test_the_same_file_under_two_identities(faces: np.ndarray) -> None:
    data = manifest(["p0", "p1", "p2", "p3"], ["a", "b", "c", "a"])
    with pytest.raises(LeakageError, match=r"0\.png \(train\) and 3\.png \(test\): same file"):
        check_leakage(data, faces[:4], halves(4))


def test_one_person_under_two_spellings(faces: np.ndarray) -> None:
    split = Split(frozenset({"S005"}), frozenset({"x"}), frozenset({" s005"}))
    with pytest.raises(LeakageError, match=r"0\.png \(train\) and 1\.png \(test\): same identity"):
        check_leakage(manifest(["S005", " s005", "x", "S005"]), faces[:4], split)


def test_a_long_list_is_cut_and_counted(faces: np.ndarray) -> None:
    data = manifest([f"p{k}" for k in range(12)], ["same"] * 12)
    with pytest.raises(LeakageError, match=r"36 pairs(.|\n)*and 26 more"):
        check_leakage(data, faces, halves(12))


def test_six_thousand_images_take_seconds(faces: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6500, 64, 64, 3), dtype=np.uint8)
    start = time.process_time()
    assert find_leakage(manifest([f"p{k % 260}" for k in range(6500)]), images, halves(260)) == []
    assert time.process_time() - start < 20
