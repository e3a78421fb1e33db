"""dlib's descriptors on several cores.

dlib's network takes some 75 ms a face on one core, gains nothing from batches and holds the interpreter's
lock; so faces are shared out to processes. The values are the same bits as in one process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.errors import FesbenchError
from fesbench.extractors.deepface_adapter import load_client
from fesbench.workers import WorkerPool, usable_cores

DIMENSION = 128
_TASK = 4
"""Chips a task: 0.3 s of work, so that the last task keeps no core waiting long."""


class WorkerError(FesbenchError):
    """A worker process that died or did not start."""


def default_processes() -> int:
    """One worker a usable core, 16 at most; ``FESBENCH_PROCESSES`` overrides it."""
    asked = os.environ.get("FESBENCH_PROCESSES", "").strip()
    return int(asked) if asked.isdigit() and int(asked) > 0 else max(1, min(usable_cores(), 16))


class Descriptors:
    """Chips to descriptors, in this process; the model is loaded on first use."""

    def __init__(self, weights: Path, home: Path) -> None:
        self._where = weights, home
        self._client: Any = None

    def __call__(self, chips: np.ndarray) -> np.ndarray:
        """uint8 (N, 150, 150, 3) RGB -> float64 (N, 128)."""
        self._client = self._client or load_client("Dlib", *self._where)
        return describe(self._client, chips)


def describe(client: Any, chips: np.ndarray) -> np.ndarray:
    """Descriptors through deepface's Dlib client.

    Args:
        client: deepface's DlibClient.
        chips: uint8 (N, 150, 150, 3) RGB.

    Returns:
        float64 (N, 128).
    """
    if len(chips) == 0:
        return np.zeros((0, DIMENSION))
    # The client takes BGR in [0, 1] and multiplies by 255; for whole values the way there and back is exact.
    scaled = chips[..., ::-1].astype(np.float32) / 255.0
    return np.asarray(client.forward(scaled), dtype=np.float64).reshape(len(chips), -1)


class DlibPool(WorkerPool[np.ndarray, np.ndarray]):
    """Worker processes that describe chips."""

    def __init__(self, weights: Path, home: Path, processes: int) -> None:
        super().__init__(
            Descriptors(weights, home),
            processes,
            worker="dlib worker process",
            alone="set FESBENCH_PROCESSES=1",
            error=WorkerError,
        )

    def describe(self, chips: np.ndarray) -> np.ndarray:
        """Descriptors of chips, uint8 (N, 150, 150, 3) -> float64 (N, 128).

        Raises:
            WorkerError: a worker died or did not start; all are ended, and the next call starts new ones.
        """
        starts = range(0, len(chips), _TASK)
        found = list(self.map(chips[start : start + _TASK] for start in starts))
        return np.concatenate([np.zeros((0, DIMENSION)), *found])
