"""Progress from one process to another: told as events of plain data there, shown by a reporter here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from fesbench.progress import Reporter, Stage

Event = dict[str, Any]


class Relay(Reporter):
    """Tells what it is told as events.

    Args:
        send: takes an event, one at a time.
    """

    def __init__(self, send: Callable[[Event], object]) -> None:
        self._send, self._lock, self._opened = send, threading.Lock(), 0

    def send(self, event: str, **facts: Any) -> None:
        """Tell one event."""
        with self._lock:
            self._send({"event": event, **facts})

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
        self,
        done: int,
        total: int | None = None,
        losses: Mapping[str, float] | None = None,
        detail: str = "",
        left: float | None = None,
    ) -> None:
        shown = {name: float(value) for name, value in (losses or {}).items()}
        facts = {"done": int(done), "total": total, "losses": shown, "detail": detail, "left": left}
        self._relay.send("update", stage=self._number, **facts)


class Shown:
    """Shows the events of one relay; stages that it leaves open, as a process that dies does, end with it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._opened = ExitStack()
        self._stages: dict[int, tuple[ExitStack, Stage]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def show(self, event: Event) -> None:
        """Show a note, or what became of a stage; nothing of one that has been closed here."""
        facts = dict(event)
        kind, number = facts.pop("event"), facts.pop("stage", 0)
        if kind == "note":
            self._reporter.note(**facts)
        elif kind == "open":
            one = self._opened.enter_context(ExitStack())
            self._stages[number] = (one, one.enter_context(self._reporter.stage(**facts)))
        elif number in self._stages:
            opened, stage = self._stages[number]
            if kind == "update":
                stage.update(**facts)
            else:
                del self._stages[number]
                opened.close()

    def close(self) -> None:
        """End every stage that is open."""
        self._stages.clear()
        self._opened.close()


class Inbox:
    """Holds what the workers of many cells tell until it is fetched; an actor of Ray is made of it."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str, Event]] = []

    def put(self, cell: int, worker: str, event: Event) -> None:
        """Take an event of a cell, told by a worker."""
        self._told.append((cell, worker, event))

    def take(self) -> list[tuple[int, str, Event]]:
        """Give what came since the last time."""
        told, self._told = self._told, []
        return told
