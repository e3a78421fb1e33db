"""The gate: is a run worse than its baseline? For continuous integration.

A score is worse only where the whole 95 % interval of the paired change lies beyond the tolerance on the bad
side, so that the noise of few subjects never fails a build; improved likewise. Where several seeds were
trained, the interval is widened by their spread, because a new training is a new draw. What was not measured
alike is "not comparable", and never taken for the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fesbench.errors import EXIT_NOT_COMPARABLE, EXIT_OK, EXIT_WORSE
from fesbench.gate.collect import open_row
from fesbench.gate.comparison import Compared, compare_snapshots
from fesbench.gate.cost import judge_cost
from fesbench.gate.snapshot import Snapshot
from fesbench.gate.tolerance import Tolerances, load_tolerances
from fesbench.gate.verdict import Status, Verdict, judged

ORDER: tuple[Status, ...] = ("worse", "not comparable", "missing", "improved", "same")


@dataclass(frozen=True)
class GateReport:
    """Every verdict of one check.

    Attributes:
        run, baseline: What was held against what.
        verdicts: Worst first.
        notes: What was not judged, and what a reader must know.
    """

    run: Snapshot
    baseline: Snapshot
    verdicts: list[Verdict]
    notes: list[str]

    @property
    def counts(self) -> dict[Status, int]:
        """How many verdicts of each kind, in ORDER."""
        found = Counter(verdict.status for verdict in self.verdicts)
        return {status: found[status] for status in ORDER}

    @property
    def exit_code(self) -> int:
        """3 something worse; 5 nothing worse but something that could not be judged; else 0."""
        counts = self.counts
        if counts["worse"]:
            return EXIT_WORSE
        return EXIT_NOT_COMPARABLE if counts["not comparable"] + counts["missing"] else EXIT_OK

    @property
    def result(self) -> Literal["ok", "worse", "not comparable"]:
        """The exit code in words."""
        return {EXIT_OK: "ok", EXIT_WORSE: "worse"}.get(self.exit_code, "not comparable")  # type: ignore[return-value]


def check(
    run: Path | str | Snapshot,
    against: Path | str | Snapshot,
    *,
    tolerance: Path | str | Tolerances | None = None,
    method: str | None = None,
) -> GateReport:
    """Hold a run against a baseline; the same as ``fesbench check RUN --against FILE``.

    Args:
        run: a record's folder, a folder of records, or a snapshot.
        against: a baseline file, another record's folder, or a snapshot.
        tolerance: a TOML file, or tolerances; default: :func:`fesbench.gate.tolerance.default_tolerance`.
        method: which method of the folder.

    Raises:
        NotComparableError: the two have other presets.
        FesbenchError: a file is absent, damaged or wrong.
    """
    new = run if isinstance(run, Snapshot) else open_row(Path(run), method)
    old = against if isinstance(against, Snapshot) else open_row(Path(against), method)
    if not isinstance(tolerance, Tolerances):
        names = {score.metric for side in (new, old) for score in side.figures}
        tolerance = load_tolerances(Path(tolerance), names) if tolerance is not None else Tolerances()
    verdicts, notes = _judge_metrics(new, old, tolerance)
    costs, more = judge_cost(new.cost, old.cost, tolerance)
    verdicts += [verdict for verdict in costs if verdict.metric not in tolerance.ignore]
    notes += more
    if new.cell.method != old.cell.method:
        notes.insert(0, f"the baseline is of {old.cell.method}, the run of {new.cell.method}")
    if tolerance.ignore:
        notes.append(f"ignored: {', '.join(sorted(tolerance.ignore))}")
    return GateReport(new, old, sorted(verdicts, key=lambda v: ORDER.index(v.status)), notes)


def _judge_metrics(new: Snapshot, old: Snapshot, tolerances: Tolerances) -> tuple[list[Verdict], list[str]]:
    found, undirected, unseen, doubted = [], set(), set(), set()
    figures = (*old.figures, *new.figures)
    unreliable = {score.key: score.unreliable for score in figures if score.unreliable}
    for row in compare_snapshots(new, old, expressions=tolerances.expressions).rows:
        if row.metric in tolerances.ignore:
            continue
        if not row.direction:
            undirected.add(row.metric)
        elif row.key in unreliable:
            doubted.add(f"{row.task} {row.domain} {row.metric} ({unreliable[row.key]})")
        elif row.b is None:
            unseen.add(f"{row.task} {row.domain} {row.metric}")
        else:
            found.append(_judge(row, tolerances, (len(new.seeds), len(old.seeds))))
    notes = []
    if undirected:
        notes.append(f"not judged, no better or worse is known: {', '.join(sorted(undirected))}")
    if doubted:
        notes.append(f"not judged: {', '.join(sorted(doubted))}")
    if unseen:
        notes.append(f"not in the baseline: {', '.join(sorted(unseen))}")
    return found, notes


def _judge(row: Compared, tolerances: Tolerances, seeds: tuple[int, int]) -> Verdict:
    assert row.b is not None  # rows without a score in the baseline are not judged
    allowed = tolerances.of(row.metric).of(row.b)
    bare = Verdict(*row.key, "not comparable", row.b, row.a, tolerance=allowed, reason=row.reason)
    if row.difference is None:
        return replace(bare, status="missing") if row.status == "missing" else bare
    change = row.difference.value
    if row.status == "no interval":
        # beyond the tolerance whether it is noise is not known; within it that does not matter
        return replace(bare, change=change, status="same" if abs(change) <= allowed else "not comparable")
    margin = seed_margin((row.seed_sd_a, row.seed_sd_b), seeds)
    low = change - math.hypot(change - row.difference.low, margin)
    high = change + math.hypot(row.difference.high - change, margin)
    verdict = replace(bare, change=change, low=low, high=high)
    return judged(verdict, higher_is_better=row.direction == "higher")


def seed_margin(spreads: Sequence[float | None], seeds: tuple[int, int], level: float = 0.95) -> float:
    """Half-width of Student's interval for a difference of means over seeds, from their pooled spread.

    0 where both sides have one seed: nothing is known of the spread then.

    Args:
        spreads: standard deviation over the seeds of each side, None for a single one.
        seeds: how many each side has.
        level: coverage.
    """
    freedom = sum(n - 1 for n in seeds)
    if freedom == 0:
        return 0.0
    from scipy.special import stdtrit

    variance = sum((n - 1) * (sd or 0.0) ** 2 for sd, n in zip(spreads, seeds, strict=True)) / freedom
    error = math.sqrt(variance * sum(1 / n for n in seeds))
    return float(stdtrit(freedom, (1 + level) / 2)) * error
