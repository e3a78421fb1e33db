"""A child process of the local engine: reads jobs, one a line, and runs each in a context of its own making.

Standard output carries events of progress, one JSON object a line; whatever libraries print goes to standard
error. Jobs of the same data share a context. The process ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from fesbench.context.context import RunContext
from fesbench.progress import Reporter, Stage
from fesbench.runs.folds import run_jobs
from fesbench.runs.job import Job


class Relay(Reporter):
    """Writes what it is told as events, for the parent to show."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock, self._opened = stream, threading.Lock(), 0

    def send(self, event: str, **facts: Any) -> None:
        """Write one event; without a parent that reads it there is nothing left to do."""
        try:
            with self._lock:
                self._stream.write(json.dumps({"event": event, **facts}) + "\n")
                self._stream.flush()
        except BrokenPipeError:
            os._exit(1)

    def note(self, text: str, *, warning: bool = False) -> None:
        """See `Reporter.note`."""
        self.send("note", text=text, warning=warning)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """See `Reporter.stage`."""
        self._opened += 1
        number = self._opened
        self.send("open", stage=number, name=name, total=total)
        try:
            yield _RelayedStage(self, number)
        finally:
            self.send("close", stage=number)


class _RelayedStage(Stage):
    def __init__(self, relay: Relay, number: int) -> None:
        self._relay, self._number = relay, number

    def update(
        self, done: int, total: int | None = None, losses: Mapping[str, float] | None = None, detail: str = ""
    ) -> None:
        shown = {name: float(value) for name, value in (losses or {}).items()}
        self._relay.send(
            "update", stage=self._number, done=int(done), total=total, losses=shown, detail=detail
        )


def main() -> None:
    """Run jobs until the input ends."""
    relay = Relay(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    opened: tuple[Job, RunContext] | None = None
    try:
        for line in sys.stdin:
            job = Job.from_json(line)
            if opened is None or opened[0] != job.shared:
                if opened is not None:
                    opened[1].close()
                    opened = None
                # what the context tells was told by the parent
                opened = job.shared, job.open_context(Reporter())
            run_jobs([job], opened[1], relay)
            relay.send("done")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if opened is not None:
            opened[1].close()


if __name__ == "__main__":
    main()
