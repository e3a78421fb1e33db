from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.errors import DataError
from fesbench.extractors.base import PairExtractor, check_pairs
from fesbench.extractors.cache import FeatureCache
from tests.extractors.drawn_faces import face_images


class Difference(PairExtractor):
    """Mean absolute difference; counts the pairs that it was asked for."""

    def __init__(self, signature: str = "difference:1") -> None:
        self.name = "difference"
        self._signature = signature
        self.asked = 0

    @property
    def signature(self) -> str:
        return self._signature

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        check_pairs(self, first, second)
        self.asked += len(first)
        return np.abs(first.astype(np.float64) - second).mean(axis=(1, 2, 3)).astype(np.float32)


ALL = np.array([(i, j) for i in range(5) for j in range(5)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.sqlite"


def test_values_are_the_extractors_and_are_kept(path: Path) -> None:
    images, others = face_images(5, 16), face_images(5, 16, seed=1)
    first, again = Difference(), Difference()
    made = FeatureCache(path).get_pairs(first, images, others, ALL)
    assert made.values.shape == (25, 1)
    assert made.valid.all()
    assert made.signature == "difference:1"
    expected = Difference().compare(images[ALL[:, 0]], others[ALL[:, 1]])
    assert np.array_equal(made.values[:, 0], expected)
    kept = FeatureCache(path).get_pairs(again, images, others, ALL)
    assert np.array_equal(kept.values, made.values)
    assert (first.asked, again.asked) == (25, 0)


def test_a_pair_is_the_same_from_either_side_and_by_content(path: Path) -> None:
    images = face_images(5, 16)
    extractor = Difference()
    found = FeatureCache(path).get_pairs(extractor, images, images.copy(), ALL).values.reshape(5, 5)
    assert extractor.asked == 15
    assert np.array_equal(found, found.T)
    assert not found.diagonal().any()


def test_a_changed_pixel_or_signature_is_another_pair(path: Path) -> None:
    images = face_images(2, 16)
    one = np.array([[0, 1]])
    FeatureCache(path).get_pairs(Difference(), images, images, one)
    changed = images.copy()
    changed[1, 3, 3, 0] ^= 1
    for extractor, stack in ((Difference(), changed), (Difference("difference:2"), images)):
        FeatureCache(path).get_pairs(extractor, images, stack, one)
        assert extractor.asked == 1


def test_nothing_asked_nothing_given(path: Path) -> None:
    none = np.zeros((0, 2), dtype=int)
    found = FeatureCache(path).get_pairs(Difference(), face_images(2, 16), face_images(2, 16), none)
    assert found.values.shape == (0, 1)


def test_stacks_that_do_not_fit_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match="equal stacks"):
        FeatureCache(path).get_pairs(
            Difference(), face_images(1, 16), face_images(1, 24), np.zeros((1, 2), int)
        )
    with pytest.raises(DataError, match="uint8 RGB"):
        Difference().compare(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 3)))
