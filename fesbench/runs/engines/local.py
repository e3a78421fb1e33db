"""Run cells on this machine: in this process, or in several, each of which opens its own context."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import fesbench
from fesbench.context.context import RunContext
from fesbench.errors import UsageError
from fesbench.progress import Reporter, Stage
from fesbench.records.record import Record, load_record
from fesbench.runs.engines.relay import Shown
from fesbench.runs.engines.spread import Planned, SpreadEngine, record_death
from fesbench.runs.folds import run_jobs
from fesbench.runs.job import Job
from fesbench.runs.time_left import TimeLeft

_LOOK = 0.2
"""Seconds between two looks at the threads."""
_PATIENCE = 30
"""Seconds that an interrupted child has to save where it stands."""


class LocalEngine(SpreadEngine):
    """Runs jobs on this machine.

    Args:
        processes: 1 = in this process, jobs of one context one after another; more = in so many child
            processes, a job each at a time. The speeds in the records are then measured side by side.
        shard: see `SpreadEngine`.
    """

    def __init__(self, processes: int = 1, shard: tuple[int, int] = (1, 1)) -> None:
        if processes < 1:
            raise UsageError(f"--jobs {processes}: at least one process is needed")
        super().__init__(shard)
        self.processes = processes

    @property
    def divides(self) -> bool:
        """See `SpreadEngine.divides`."""
        return self.processes > 1

    def do(self, jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Record]:
        """See `SpreadEngine.do`; with one process in this one."""
        return super().do(jobs, context, reporter) if self.divides else run_jobs(jobs, context, reporter)

    def hand_out(self, planned: Sequence[Planned], reporter: Reporter) -> None:
        """See `SpreadEngine.hand_out`."""
        _Children(planned, min(self.processes, len(planned)), reporter).run()


class _Children:
    """Child processes that take jobs from one queue, a thread of this process beside each."""

    def __init__(self, planned: Sequence[Planned], count: int, reporter: Reporter) -> None:
        self.planned, self.reporter, self.count = planned, reporter, count
        self.ended, self.done = False, 0
        self.waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.left = TimeLeft([item.job.trains for item in planned])
        self.running: set[_Child] = set()
        self.lock = threading.Lock()
        self.errors: list[BaseException] = []

    def run(self) -> None:
        """Run every job; on Ctrl-C and every other error all children end."""
        for number in self.left.order:
            self.waiting.put(number)
        with self.reporter.stage("cells", total=len(self.planned)) as stage:
            threads = [threading.Thread(target=self._drive, args=(stage,)) for _ in range(self.count)]
            try:
                for thread in threads:
                    thread.start()
                while any(thread.is_alive() for thread in threads) and not self.errors:
                    threads[-1].join(_LOOK)
            finally:
                self._end_all()
                for thread in threads:
                    if thread.ident is not None:
                        thread.join()
        if self.errors:
            raise self.errors[0]

    def _end_all(self) -> None:
        """Interrupt every child, so that a training saves where it stands; end those that take too long."""
        with self.lock:
            self.ended, left = True, [child.process for child in self.running]
        try:
            for process in left:
                process.send_signal(signal.SIGINT)
            for process in left:
                process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.reporter.note(f"a process did not end within {_PATIENCE} s; it is killed", warning=True)
        finally:
            for process in left:
                process.kill()

    def _drive(self, stage: Stage) -> None:
        child: _Child | None = None
        try:
            while not self.ended and not self.errors:
                number = self.waiting.get_nowait()
                item = self.planned[number]
                child = child or self._start()
                if child is not None and not child.ask(item.job, self.reporter) and not self.ended:
                    record_death(item, child.last_words(), self.reporter)
                    self._end(child)
                    child = None
                with self.lock:
                    self.done += 1
                    if (
                        folder := item.runs / item.cell.folder
                    ).exists():  # an interrupted one may have left none
                        self.left.done(number, load_record(folder))
                    left = self.left.seconds() / self.count
                    stage.update(self.done, len(self.planned), detail=item.cell.method, left=left)
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            self.errors.append(error)
        finally:
            if child is not None:
                self._end(child)

    def _start(self) -> _Child | None:
        with self.lock:
            if self.ended:
                return None
            child = _Child(self.count)
            self.running.add(child)
            return child

    def _end(self, child: _Child) -> None:
        with self.lock:
            self.running.discard(child)
        child.close()


class _Child:
    """One child process: jobs go in as lines of JSON, events of progress come out."""

    def __init__(self, among: int) -> None:
        # What a child says is kept in a file: a pipe that nobody reads would block it.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        root = str(Path(fesbench.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        threads = str(max(1, (os.cpu_count() or 1) // among))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fesbench.runs.engines.child"],
            env={"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches this process alone, which tells the children once
        )

    def ask(self, job: Job, reporter: Reporter) -> bool:
        """Have one job done and relay its progress; false where the process died of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(job.to_json() + "\n")
            self.process.stdin.flush()
        except OSError:
            return False
        with Shown(reporter) as shown:
            for line in self.process.stdout:
                event = json.loads(line)
                if event["event"] == "done":
                    return True
                shown.show(event)
        return False

    def last_words(self) -> str:
        """How the process ended, and what it said last."""
        code = self.process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"its process {how}{f': {said[-1]}' if said else ''}; run the same command again"

    def close(self) -> None:
        """End the process: it waits for another job, or it hangs."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log.close()
