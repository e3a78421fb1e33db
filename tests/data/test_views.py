"""Rows that are looked up when they are asked for are those of an array, and are not held."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data import views
from fesbench.data.views import ImageRows, OnDemand, RowsOf, on_threads, part, release
from fesbench.extractors import table
from fesbench.extractors.base import Extractor
from fesbench.extractors.cache import FeatureCache

ARRAY = np.arange(2 * 3 * 7).reshape(7, 2, 3)
INDICES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-5, 4),
    st.slices(5),
    st.lists(st.integers(-5, 4), max_size=8),
    st.lists(st.booleans(), min_size=5, max_size=5).map(np.array),
)


@given(st.lists(st.integers(-1, 6), min_size=5, max_size=5), INDICES, st.booleans())
def test_rows_are_indexed_as_the_array_of_them_would_be(rows: list[int], places: Any, inner: bool) -> None:
    wanted = np.array([ARRAY[row] if row >= 0 else np.zeros_like(ARRAY[0]) for row in rows])
    lazy = RowsOf(ARRAY, np.array(rows))
    if isinstance(places, list):
        places = np.array(places, dtype=np.int64)
    more = (slice(None), 1) if inner else ()
    index = (places, *more) if inner else places
    assert np.array_equal(lazy[index], wanted[index])
    assert np.array_equal(np.asarray(lazy), wanted)
    assert np.array_equal(np.array(list(lazy)), wanted)
    assert (lazy.shape, lazy.ndim, len(lazy), lazy.dtype) == (wanted.shape, 3, 5, wanted.dtype)
    if not isinstance(places, int):
        assert np.array_equal(part(lazy, places)[:], wanted[places])


def test_an_index_beyond_the_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        RowsOf(ARRAY, np.arange(3))[3]


def numbered(count: int, size: int = 4) -> tuple[OnDemand, Counter[int]]:
    """Images that hold their number, and how often each was read again."""
    read = Counter[int]()

    def reader(name: str) -> np.ndarray:
        read[int(name)] += 1
        return np.full((size, size, 3), int(name), dtype=np.uint8)

    images = OnDemand(reader)
    for number in range(count):
        images.add(str(number), np.full((size, size, 3), number, dtype=np.uint8))
    return images, read


def test_the_first_images_stay_in_memory_and_the_others_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "HELD", 3 * 48)
    images, read = numbered(5)
    rows = ImageRows(images, [str(n) for n in (4, 0, 3, 1)], 4)
    for _ in range(2):
        assert rows[:, 0, 0, 0].tolist() == [4, 0, 3, 1]
    assert read == {4: 2, 3: 2}
    assert rows[[]].shape == (0, 4, 4, 3)
    assert rows[-1].max() == 1


def test_an_image_that_is_not_held_costs_its_name_and_one_that_nobody_knows_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "HELD", 0)
    names, image = [f"r{number:07d}" for number in range(5000)], np.zeros((4, 4, 3), dtype=np.uint8)
    tracemalloc.start()
    images, _ = numbered(0)
    for name in names:
        images.add(name, image)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 150 * len(names)
    with pytest.raises(KeyError):
        images["of nobody"]


def test_a_row_that_is_none_may_be_unknown() -> None:
    found = RowsOf(ARRAY.astype(np.float32), np.array([-1, 2]), np.nan)[:]
    assert np.isnan(found[0]).all()
    assert np.array_equal(found[1], ARRAY[2])


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    assert on_threads(lambda n: -n, range(3000)) == [-n for n in range(3000)]
    with pytest.raises(ZeroDivisionError):
        on_threads(lambda n: 1 // n, [1, 0])


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_was_written_to_a_map_outlives_its_release(mode: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5000, 3)))
    mapped = np.load(tmp_path / "a.npy", mmap_mode=mode)
    mapped[4000] = 7
    release(mapped)
    assert mapped[4000].tolist() == [7, 7, 7]
    assert RowsOf(mapped, np.array([4000, 1]))[:].tolist() == [[7, 7, 7], [0, 0, 0]]
    assert mapped[4000].tolist() == [7, 7, 7]


class Pixels(Extractor):
    """Some pixels as features."""

    name = signature = "pixels"

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        return images[:, :8, :8].reshape(len(images), -1).astype(np.float32), np.ones(len(images), dtype=bool)


def peak(count: int, cache: FeatureCache) -> int:
    """Bytes of one extraction at most."""

    def image(name: str) -> np.ndarray:
        return np.random.default_rng(int(name)).integers(0, 256, (48, 48, 3), dtype=np.uint8)

    images = OnDemand(image)
    for number in range(count):
        images.add(str(number), image(str(number)))
    rows = ImageRows(images, [str(n) for n in range(count)], 48)
    tracemalloc.start()
    found = cache.get(Pixels(), rows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found.values, np.memmap)
    assert np.array_equal(found.values[-1], rows[-1][:8, :8].ravel())
    return most


def test_memory_does_not_grow_with_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (views, table):
        monkeypatch.setattr(module, "HELD", 0)
    few, many = (
        peak(count, FeatureCache(tmp_path / f"{count}" / "features.sqlite")) for count in (600, 1800)
    )
    image, feature = 48 * 48 * 3, 8 * 8 * 3 * 4
    # keys and places of the images: far less than one of their rows
    assert (many - few) / 1200 < 400 < feature < image
