"""Is a run dearer than its baseline? Counts are held against counts, speeds by their ratio to a yardstick.

Times of two machines, or of one machine on two days, are never compared. Each run times a fixed workload
(:mod:`fesbench.evaluation.cost_reference`) before and after its method on the same device; what is judged is
the method's speed in units of that workload's. The two ends of the yardstick and the quartiles of the
method's own steps give the interval of the ratio: on an unsteady machine it is wide, and the build passes.
"""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence

from fesbench.gate.snapshot import CostSummary
from fesbench.gate.tolerance import Tolerances
from fesbench.gate.verdict import COST, Status, Verdict, judged

COUNTS = ("parameters", "parameters_synthesis", "flops")
SPEEDS = {"images_per_second": True, "latency_p50_ms": False}
"""Timed costs, and whether higher is better."""
MEMORY = "memory_mb"
ALLOCATED = "cuda-allocated-peak"
SHORTEST_STEP = 1e-3
"""Seconds of one step below which a speed is that of the interpreter and is not judged."""

Costs = Sequence[CostSummary]


def judge_cost(new: Costs, old: Costs, tolerances: Tolerances) -> tuple[list[Verdict], list[str]]:
    """Verdicts on the costs of a run, the median over its seeds, and what was not judged.

    Args:
        new, old: one record's cost a seed; empty where nothing was measured.
        tolerances: what is allowed.
    """
    if not old:
        return [], []
    if not new:
        return [
            _refused(name, tolerances, "missing", "no cost was measured") for name in (*COUNTS, *SPEEDS)
        ], []
    found = [_counted(name, new, old, tolerances) for name in COUNTS]
    device = _unlike_devices(new, old)
    notes = []
    for name, higher in SPEEDS.items():
        if device:
            found.append(_refused(name, tolerances, "not comparable", device))
        elif max(_step(name, cost) for cost in (*new, *old)) < SHORTEST_STEP:
            notes.append(f"{name} is not judged: a step takes under {1e3 * SHORTEST_STEP:g} ms")
        else:
            found.append(_timed(name, higher, new, old, tolerances))
    if {cost.memory_kind for cost in (*new, *old)} != {ALLOCATED}:
        notes.append("memory is judged on a GPU alone: a process's resident peak depends on what ran before")
    elif device:
        found.append(_refused(MEMORY, tolerances, "not comparable", device))
    else:
        found.append(_counted(MEMORY, new, old, tolerances))
    return found, notes


def _refused(name: str, tolerances: Tolerances, status: Status, reason: str) -> Verdict:
    return Verdict(COST, "", "", name, status, None, None, tolerance=tolerances.cost[name], reason=reason)


def _counted(name: str, new: Costs, old: Costs, tolerances: Tolerances) -> Verdict:
    """A count that every machine finds alike."""
    before, after = (float(plain.median(float(getattr(cost, name)) for cost in side)) for side in (old, new))
    # a closed-form method may count no operations at all
    change = (after - before) / max(before, 1.0)
    made = Verdict(COST, "", "", name, "same", before, after, change, change, change, tolerances.cost[name])
    return judged(made, higher_is_better=False)


def _unlike_devices(new: Costs, old: Costs) -> str:
    """In what two devices differ, in words; "" where they are of one kind."""
    for key in ("device", "threads"):
        there, here = ({str(getattr(cost, key)) for cost in side} for side in (old, new))
        if there != here:
            return f"device: {key} '{', '.join(sorted(there))}' against '{', '.join(sorted(here))}'"
    workloads = {
        "" if cost.reference is None or not cost.quartiles else cost.reference.workload
        for cost in (*new, *old)
    }
    if "" in workloads:
        return "device: a record was made without the reference workload; measure its cost again"
    if len(workloads) > 1:
        return f"device: other reference workloads: {', '.join(sorted(workloads))}"
    return ""


def _timed(name: str, higher: bool, new: Costs, old: Costs, tolerances: Tolerances) -> Verdict:
    """A speed in units of the reference workload's, with the interval that its two ends span."""
    batch = _common_batch([*new, *old])
    before, after = _ratios(name, batch, old), _ratios(name, batch, new)
    change, low, high = after[0] / before[0], after[1] / before[2], after[2] / before[1]
    return judged(
        Verdict(
            COST, "", "", name, "same", before[0], after[0], change=change - 1, low=low - 1, high=high - 1,
            tolerance=tolerances.cost[name],
        ),
        higher_is_better=higher,
    )  # fmt: skip


def _step(name: str, cost: CostSummary) -> float:
    """Seconds of the steps that a speed was taken from."""
    if name == "latency_p50_ms":
        return cost.latency_p50_ms / 1e3
    return max(size / rate for size, rate in cost.images_per_second.items())


def _common_batch(costs: Costs) -> int:
    """The largest batch size that every record was timed at; one image always is."""
    return max(set.intersection(*(set(cost.images_per_second) & set(cost.quartiles) for cost in costs)))


def _ratios(name: str, batch: int, costs: Costs) -> tuple[float, float, float]:
    """Median over seeds of cost / reference, with its lowest and highest."""
    found = []
    for cost in costs:
        if cost.reference is None:
            raise ValueError("a speed is judged only where the reference workload was timed")
        ends = [float(getattr(end, name)) for end in (cost.reference.before, cost.reference.after)]
        own, (low, high) = cost.images_per_second[batch], cost.quartiles[batch]
        if name == "latency_p50_ms":
            own, low, high = cost.latency_p50_ms, 1e3 / cost.quartiles[1][1], 1e3 / cost.quartiles[1][0]
        found.append((own / plain.mean(ends), low / max(ends), high / min(ends)))
    middle, lowest, highest = (plain.median(column) for column in zip(*found, strict=True))
    return middle, lowest, highest
