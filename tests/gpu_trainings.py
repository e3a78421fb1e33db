"""Trainings of `gpu_check`: as many as the measured steps say will fit, and their scores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fesbench.files import fesbench_home
from fesbench.methods.base import Method
from fesbench.methods.registry import methods
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.runs.cell import run_cell
from fesbench.runs.job import Job, shared_job
from tests.gpu_parts import Clock, Plan, at_most, told

SPARE = 1.25
"""A training is begun where this many times the measured steps fit."""
_PREPARE = """
import sys
from pathlib import Path
from fesbench.progress import Reporter
from fesbench.runs.job import shared_job
protocol, budget, size, out = sys.argv[1:]
shared_job(protocol, budget=budget, size=int(size), out=Path(out)).open_context(Reporter()).close()
"""


def prepare(plan: Plan, out: Path) -> subprocess.Popen[bytes]:
    """Make the protocol's data ready beside the other parts, which leave the CPU idle."""
    arguments = [plan.protocol, plan.budget, str(plan.size), str(out / "runs")]
    return subprocess.Popen([sys.executable, "-c", _PREPARE, *arguments])


def seconds_needed(steps: Mapping[str, int], step_ms: Mapping[str, float]) -> float | None:
    """Of a training, by the measured steps; None where a phase was not measured."""
    if set(steps) - set(step_ms):
        return None
    return sum(count * step_ms[name] / 1e3 for name, count in steps.items())


def waiting(names: Sequence[str], held: Iterable[str]) -> list[str]:
    """Those without a zoo file first; else as they come."""
    known = set(held)
    return sorted(names, key=lambda name: name in known)


def run_trainings(
    names: Sequence[str], plan: Plan, measured: Mapping[str, Any], clock: Clock, out: Path, device: str
) -> dict[str, Any]:
    """Cells of the protocol under the plan's budget, as many as fit: trained, scored, recorded."""
    job = shared_job(plan.protocol, budget=plan.budget, size=plan.size, out=out / "runs", device=device)
    context = job.open_context(Reporter())
    found: dict[str, Any] = {}
    try:
        for name in names:
            kind = methods()[name]
            made = replace(job, method=name, preset=plan.preset, train="always")
            steps = _steps(made, kind, plan, context)
            why = _hindrance(kind, plan, steps, measured.get(name, {}), clock)
            if why:
                clock.left_out.setdefault("trainings", []).append(f"{name}: {why}")
                continue
            try:
                with at_most(clock.left()):
                    record = run_cell(made, context, Reporter())
                found[name] = _summary(record, out / "runs" / record.cell.folder)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the others go on
                found[name] = {"error": told(error)}
    finally:
        context.close()
    return found


def _hindrance(
    kind: type[Method], plan: Plan, steps: Mapping[str, int], measured: Mapping[str, Any], clock: Clock
) -> str:
    """Why a training is not begun; "" where nothing speaks against it."""
    from fesbench.weights.manager import WeightsManager

    for helper in kind.helpers_of(kind.hyper_of(plan.preset)):
        if WeightsManager(fesbench_home()).available(helper):
            return f"needs weights {helper}"
    needed = seconds_needed(steps, measured.get("step_ms", {})) if "step_ms" in measured else None
    if needed is None:
        return "its steps were not measured"
    return "" if SPARE * needed + plan.scoring <= clock.left() else f"needs {needed / 60:.1f} min of training"


def _steps(job: Job, kind: type[Method], plan: Plan, context: Any) -> dict[str, int]:
    """Calls by phase that is trained step by step."""
    from fesbench.protocol.training_rows import problem_of
    from fesbench.runs.cell import training_set

    problem = problem_of(context.protocol, context.store, context.split, job.seed)
    phases = kind(problem, kind.hyper_of(plan.preset)).phases()
    view = training_set(context, problem, job.seed)
    budget = context.protocol.budget
    steps = parse_budget(plan.budget).phase_steps(
        phases,
        budget.standard_steps,
        lambda phase: view.examples(phase, kind.card.needs),
        budget.short_smokes,
    )
    return {phase.name: steps[phase.name] for phase in phases if not phase.closed_form}


def _summary(record: Any, folder: Path) -> dict[str, Any]:
    scores = {
        s.metric: s.value
        for s in record.scores
        if (s.task, s.domain, s.expression) == ("expression", "in", "all") and s.value is not None
    }
    return {"folder": str(folder), "status": record.status, "steps": record.steps, "scores": scores}
