"""dlib's descriptors on several cores.

dlib's network takes some 75 ms a face on one core, gains nothing from batches and holds the interpreter's
lock; so faces are shared out to processes. The values are the same bits as in one process.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

import fesbench
from fesbench.errors import FesbenchError
from fesbench.extractors import dlib_worker

_TASK = 4
"""Chips a task: 0.3 s of work, so that the last task keeps no core waiting long."""


class WorkerError(FesbenchError):
    """A worker process that died or did not start."""


def default_processes() -> int:
    """One worker a usable core; ``FESBENCH_PROCESSES`` overrides it."""
    asked = os.environ.get("FESBENCH_PROCESSES", "").strip()
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, 16))


class DlibPool:
    """Worker processes that start on first use and end with :meth:`close`, the interpreter, or its death."""

    def __init__(self, weights: Path, home: Path, processes: int) -> None:
        self._command = [sys.executable, "-m", dlib_worker.__name__, str(weights), str(home)]
        self._processes = processes
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._workers)

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.process.pid for worker in self._workers]

    def describe(self, chips: np.ndarray, on_done: Callable[[int], None] | None = None) -> np.ndarray:
        """Descriptors of chips, uint8 (N, 150, 150, 3) -> float64 (N, 128).

        Raises:
            WorkerError: a worker died or did not start; all are ended, and the next call starts new ones.
        """
        with self._lock:
            try:
                if not self._workers:
                    self._start()
                return self._share_out(chips, on_done)
            except BaseException:
                # Also after Ctrl-C: a worker in the middle of an answer would answer the next call with it.
                _close_all(self._workers)
                raise

    def close(self) -> None:
        """End the workers; the next call starts new ones."""
        with self._lock:
            _close_all(self._workers)

    def _start(self) -> None:
        for _ in range(self._processes):
            self._workers.append(_Worker(self._command))
        for worker in self._workers:
            worker.wait_until_loaded()

    def _share_out(self, chips: np.ndarray, on_done: Callable[[int], None] | None) -> np.ndarray:
        values = np.empty((len(chips), dlib_worker.DIMENSION))
        tasks: queue.SimpleQueue[slice] = queue.SimpleQueue()
        for start in range(0, len(chips), _TASK):
            tasks.put(slice(start, min(start + _TASK, len(chips))))
        errors: list[BaseException] = []

        def drive(worker: _Worker) -> None:
            try:
                while not errors:
                    rows = tasks.get_nowait()
                    values[rows] = worker.ask(chips[rows])
                    if on_done is not None:
                        on_done(rows.stop - rows.start)
            except queue.Empty:
                return
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
                errors.append(error)

        threads = [threading.Thread(target=drive, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return values


class _Worker:
    def __init__(self, command: list[str]) -> None:
        # What a worker says is kept in a file: a pipe that nobody reads would block it.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._owner = os.getpid()
        root = str(Path(fesbench.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
            )
        except OSError as error:
            self._log.close()
            raise WorkerError(f"a dlib worker could not start ({error}); set FESBENCH_PROCESSES=1") from None

    def wait_until_loaded(self) -> None:
        self._answer(0)

    def ask(self, chips: np.ndarray) -> np.ndarray:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(dlib_worker.COUNT.pack(len(chips)) + chips.tobytes())
            self.process.stdin.flush()
        except OSError:
            raise self._died() from None
        data = self._answer(len(chips))
        return np.frombuffer(data, dtype="<f8").reshape(len(chips), dlib_worker.DIMENSION)

    def _answer(self, count: int) -> bytes:
        assert self.process.stdout is not None
        header = dlib_worker.read_exactly(self.process.stdout, dlib_worker.COUNT.size)
        if header is None or dlib_worker.COUNT.unpack(header)[0] != count:
            raise self._died()
        data = dlib_worker.read_exactly(self.process.stdout, count * dlib_worker.DIMENSION * 8)
        if data is None:
            raise self._died()
        return data

    def _died(self) -> WorkerError:
        try:
            code: int | None = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        if self._log.closed:
            return WorkerError("the dlib workers were closed while they were asked")
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        last = f": {said[-1]}" if said else ""
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return WorkerError(
            f"a dlib worker process {how}{last}; nothing is lost, run the same command again "
            "(short of memory? set FESBENCH_PROCESSES=1)"
        )

    def close(self) -> None:
        if os.getpid() != self._owner:
            return  # a forked copy of the parent is leaving; the worker is not its own
        # Killed rather than asked: it holds no state, and a thread may still wait for its answer.
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log.close()


def _close_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().close()
