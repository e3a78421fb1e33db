"""The parts of `gpu_check`: how much is done, in which time, what is measured of methods and extractors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fesbench.evaluation.cost import measure_cost
from fesbench.files import fesbench_home
from fesbench.methods.base import Method
from fesbench.methods.conditions import label_requests
from fesbench.methods.training_set import TrainingSet
from fesbench.training.loop import train
from tests.factories import fake_store, random_helpers

ROOT = Path(__file__).resolve().parents[1]
SHARES = {"tests": 0.2, "methods": 0.55, "extractors": 0.65}
"""Up to which share of the time a part may go on; trainings have the rest."""
GRACE = 5.0
"""Seconds for a training to end its step and save before it is interrupted for good."""
AGREE = 1e-4
"""Largest difference of features, in units of the largest value where that is above 1."""


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    minutes: float
    preset: str
    size: int
    steps: int
    batches: tuple[int, ...]
    cost_seconds: float
    protocol: str
    budget: str
    scoring: float
    """Seconds for synthesis and scores behind a training."""
    tests: tuple[str, ...]


FULL = Plan(8.0, "paper", 128, 10, (1, 8, 32, 128), 1.5, "avatars", "standard", 45.0, ("tests",))
QUICK = Plan(
    2.5,
    "tiny",
    32,
    2,
    (1, 2),
    0.1,
    str(ROOT / "tests" / "protocols" / "pixels@1.toml"),
    "steps=2",
    10.0,
    ("tests/evaluation/test_cost.py",),
)


@dataclass
class Clock:
    """The time that is left; what does not fit is written down."""

    seconds: float
    started: float = field(default_factory=time.monotonic)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def left(self, share: float = 1.0) -> float:
        """Seconds until this share of the time is spent."""
        return self.started + share * self.seconds - time.monotonic()

    def fitting(self, part: str, names: Iterable[str], least: float) -> Iterator[str]:
        """Those names for which ``least`` seconds of the part's time are left when they come up."""
        for name in names:
            if self.left(SHARES[part]) > least:
                yield name
            else:
                self.left_out.setdefault(part, []).append(name)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Interrupt the block as Ctrl-C does when the time is over."""
    over = threading.Event()

    def interrupt() -> None:
        wait = max(seconds, 0.1)
        while not over.wait(wait):
            os.kill(os.getpid(), signal.SIGINT)
            wait = GRACE

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def told(error: BaseException) -> str:
    """An error in one line, for the file."""
    kind = "stopped: its time was over" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    return f"{kind}: {str(error).strip().splitlines()[-1]}" if str(error).strip() else kind


def run_tests(plan: Plan, clock: Clock) -> dict[str, Any]:
    """The tests marked ``gpu``, in a process of their own."""
    options = ["-o", "addopts=", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *plan.tests]
    limit = max(5.0, clock.left(SHARES["tests"]))
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        clock.left_out["tests"] = [f"the tests marked gpu took more than {limit:.0f} s"]
        return {"exit": None}
    lines = done.stdout.strip().splitlines()
    counts = {
        word: int(n)
        for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1] if lines else "")
    }
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"exit": done.returncode, **counts, "failed_tests": failed}


def try_method(kind: type[Method], plan: Plan, view: TrainingSet, device: str) -> dict[str, Any]:
    """Ten steps of each phase through the training loop, then the cost of synthesis."""
    lacking = view.lacks(kind.card)
    if lacking:
        return {"not_applicable": lacking}
    method = kind(view.problem, kind.hyper_of(plan.preset))
    method.helpers.load_with(random_helpers(0))
    taken: dict[str, list[float]] = {}
    step_once = method.training_step

    def timed(phase: Any, batch: Any, step: int) -> Any:
        begin = _now(device)
        found = step_once(phase, batch, step)
        taken.setdefault(phase.name, []).append(_now(device) - begin)
        return found

    method.training_step = timed  # type: ignore[method-assign]
    phases = method.phases()
    steps = {phase.name: 1 if phase.closed_form else plan.steps for phase in phases}
    found: dict[str, Any] = {"fit_seconds": None, "step_ms": {}}
    if phases:
        with tempfile.TemporaryDirectory() as folder:
            result = train(method, view, steps=steps, folder=Path(folder), seed=0, device=device)
        found["fit_seconds"] = round(result.seconds, 2)
    # the first half warms up
    found["step_ms"] = {
        name: 1e3 * float(np.median(times[len(times) // 2 :])) for name, times in taken.items()
    }
    method.to(device)
    rows = np.arange(max(plan.batches)) % len(view.rows)
    requests = label_requests(view, view.rows[rows], [1])
    found["cost"] = measure_cost(
        method, lambda n: requests[:n], batch_sizes=plan.batches, time_limit=plan.cost_seconds
    ).as_dict()
    return found


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def compare_extractors(names: Sequence[str], clock: Clock, device: str) -> dict[str, Any]:
    """The largest difference between features on the CPU and on the device, of sixteen faces."""
    from fesbench.extractors.registry import EXTRACTORS
    from fesbench.weights.manager import WeightsManager

    store, manager = fake_store(2, 128), WeightsManager(fesbench_home())
    images, landmarks = store.images, store.manifest.landmarks
    found: dict[str, Any] = {}
    for name in clock.fitting("extractors", names, 3.0):
        try:
            kind: Any = EXTRACTORS.get(name)
            here, there = kind(manager, "cpu"), kind(manager, device)
            if reason := here.available():
                found[name] = {"not_available": reason}
                continue
            values = [
                e.compare(images[:8], images[8:]) if e.pairs else e.extract(images, landmarks)[0]
                for e in (here, there)
            ]
            scale = max(1.0, float(np.abs(values[0]).max()))
            difference = float(np.abs(values[0] - values[1]).max())
            found[name] = {"difference": difference, "scale": scale, "agrees": difference <= AGREE * scale}
        except Exception as error:  # noqa: BLE001 - one that breaks is a finding; the others go on
            found[name] = {"error": told(error)}
    return found
