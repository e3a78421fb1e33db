"""What a machine with a GPU is asked in one go, without a network, in a stated time.

    python -m tests.gpu_check --out gpu-check            # on one GPU, eight minutes, fesbench installed
    python -m tests.gpu_check --device cpu --quick       # the script itself, on a CPU, within three minutes

In this order: the tests marked ``gpu``; for every method ten steps of each phase at ``paper``, 128 px, and
what its synthesis costs over batch sizes (CUDA events); every extractor that is here on the CPU against the
GPU; then trainings of budget ``standard`` for as many methods as the measured steps say will fit, those first
that have no zoo file. Each part has its share of the time; what does not fit is named under ``left_out``, and
a training that is stopped resumes under ``--out`` by the same command. Writes ``OUT/gpu-check.json``, and
under ``OUT/checkpoints`` those that were asked for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fesbench.files import atomic_write_bytes
from fesbench.methods.base import Method
from fesbench.methods.card import Problem
from fesbench.methods.precision import exact_float32
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.records.environment import describe_environment
from fesbench.runs.zoo import zoo_cards
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import fake_store
from tests.gpu_parts import (
    FULL,
    QUICK,
    SHARES,
    Clock,
    Plan,
    at_most,
    compare_extractors,
    run_tests,
    told,
    try_method,
)
from tests.gpu_trainings import prepare, run_trainings, waiting

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
QUICK_METHODS = ("stargan", "pix2pix", "mean-shift")


def check(plan: Plan, device: str, out: Path, names: Sequence[str], kept: Sequence[str]) -> dict[str, Any]:
    """Everything, part by part; the file is written after each, so that a kill leaves what was done."""
    clock = Clock(60 * plan.minutes)
    report: dict[str, Any] = {"environment": describe_environment(device), "minutes": plan.minutes}
    ready = prepare(plan, out)

    def note(part: str, work: Callable[[], Any]) -> None:
        begin = time.monotonic()
        report[part] = work()
        report.setdefault("seconds", {})[part] = round(time.monotonic() - begin, 1)
        report["left_out"] = clock.left_out
        atomic_write_bytes(
            out / "gpu-check.json", (json.dumps(report, indent=1, default=float) + "\n").encode()
        )
        print(f"{part}: {report['seconds'][part]} s, {clock.left():.0f} s left", flush=True)

    note("tests", lambda: run_tests(plan, clock))
    problem = Problem(plan.size, EXPRESSIONS, UNITS, 0)
    store = fake_store(8, plan.size)
    view = TrainingSet(store, np.arange(48), problem, 0, unlabelled_rows=np.arange(48, 64))

    def every_method() -> dict[str, Any]:
        found = {}
        for number, name in enumerate(clock.fitting("methods", names, 3.0)):
            left = clock.left(SHARES["methods"])
            try:
                with exact_float32(), at_most(min(left, max(10.0, 4 * left / (len(names) - number)))):
                    found[name] = try_method(methods()[name], plan, view, device)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the others go on
                found[name] = {"error": told(error)}
            if device == "cuda":
                torch.cuda.empty_cache()
        return found

    note("methods", every_method)
    note("extractors", lambda: compare_extractors(_extractors(), clock, device))
    order = waiting([n for n in names if not methods()[n].card.reference], zoo_cards())

    def trainings() -> dict[str, Any]:
        try:
            ready.wait(max(0.0, clock.left() - plan.scoring))
        except subprocess.TimeoutExpired:
            ready.kill()
            clock.left_out["trainings"] = ["all: the protocol's data were not ready in time"]
            return {}
        return run_trainings(order, plan, report["methods"], clock, out, device)

    note("trainings", trainings)
    for name in kept:
        done = report["trainings"].get(name, {})
        if "folder" in done:
            (out / "checkpoints").mkdir(exist_ok=True)
            shutil.copy(
                Path(done["folder"]) / "checkpoint.safetensors", out / "checkpoints" / f"{name}.safetensors"
            )
    return report


def _extractors() -> list[str]:
    from fesbench.extractors.registry import BOUND, extractor_names, pair_names

    return [name for name in (*extractor_names(), *pair_names()) if name not in BOUND]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 where a test failed, a method broke or an extractor disagrees."""
    parser = argparse.ArgumentParser(description="Everything that needs a GPU, in one go.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="a few methods, narrow and small")
    parser.add_argument("--minutes", type=float, help="in all; default: 8, quick 2.5")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"))
    parser.add_argument(
        "--checkpoints", default="", help="methods whose checkpoints are copied, e.g. cgan,pix2pix"
    )
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --device cpu --quick proves the script")
    plan = QUICK if given.quick else FULL
    plan = replace(plan, minutes=given.minutes or plan.minutes)
    names = (
        QUICK_METHODS if given.quick else [n for n, k in methods().items() if k.phases is not Method.phases]
    )
    given.out.mkdir(parents=True, exist_ok=True)
    report = check(plan, given.device, given.out, names, [n for n in given.checkpoints.split(",") if n])
    broken = [
        name
        for part in ("methods", "extractors", "trainings")
        for name, f in report[part].items()
        if "error" in f
    ]
    apart = [name for name, f in report["extractors"].items() if f.get("agrees") is False]
    failed = report["tests"].get("failed_tests") or []
    print(f"{given.out / 'gpu-check.json'}: broken {broken}, apart {apart}, failed {failed}")
    return int(bool(broken or apart or failed))


if __name__ == "__main__":
    sys.exit(main())
