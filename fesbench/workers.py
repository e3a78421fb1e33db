"""Work shared out to processes: one answer a question, in the order of the questions.

A worker is a program of its own (``python -m fesbench.workers``) that talks through pipes: it does not run
the caller's main module again, as multiprocessing's spawn does, it ends when its pipe ends, whatever became
of its parent, and Ctrl-C reaches the parent alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Generic, Self, TypeVar

from fesbench.errors import FesbenchError

Q = TypeVar("Q")
A = TypeVar("A")

_LENGTH = 8
_AHEAD = 2
"""Answers that may wait for their turn, for each worker; the bound of the memory."""

_AGAIN = "run the same command again: what is done is kept"


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool(Generic[Q, A]):
    """Workers that start on first use and end with `close`, the interpreter, or its death.

    Args:
        task: answers one question; travels to each worker once by pickle, so that its class must not stand in
            a script. A `FesbenchError` that it raises is raised here by its words.
        count: how many workers.
        worker: what one is called in errors, such as "worker that prepares images".
        alone: how to do without, such as "use --workers 1".
        error: raised for a worker that did not start or died, and for what a task refuses.
    """

    def __init__(
        self, task: Callable[[Q], A], count: int, *, worker: str, alone: str, error: type[FesbenchError]
    ) -> None:
        self._task, self._count = task, count
        self._worker, self._alone, self._error = worker, alone, error
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _close_all, self._workers)

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.process.pid for worker in self._workers]

    def map(self, questions: Iterable[Q]) -> Generator[A, None, None]:
        """The answers, in the order of the questions; for one caller at a time.

        Raises:
            FesbenchError: of the pool's kind: a worker died or did not start, or what the task refused; all
                are ended, and the next call starts new ones.
        """
        threads = ThreadPoolExecutor(self._count)
        try:
            if not self._workers:
                self._start()
            free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
            for worker in self._workers:
                free.put(worker)
            waiting: deque[Future[A]] = deque()
            for question in questions:
                waiting.append(threads.submit(self._ask, free, question))
                if len(waiting) > _AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            # Also after Ctrl-C: a worker in the middle of an answer would answer the next call with it.
            self.close()
            raise
        finally:
            threads.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End the workers; the next call starts new ones."""
        _close_all(self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        content = pickle.dumps((sys.path, pickle.dumps(self._task)))
        for _ in range(self._count):
            try:
                self._workers.append(_Worker())
            except OSError as error:
                raise self._error(f"a {self._worker} could not start ({error}); {self._alone}") from None
        for worker in self._workers:
            if not worker.send(content):
                raise self._died(worker)

    def _ask(self, free: queue.SimpleQueue[_Worker], question: Q) -> A:
        worker = free.get()
        try:
            content = worker.receive() if worker.send(pickle.dumps(question)) else None
        finally:
            free.put(worker)
        if content is None:
            raise self._died(worker)
        refused, answer = pickle.loads(content)
        if refused:
            raise self._error(answer)
        return answer

    def _died(self, worker: _Worker) -> FesbenchError:
        if worker.log.closed:
            return self._error(f"a {self._worker} was ended while it was asked; {_AGAIN}")
        code, said = worker.last_words()
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return self._error(
            f"a {self._worker} {how}{f' ({said})' if said else ''}; {_AGAIN} (short of memory? {self._alone})"
        )


class _Worker:
    """One worker program and its pipes.

    Raises:
        OSError: it cannot start.
    """

    def __init__(self) -> None:
        # What a worker says is kept in a file: a pipe that nobody reads would block it.
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._owner = os.getpid()
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fesbench.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError:
            self.log.close()
            raise
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout

    def send(self, content: bytes) -> bool:
        """Whether it could be written; False where the worker has ended."""
        try:
            _write(self._in, content)
        except (OSError, ValueError):
            return False
        return True

    def receive(self) -> bytes | None:
        """A message; None where the worker has ended."""
        try:
            return _read(self._out)
        except (OSError, ValueError):
            return None

    def last_words(self) -> tuple[int | None, str]:
        """Exit code and the last line that it said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip().splitlines()
        return self.process.returncode, said[-1] if said else ""

    def close(self) -> None:
        if os.getpid() != self._owner:
            return  # a forked copy of the parent is leaving; the worker is not its own
        # Killed rather than asked: it holds no state, and a thread may still wait for its answer.
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self._in.close()
        self.log.close()


def _close_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().close()


def _read(stream: IO[bytes]) -> bytes | None:
    """One message of a pipe: its length, then its bytes; None where the pipe has ended."""
    head = stream.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    length = int.from_bytes(head, "little")
    content = stream.read(length)
    return content if len(content) == length else None


def _write(stream: IO[bytes], content: bytes) -> None:
    """What `_read` reads."""
    stream.write(len(content).to_bytes(_LENGTH, "little") + content)
    stream.flush()


def serve() -> None:
    """Be a worker: get ``sys.path`` and the task, then questions, and end with standard input."""
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not get between the answers.
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    content = _read(questions)
    if content is None:
        return
    sys.path[:], pickled = pickle.loads(content)
    task: Callable[[Any], Any] = pickle.loads(pickled)
    while (question := _read(questions)) is not None:
        try:
            answer = (False, task(pickle.loads(question)))
        except FesbenchError as error:
            answer = (True, str(error))
        try:
            _write(answers, pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
        except BrokenPipeError:
            return  # whoever asked is gone


if __name__ == "__main__":
    serve()
