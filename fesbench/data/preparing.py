"""Reading and aligning the entries of a plan, on one core or on several.

The order and the bytes do not depend on the number of workers: each chunk of entries is read and aligned by
one of them, and handed on in the plan's order. Workers are separate programs (`fesbench.data.align_worker`)
that talk through pipes: they do not run the caller's main module again, they end when the pipe closes, so
also when this process is killed, and Ctrl-C reaches this process alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

import fesbench
from fesbench.data.alignment.detectors import find_face
from fesbench.data.alignment.recipes import FaceError, alignment
from fesbench.data.datasets.base import Item, Plan, Skipped
from fesbench.errors import DataError

WORTHWHILE = 256
"""Fewer entries are done here: workers take about a second to start."""

_LENGTH = 8
_AHEAD = 2
"""Chunks that may wait for their turn, for each worker; the bound of the memory."""

_THUMBNAIL = 160


@dataclass(frozen=True)
class Aligned:
    """One aligned image with its row; see `fesbench.data.store.writer.StoreWriter.add`."""

    image: np.ndarray
    row: Mapping[str, Any]
    landmarks: np.ndarray | None
    action_units: np.ndarray | None


@dataclass(frozen=True)
class LeftOut:
    """An entry that gives no image.

    Attributes:
        image: its name.
        key: one of `fesbench.data.alignment.recipes.REASONS`.
        reason: in words.
        image: uint8 (h, w, 3), the original made small; None where there is none to see.
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
        return Aligned(image, entry.row, moved, entry.action_units)


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
    with _Pool(job, count) as pool:
        waiting: deque[Future[list[Aligned | LeftOut]]] = deque()
        for first, last in bounds:
            waiting.append(pool.submit(first, last))
            if len(waiting) > _AHEAD * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Pool:
    """Worker programs, each asked by one thread at a time."""

    def __init__(self, job: Job, count: int) -> None:
        content = pickle.dumps(job)
        self._workers: list[_Worker] = []
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        try:
            for _ in range(count):
                self._workers.append(_Worker())
            for worker in self._workers:
                worker.send(pickle.dumps(sys.path))
                worker.send(content)
                self._free.put(worker)
        except BaseException:
            self.close()
            raise
        self._threads = ThreadPoolExecutor(count)

    def submit(self, start: int, stop: int) -> Future[list[Aligned | LeftOut]]:
        return self._threads.submit(self._ask, start, stop)

    def _ask(self, start: int, stop: int) -> list[Aligned | LeftOut]:
        worker = self._free.get()
        try:
            worker.send(pickle.dumps((start, stop)))
            kind, found = pickle.loads(worker.receive())
        finally:
            self._free.put(worker)
        if kind == "error":
            raise DataError(found)
        return found

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        # killed first: a thread that waits for an answer then gets the end of the pipe instead
        self.close()
        self._threads.shutdown(cancel_futures=True)


class _Worker:
    """One worker program and its pipes."""

    def __init__(self) -> None:
        # what a worker says is kept in a file: a pipe that nobody reads would block it
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        root = str(Path(fesbench.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fesbench.data.align_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise DataError(f"a worker could not start ({error}); use --workers 1") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def send(self, content: bytes) -> None:
        try:
            self._in.write(message(content))
            self._in.flush()
        except (OSError, ValueError):
            raise self._died() from None

    def receive(self) -> bytes:
        try:
            content = read_message(self._out)
        except (OSError, ValueError):
            content = None
        if content is None:
            raise self._died()
        return content

    def _died(self) -> DataError:
        if self._log.closed:
            return DataError("preparing was interrupted; run the same command again: what is done is kept")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        return DataError(
            f"a worker that prepares images ended with code {self._process.returncode}"
            f"{f' ({said[-1]})' if said else ''}; run the same command again: what is done is kept "
            "(short of memory? use --workers 1)"
        )

    def close(self) -> None:
        # killed rather than asked: it holds no state
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._in.close()
        self._log.close()


def read_message(stream: IO[bytes]) -> bytes | None:
    """One message of a pipe: its length, then its bytes; None where the pipe has ended."""
    head = stream.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    length = int.from_bytes(head, "little")
    content = stream.read(length)
    return content if len(content) == length else None


def message(content: bytes) -> bytes:
    """What `read_message` reads."""
    return len(content).to_bytes(_LENGTH, "little") + content


def _thumbnail(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return np.asarray(small)
