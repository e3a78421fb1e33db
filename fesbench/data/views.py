"""Arrays whose rows are looked up, or decoded, when they are asked for: memory does not grow with them."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fesbench.workers import usable_cores

HELD = 64 * 2**20
"""Bytes of one set of images, the first ones, that stay in memory."""

BLOCK = 256
"""Rows that are asked for at once where all of them are gone through."""

Places = npt.NDArray[np.int64]
T = TypeVar("T")
R = TypeVar("R")
Some = TypeVar("Some", list[Any], npt.NDArray[Any])


class LazyRows(ABC):
    """What is read as an array along its first axis, and holds no rows itself.

    Attributes:
        shape: as if it were an array.
        dtype: of its rows.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)

    @abstractmethod
    def _take(self, rows: Places) -> np.ndarray:
        """Some rows, (n, ...)."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Any) -> Any:
        """Rows as an array in memory; further indices choose among them."""
        first, *rest = places if isinstance(places, tuple) else (places,)
        if isinstance(first, int | np.integer):
            (found,) = self._take(np.array([range(len(self))[first]]))
            return found[tuple(rest)] if rest else found
        found = self._take(np.arange(len(self))[first])
        return found[(slice(None), *rest)] if rest else found

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), BLOCK):
            yield from self[start : start + BLOCK]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class RowsOf(LazyRows):
    """Rows of an array in any order.

    Args:
        array: (M, ...).
        rows: int64 (N,); -1 = none.
        absent: what stands everywhere in a row that is none; 0: a black image.

    >>> RowsOf(np.array([[5], [6], [7]]), np.array([2, -1, 0]))[:].tolist()
    [[7], [0], [5]]
    """

    def __init__(self, array: Any, rows: Places, absent: float = 0) -> None:
        super().__init__((len(rows), *array.shape[1:]), array.dtype)
        self._array, self._rows, self._absent = array, rows, absent

    def _take(self, rows: Places) -> np.ndarray:
        places = self._rows[rows]
        found = np.array(self._array[np.maximum(places, 0)])
        found[places < 0] = self._absent
        release(self._array)
        return found


def release(array: Any) -> None:
    """Give back the memory of what was read from, or written to, a memory map; it stays in the file.

    Without this the pages count into the process's memory until something else wants the room.
    """
    if isinstance(array, np.memmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        # numpy has no public name for it
        array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def in_blocks(rows: Places) -> Iterator[Places]:
    """The rows, `BLOCK` at a time.

    >>> [len(some) for some in in_blocks(np.arange(600))]
    [256, 256, 88]
    """
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def ith_range(rows: Some, share: tuple[int, int]) -> Some:
    """The i-th of n ranges of rows, their lengths equal up to one.

    Args:
        rows: (N,) an array or a list.
        share: (i, n), 1 <= i <= n.

    >>> [ith_range([1, 2, 3, 4, 5], (i, 3)) for i in (1, 2, 3)]
    [[1], [2, 3], [4, 5]]
    """
    number, count = share
    return rows[len(rows) * (number - 1) // count : len(rows) * number // count]


def part(array: Any, rows: Any) -> Any:
    """Some rows: a view where the array is one, else a copy."""
    return RowsOf(array, np.arange(len(array))[rows]) if isinstance(array, LazyRows) else array[rows]


class OnDemand(Mapping[str, np.ndarray]):
    """Name -> image or clip, read when it is asked for; the first `HELD` bytes stay in memory.

    Args:
        read: what a name stands for; a reader of each name would take more memory than all else.
    """

    def __init__(self, read: Callable[[str], np.ndarray]) -> None:
        self._read = read
        self._names: dict[str, None] = {}
        self._kept: dict[str, np.ndarray] = {}
        self._room = HELD

    def add(self, name: str, found: np.ndarray) -> None:
        """A name, and what it was found to be."""
        self._names[name] = None
        if self._room >= found.nbytes:
            self._kept[name], self._room = found, self._room - found.nbytes

    def __getitem__(self, name: str) -> np.ndarray:
        kept = self._kept.get(name)
        if kept is None and name not in self._names:
            raise KeyError(name)
        return self._read(name) if kept is None else kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def several(self, names: Sequence[str]) -> list[np.ndarray]:
        """Some of them; what is not in memory is read by threads."""
        if all(name in self._kept for name in names):
            return [self._kept[name] for name in names]
        return on_threads(self.__getitem__, names)


class ImageRows(LazyRows):
    """Images of equal size by the order of their names, uint8 (N, S, S, 3).

    Args:
        images: by name.
        names: (N,).
        size: S.
    """

    def __init__(self, images: OnDemand, names: Sequence[str], size: int) -> None:
        super().__init__((len(names), size, size, 3), np.uint8)
        self._images, self._names = images, np.array(names, dtype=object)

    def _take(self, rows: Places) -> np.ndarray:
        if not len(rows):
            return np.zeros((0, *self.shape[1:]), dtype=np.uint8)
        return np.stack(self._images.several(self._names[rows].tolist()))


def on_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``work`` on every item, in order, on all cores: decoding an image lets the other threads run."""
    found: list[R] = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        # a thousand waiting calls at most: each takes a kilobyte
        for start in range(0, len(items), 4 * BLOCK):
            found += pool.map(work, items[start : start + 4 * BLOCK])
    return found
