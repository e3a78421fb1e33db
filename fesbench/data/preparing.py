"""Reading and aligning the entries of a plan, on one core or on several.

The order and the bytes do not depend on the number of workers: each chunk of entries is read and aligned by
one of them (`fesbench.workers`), and handed on in the plan's order.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.data.alignment.detectors import find_face
from fesbench.data.alignment.recipes import FaceError, alignment
from fesbench.data.datasets.base import Item, Plan, Skipped
from fesbench.errors import DataError
from fesbench.workers import WorkerPool, usable_cores

WORTHWHILE = 256
"""Fewer entries are done here: workers take about a second to start."""

_THUMBNAIL = 160


@dataclass(frozen=True)
class Aligned:
    """One aligned image with its row; see `fesbench.data.store.writer.StoreWriter.add`."""

    image: np.ndarray
    row: Mapping[str, Any]
    landmarks: np.ndarray | None
    action_units: np.ndarray | None
    scale: float
    """How many pixels of this image one of the source has become, along a side."""


@dataclass(frozen=True)
class LeftOut:
    """An entry that gives no image.

    Attributes:
        image: its name.
        key: one of `fesbench.data.alignment.recipes.REASONS`.
        reason: in words.
        picture: uint8 (h, w, 3), the original made small; None where there is none to see.
    """

    image: str
    key: str
    reason: str
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class Job:
    """What to do with each entry of a plan.

    Attributes:
        plan: what to read.
        recipe: the alignment's name.
        size: side of the aligned images, pixels.
    """

    plan: Plan
    recipe: str
    size: int

    def __call__(self, bounds: tuple[int, int]) -> list[Aligned | LeftOut]:
        """`chunk`, as the task of a worker."""
        return self.chunk(*bounds)

    def chunk(self, start: int, stop: int) -> list[Aligned | LeftOut]:
        """The entries ``start`` to ``stop`` (exclusive), one result each."""
        return [self._one(entry) for entry in self.plan.read(start, stop)]

    def _one(self, entry: Item | Skipped) -> Aligned | LeftOut:
        if isinstance(entry, Skipped):
            return LeftOut(entry.image, "unreadable", entry.reason)
        recipe, landmarks, five = alignment(self.recipe), entry.landmarks, None
        try:
            if landmarks is None and recipe.needs_landmarks:
                face = find_face(entry.image, recipe.detector)
                landmarks, five = face.landmarks, face.five
            image, moved = recipe.apply(entry.image, landmarks, self.size, five)
        except FaceError as problem:
            return LeftOut(str(entry.row["image"]), problem.key, str(problem), _thumbnail(entry.image))
        scale = _scale(entry.image, landmarks, self.size, moved)
        return Aligned(image, entry.row, moved, entry.action_units, scale)


def aligned_chunks(
    job: Job, start: int, *, chunk: int, workers: int | None
) -> Generator[list[Aligned | LeftOut], None, None]:
    """The results of all entries from ``start`` on, in the plan's order, a chunk at a time.

    Args:
        job: what to do.
        start: the first entry.
        chunk: entries in one piece of work.
        workers: how many processes; None: the usable cores. Few entries are done in this process, and so are
            those of a daemon, which may have no children, and of a plan whose class stands in a script.

    Raises:
        DataError: what reading a chunk raised, or a worker that died.
    """
    bounds = [(first, min(first + chunk, len(job.plan))) for first in range(start, len(job.plan), chunk)]
    count = min(workers or usable_cores(), len(bounds))
    alone = len(job.plan) - start < WORTHWHILE or type(job.plan).__module__ == "__main__"
    if count < 2 or alone or multiprocessing.current_process().daemon:
        for first, last in bounds:
            yield job.chunk(first, last)
        return
    with WorkerPool(
        job, count, worker="worker that prepares images", alone="use --workers 1", error=DataError
    ) as pool:
        yield from pool.map(bounds)


def _scale(image: np.ndarray, landmarks: np.ndarray | None, size: int, moved: np.ndarray | None) -> float:
    """By the outer corners of the eyes, where there are landmarks; else by the sides."""
    if landmarks is None or moved is None or not np.isfinite(landmarks).all():
        return size / min(image.shape[:2])
    before, after = (float(np.linalg.norm(points[45] - points[36])) for points in (landmarks, moved))
    return after / before if before else size / min(image.shape[:2])


def _thumbnail(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return np.asarray(small)
