"""Two rows side by side: paired differences, intervals, p-values, and how many subjects improve.

Scores are compared only where their comparison keys agree; which judges are comparable
:mod:`fesbench.records.judges` says. Each score is paired over subjects and judges; the spread over training
seeds is another source of change and is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fesbench.errors import EXIT_NOT_COMPARABLE, EXIT_OK, NotComparableError
from fesbench.gate.collect import open_row
from fesbench.gate.snapshot import RowScore, Snapshot
from fesbench.metrics.explain import card_of, explain_difference
from fesbench.records.judges import FIELD as JUDGES
from fesbench.records.judges import differing, judge_term, judges_in_words
from fesbench.records.replicates import ScoreKey
from fesbench.statistics.paired import (
    Difference,
    difference_of_deleted,
    difference_of_draws,
    difference_of_means,
)
from fesbench.statistics.significance import holm

SEED = 0
_GAPS = "no paired interval: without some subjects one of the rows has no score"
Direction = Literal["higher", "lower", ""]
Status = Literal["compared", "no interval", "not comparable", "missing"]


@dataclass(frozen=True)
class Compared:
    """One score of both rows.

    Attributes:
        direction: Which way is better; "" for a metric that is not known here.
        a, b: The scores over all seeds; None where there is none.
        difference: a - b with its interval; NaN bounds under "no interval", None where nothing is compared.
        p_adjusted: Holm's p over all scores of the comparison; NaN where there is no p.
        seed_sd_a, seed_sd_b: Standard deviation over training seeds; None for a single seed.
        reason: Why there is no comparison or no interval.
    """

    task: str
    domain: str
    expression: str
    metric: str
    direction: Direction
    status: Status
    a: float | None
    b: float | None
    difference: Difference | None = None
    p_adjusted: float = float("nan")
    seed_sd_a: float | None = None
    seed_sd_b: float | None = None
    reason: str = ""

    @property
    def key(self) -> ScoreKey:
        """Task, domain, expression, metric."""
        return self.task, self.domain, self.expression, self.metric

    @property
    def improved(self) -> int:
        """How many subjects are better under a."""
        if self.difference is None or not self.direction:
            return 0
        return self.difference.higher if self.direction == "higher" else self.difference.lower


@dataclass(frozen=True)
class Comparison:
    """All scores of two rows."""

    a: Snapshot
    b: Snapshot
    rows: list[Compared]

    @property
    def exit_code(self) -> int:
        """0, or 5 where scores were not comparable."""
        refused = any(row.status == "not comparable" for row in self.rows)
        return EXIT_NOT_COMPARABLE if refused else EXIT_OK


def compare(
    a: Path | str | Snapshot,
    b: Path | str | Snapshot,
    *,
    methods: tuple[str, str] | None = None,
    expressions: bool = True,
) -> Comparison:
    """Compare two rows; the same as ``fesbench compare A B``.

    Args:
        a, b: records' folders, baseline files, or snapshots; with ``methods``, a runs folder each.
        methods: which method of each folder.
        expressions: also scores of single expressions.

    Raises:
        NotComparableError: the rows have other presets, or no score that both have is comparable.
        FesbenchError: something is absent or damaged.
    """
    chosen = methods or (None, None)
    sides = [
        side if isinstance(side, Snapshot) else open_row(Path(side), method)
        for side, method in zip((a, b), chosen, strict=True)
    ]
    found = compare_snapshots(sides[0], sides[1], expressions=expressions)
    refused = [row for row in found.rows if row.status == "not comparable"]
    if refused and not any(row.status in ("compared", "no interval") for row in found.rows):
        raise NotComparableError(
            f"{found.a.name} and {found.b.name} are not comparable: {refused[0].reason} "
            f"(in {refused[0].metric} and {len(refused) - 1} more scores)"
        )
    return found


def compare_snapshots(a: Snapshot, b: Snapshot, *, expressions: bool = True) -> Comparison:
    """Compare every score that either row has.

    Raises:
        NotComparableError: the rows have other presets.
    """
    _check_presets(a, b)
    subjects = sorted({*a.people, *b.people})
    left, right = a.by_key(), b.by_key()
    rows = []
    for key in {**left, **right}:
        if expressions or key[2] == "all":
            mine, yours = left.get(key), right.get(key)
            if (mine is not None and mine.values) or (yours is not None and yours.values):
                rows.append(_compare(key, mine, yours, (a.people, b.people, subjects)))
    return Comparison(a, b, _with_holm(rows))


def _check_presets(a: Snapshot, b: Snapshot) -> None:
    from fesbench.records.record import EXTERNAL, REFERENCE

    presets = {a.cell.preset, b.cell.preset} - {REFERENCE, EXTERNAL}
    if len(presets) > 1:
        raise NotComparableError(
            f"{a.name} and {b.name} are not comparable: preset '{a.cell.preset}' against '{b.cell.preset}'; "
            "sizes of a method are never mixed in a table"
        )


def _compare(
    key: ScoreKey, a: RowScore | None, b: RowScore | None, subjects: tuple[list[str], list[str], list[str]]
) -> Compared:
    task, domain, expression, metric = key
    row = Compared(
        task=task,
        domain=domain,
        expression=expression,
        metric=metric,
        direction=direction_of(metric),
        status="compared",
        a=None if a is None else a.value,
        b=None if b is None else b.value,
        seed_sd_a=_seed_sd(a),
        seed_sd_b=_seed_sd(b),
    )
    if a is None or b is None or row.a is None or row.b is None:
        side, other = ("first", a) if a is None or row.a is None else ("second", b)
        why = other.reason if other is not None else "there is no such score"
        return replace(row, status="missing", reason=f"not in the {side} row: {why}")
    refused = _refused(a, b)
    if a.given != b.given:
        refused.append(f"what the task grants (given): '{a.given}' against '{b.given}'")
    if refused:
        return replace(row, status="not comparable", reason="; ".join(refused))
    difference, reason = _difference(row.a - row.b, a, b, subjects)
    status: Status = "no interval" if reason else "compared"
    return replace(row, difference=difference, status=status, reason=reason)


def _refused(a: RowScore, b: RowScore) -> list[str]:
    """Why two scores are not comparable, a sentence a field."""
    fields = differing(a, b)
    if fields == (JUDGES,):
        return [f"judge: {judges_in_words(a, b)}"]
    return explain_difference(a.signature, b.signature) if fields else []


def _difference(
    value: float, a: RowScore, b: RowScore, subjects: tuple[list[str], list[str], list[str]]
) -> tuple[Difference, str]:
    """The paired difference, and why it has no interval."""
    nan = float("nan")
    bare = Difference(value, nan, nan, nan, 0, 0, 0, "none")
    if a.sums is not None and a.counts is not None and b.sums is not None and b.counts is not None:
        mine, yours, both = subjects
        found = difference_of_means(
            _aligned(a.sums, mine, both),
            _aligned(a.counts, mine, both),
            _aligned(b.sums, yours, both),
            _aligned(b.counts, yours, both),
            seed=SEED,
            judges=judge_term(a, b),
        )
        return found, "" if np.isfinite(found.low) else "no paired interval: one subject allows none"
    if a.replicates is None or b.replicates is None:
        return bare, "no paired interval: a record holds neither values per image nor replicates"
    if (a.kind, a.resampled, len(a.replicates)) != (b.kind, b.resampled, len(b.replicates)):
        return bare, "no paired interval: the two scores stand on other subjects"
    draws = [np.array(side.replicates, dtype=np.float64) for side in (a, b)]
    pair = difference_of_deleted if a.kind == "delete-one-identity" else difference_of_draws
    found = pair(value, draws[0], draws[1], clusters=a.identities, judges=judge_term(a, b))
    # A verdict on NaN would read as "same".
    return found, "" if np.isfinite(found.low + found.high) else _GAPS


def _aligned(column: Sequence[float], own: Sequence[str], both: Sequence[str]) -> np.ndarray:
    """One subject's entry at that subject's place among the subjects of both rows; 0 for the others."""
    found = np.zeros(len(both))
    found[np.searchsorted(np.array(both), np.array(own))] = column
    return found


def _seed_sd(score: RowScore | None) -> float | None:
    if score is None or len(score.values) < 2:
        return None
    return float(np.std(score.values, ddof=1))


def _with_holm(rows: list[Compared]) -> list[Compared]:
    tested = [
        (place, row.difference.p)
        for place, row in enumerate(rows)
        if row.difference is not None and np.isfinite(row.difference.p)
    ]
    adjusted = holm([p for _, p in tested]) if tested else np.array([])
    rows = list(rows)
    for (place, _), p in zip(tested, adjusted, strict=True):
        rows[place] = replace(rows[place], p_adjusted=float(p))
    return rows


def direction_of(metric: str) -> Direction:
    """Which way a metric is better; "" where it is not registered here."""
    card = card_of(metric)
    return "" if card is None else card.direction
