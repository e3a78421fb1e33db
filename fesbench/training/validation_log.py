"""validation.csv: what a method scores while it is trained, at most `POINTS` times, evenly over its steps.

Who scores is not known here: training calls a function. A look changes nothing of the training, and its time
is none of the training's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fesbench.training.loss_log import LossLog

NAME = "validation.csv"
POINTS = 8
APART = 10
"""Steps between two looks at least; a training of a few steps is looked at when it ends."""

COSTLY, LIMIT = 1.0, 0.1
"""Looks of so many seconds or more are put off while they would take more than this share of the training."""

Validate = Callable[[], dict[str, float]]


class ValidationLog:
    """Looks at a training and writes what they found; columns as in losses.csv.

    Args:
        path: the CSV file.
        steps: of the training, all phases together.

    Attributes:
        validate: gives scores by name; None: nobody looks.
        looks: how many were made.
        seconds: that all of them took.
    """

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.points = path, min(POINTS, max(1, steps // APART))
        self.validate: Validate | None = None
        self.made, self.looks, self.seconds = 0, 0, 0.0
        self._log = LossLog(path)

    def open(self, state: Mapping[str, Any] | None) -> None:
        """Begin anew, or resume from ``state``: points that were written after it are cut off.

        Raises:
            DataError: the file cannot be written.
        """
        if state is not None:
            self.made, self.looks, self.seconds = state["made"], state["looks"], state["seconds"]
        if self.validate is None:
            self.path.unlink(missing_ok=True)
        else:
            self._log.open(state and state["log"])

    def due(self, share: float, seconds: float) -> bool:
        """Whether a point is to be made now; the last one always is.

        Args:
            share: of the whole training that is done, in [0, 1].
            seconds: that it took so far, without looks.
        """
        if self.validate is None or self._number(share) <= self.made:
            return False
        each = self.seconds / max(1, self.looks)
        return share >= 1 or each < COSTLY or self.seconds + each <= LIMIT * seconds

    def look(self, phase: str, step: int, share: float) -> float:
        """Make a point; returns the seconds that it took.

        Raises:
            DataError: the disk is full.
        """
        assert self.validate is not None
        started = time.monotonic()
        self._log.remember(self.validate())
        self._log.write(phase, step)
        self.made, self.looks = self._number(share), self.looks + 1
        spent = time.monotonic() - started
        self.seconds += spent
        return spent

    def state(self) -> dict[str, Any]:
        """Everything that must survive a restart, as JSON."""
        return {"made": self.made, "looks": self.looks, "seconds": self.seconds, "log": self._log.state()}

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._log.close()

    def _number(self, share: float) -> int:
        return int(self.points * share + 1e-9)
