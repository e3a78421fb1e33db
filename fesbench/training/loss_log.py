"""losses.csv: what was logged, once, whatever happened in between."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from fesbench.files import writing

_HEADER = b"phase,step,name,value\n"


class LossLog:
    """Collects losses without waiting for the device, and writes the latest ones when asked.

    Args:
        path: the CSV file; columns phase, step, name, value.

    Attributes:
        summary: "phase/name" -> first, last, min, max of the written values.
        shown: the values written last, by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary: dict[str, dict[str, float]] = {}
        self.shown: dict[str, float] = {}
        self._latest: dict[str, Tensor | float] = {}
        self._file: BinaryIO | None = None

    def open(self, state: Mapping[str, Any] | None) -> None:
        """Begin anew, or resume from ``state``: rows that were written after it are cut off.

        Raises:
            DataError: the file cannot be written.
        """
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if state is None or not self.path.exists():
                self._file = self.path.open("wb")
                self._file.write(_HEADER)
                self._file.flush()  # who reads while it is written finds the columns
                return
            self._file = self.path.open("r+b")
            self._file.truncate(state["bytes"])
            self._file.seek(0, os.SEEK_END)
        self.summary = {name: dict(values) for name, values in state["summary"].items()}
        self.shown, self._latest = dict(state["shown"]), dict(state["latest"])

    def remember(self, losses: Mapping[str, Tensor] | Mapping[str, float]) -> None:
        """Keep a step's losses; a loss of an earlier step is forgotten when it comes again."""
        self._latest.update(losses)

    def write(self, phase: str, step: int) -> dict[str, float]:
        """Write what was remembered since the last time, and return it.

        Raises:
            DataError: the disk is full.
        """
        values = {name: float(value) for name, value in self._latest.items()}
        self._latest = {}
        for name, value in values.items():
            known = self.summary.setdefault(
                f"{phase}/{name}", {"first": value, "last": value, "min": value, "max": value}
            )
            known |= {"last": value, "min": min(known["min"], value), "max": max(known["max"], value)}
        self.shown |= values
        if self._file is not None:
            with writing(self.path):
                rows = "".join(f"{phase},{step},{name},{value:.8g}\n" for name, value in values.items())
                self._file.write(rows.encode())
                self._file.flush()
        return values

    def state(self) -> dict[str, Any]:
        """Everything that must survive a restart, as JSON; what it speaks of is on disk."""
        length = 0
        if self._file is not None:
            with writing(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())
                length = self._file.tell()
        return {
            "bytes": length,
            "summary": self.summary,
            "shown": self.shown,
            "latest": {name: float(value) for name, value in self._latest.items()},
        }

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
