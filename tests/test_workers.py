from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fesbench.errors import DataError, UsageError
from fesbench.workers import WorkerPool


class Square:
    """A task that prints, as libraries do, and refuses 13."""

    def __call__(self, number: int) -> tuple[int, int]:
        print("noise", flush=True)
        os.write(1, b"more noise")
        if number == 13:
            raise UsageError("thirteen is refused")
        if number < 0:
            raise ValueError("below zero")
        return number * number, os.getpid()


def pool(count: int = 2) -> WorkerPool[int, tuple[int, int]]:
    return WorkerPool(Square(), count, worker="worker that squares", alone="use one", error=DataError)


def test_answers_come_in_the_order_of_the_questions_whatever_is_printed() -> None:
    with pool() as workers:
        assert workers.pids == []
        found = list(workers.map(range(12)))
        assert [square for square, _ in found] == [n * n for n in range(12)]
        assert {pid for _, pid in found} <= set(workers.pids)
        assert os.getpid() not in workers.pids
        assert list(workers.map([])) == []
        before = workers.pids
        list(workers.map([1]))
        assert workers.pids == before
    assert workers.pids == []


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (13, "^thirteen is refused$"),
        (-1, r"^a worker that squares ended with code 1 \(ValueError: below zero\); run .*use one\)$"),
    ],
)
def test_what_goes_wrong_is_an_error_of_the_pool_and_the_next_call_works(question: int, words: str) -> None:
    with pool() as workers:
        with pytest.raises(DataError, match=words):
            list(workers.map([1, question, 2]))
        assert workers.pids == []
        assert [square for square, _ in workers.map([3])] == [9]


def test_a_caller_who_stops_early_gets_no_old_answers_later() -> None:
    with pool(1) as workers:
        answers = workers.map(range(100))
        next(answers)
        answers.close()
        assert workers.pids == []
        assert [square for square, _ in workers.map([7])] == [49]


def test_a_killed_worker_is_a_clear_error_and_the_next_call_works() -> None:
    with pool(1) as workers:
        list(workers.map([1]))
        os.kill(workers.pids[0], signal.SIGKILL)
        with pytest.raises(DataError, match=r"ended by signal 9.*run the same command again"):
            list(workers.map([2]))
        assert workers.pids == []
        assert [square for square, _ in workers.map([3])] == [9]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    # No main guard on purpose: workers must not import the parent's script again.
    script.write_text(
        f"import sys, time\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from tests.test_workers import pool\n"
        "workers = pool(1)\nlist(workers.map([1]))\n"
        "print(workers.pids[0], flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)


def test_an_interrupt_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = pool(1)
    running: list[int] = []

    def interrupted(*_: object) -> object:
        running.extend(workers.pids)
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "_ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(workers.map([1]))
    assert len(running) == 1
    assert not _alive(running[0])
    assert workers.pids == []


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
