"""What a subject sees while a run goes on: stage, cell, step, losses, time left.

The engine talks to a ``Reporter``; the command line gives it a live one, Python callers a silent one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LOG_SECONDS = 30.0
"""Between two lines on the progress of a stage, where there is no terminal."""


class Reporter:
    """Silent; the base of the live one."""

    def note(self, text: str, *, warning: bool = False) -> None:
        """Say one line that stays."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Open one bar; it closes with the block."""
        yield Stage()


class Stage:
    """One bar; the silent form ignores everything."""

    def update(
        self,
        done: int,
        total: int | None = None,
        losses: Mapping[str, float] | None = None,
        detail: str = "",
        left: float | None = None,
    ) -> None:
        """Show progress: steps done of total, the latest losses, a short detail, and the seconds left where
        somebody knows better than from the speed so far (infinite: nobody knows).
        """

    def update_what(self, done: int, total: int, what: str) -> None:
        """:meth:`update` in the form of the data and scoring callbacks."""
        self.update(done, total, detail=what)


class LiveReporter(Reporter):
    """Rich bars on standard error, and plain lines where that is no terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            _LeftColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=self.console,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str, *, warning: bool = False) -> None:
        """Say one line that stays."""
        self.console.print(text, style="yellow" if warning else None, markup=False, highlight=False)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Open one bar; it closes with the block."""
        task = self._progress.add_task(name, total=total, detail="", until=None)
        log = None if self.console.is_terminal else _Log(name, self.note)
        if log is not None:
            self.note(name)
        try:
            yield _LiveStage(self._progress, task, log)
        finally:
            self._progress.remove_task(task)


class _LeftColumn(TimeRemainingColumn):
    """The time left as a stage tells it, or from its speed so far."""

    def render(self, task: Task) -> Text:
        until = task.fields["until"]
        if until is None:
            return super().render(task)
        left = until - time.monotonic()
        return Text("-:--:--" if left == math.inf else str(timedelta(seconds=max(0, round(left)))), "cyan")


class _LiveStage(Stage):
    def __init__(self, progress: Progress, task: TaskID, log: _Log | None) -> None:
        self._progress, self._task, self._log = progress, task, log

    def update(
        self,
        done: int,
        total: int | None = None,
        losses: Mapping[str, float] | None = None,
        detail: str = "",
        left: float | None = None,
    ) -> None:
        shown = " ".join(f"{name} {value:.3g}" for name, value in (losses or {}).items())
        until = None if left is None else time.monotonic() + left
        told = f"{detail} {shown}".strip()
        self._progress.update(self._task, completed=done, total=total, detail=told, until=until)
        if self._log is not None:
            self._log.update(done, total, detail, left)


class _Log:
    """A plain line now and then, where no bar can be drawn: how far a stage is, and the time left."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._said = time.monotonic()
        self._first: tuple[int, float] | None = None

    def update(self, done: int, total: int | None, detail: str, left: float | None = None) -> None:
        """Say it, where the last line is old enough and something is known."""
        now = time.monotonic()
        # What was done before (a resumed training) says nothing of the speed.
        first, since = self._first = self._first or (done, now)
        if total is None or not first < done < total or now - self._said < LOG_SECONDS:
            return
        self._said = now
        if left is None:
            left = (now - since) / (done - first) * (total - done)
        told = f" ({detail})" if detail else ""
        rest = "" if left == math.inf else f", about {_duration(left)} left"
        self._say(f"{self._name}: {done} of {total}{told}{rest}")


def _duration(seconds: float) -> str:
    """Such as "40 s" or "12 min".

    >>> _duration(40.2), _duration(700)
    ('40 s', '12 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
