"""How many test subjects a difference of a given size needs, from the variance that a record holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from fesbench.errors import NotComparableError, RecordError, UnknownNameError
from fesbench.gate.collect import open_rows
from fesbench.gate.snapshot import RowScore, Snapshot
from fesbench.metrics.explain import card_of, explain_difference
from fesbench.records.judges import differing
from fesbench.statistics.power import POWER, smallest_effect, subjects_needed

ALONE = "two unpaired rows as spread as this one: an upper bound"


@dataclass(frozen=True)
class Need:
    """What a pair of rows needs.

    Attributes:
        a, b: the rows; ``b`` is `ALONE` where one row alone tells the spread.
        difference: a - b here; NaN for one row.
        sd: of the difference over subjects.
        subjects: how many there are here.
        needed: for the effect that was asked about.
        smallest: the smallest effect that those here show.
    """

    a: str
    b: str
    difference: float
    sd: float
    subjects: int
    needed: int
    smallest: float


def power(
    place: Path,
    metric: str,
    effect: float,
    *,
    protocol: str | None = None,
    methods: tuple[str, str] | None = None,
    task: str = "expression",
    domain: str = "in",
    chance: float = POWER,
) -> list[Need]:
    """What each pair of rows needs, the one that needs most first; one row alone gives an upper bound.

    Args:
        place: a record's folder, a folder of records, or a baseline file.
        metric: a column.
        effect: the difference, in the record's own unit (0.05 for 5 points of a share).
        protocol: only its records, such as "avatars" or "avatars@1+size=64".
        methods: only these two rows.
        task, domain: which of the metric's scores.
        chance: the power.

    Raises:
        RecordError: no records.
        UsageError: rows of several protocols; an effect of 0; a method that is not there.
        NotComparableError: the rows' scores are not comparable.
    """
    rows = open_rows(place, protocol, methods)
    key = (task, domain, "all", metric)
    scored = [(row, row.by_key()[key]) for row in rows if key in row.by_key() and row.by_key()[key].values]
    if not scored:
        known = {found.metric for row in rows for found in row.figures if found.values}
        if metric not in known:
            raise UnknownNameError("score", metric, known)
        raise RecordError(f"{metric} has no score in task {task}, domain {domain} below {place}")
    found = [_need(*pair, effect, chance) for pair in _pairs(scored)]
    return sorted(found, key=lambda need: -need.needed)


def in_record_units(metric: str, effect: float) -> float:
    """An effect as a reader states it (points of a share) in the unit of records.

    >>> in_record_units("ECS", 5.0), in_record_units("PSNR", 5.0)
    (0.05, 5.0)
    """
    card = card_of(metric)
    return effect / 100 if card is not None and card.unit == "fraction" else effect


Scored = tuple[Snapshot, RowScore]


def _pairs(rows: list[Scored]) -> Iterator[tuple[Scored, Scored | None]]:
    if len(rows) == 1:
        yield rows[0], None
    yield from combinations(rows, 2)


def _need(a: Scored, b: Scored | None, effect: float, chance: float) -> Need:
    # Two panels within the judges' error are two draws of one thing, here as in `compare`.
    if b is not None and differing(a[1], b[1]):
        odd = explain_difference(a[1].signature, b[1].signature)[0]
        raise NotComparableError(f"{a[0].name} and {b[0].name} are not comparable: {odd}")
    parts = [_residuals(*side) for side in (a, b) if side is not None]
    people = sorted(set.intersection(*(set(part) for part in parts)))
    if len(people) < 2:
        raise RecordError(
            f"{a[0].name}: a variance needs two subjects or more (in both rows), not {len(people)}"
        )
    values = [np.array([part[who] for who in people]) for part in parts]
    spread = values[0] - values[1] if b is not None else math.sqrt(2) * values[0]
    sd = float(spread.std(ddof=1))
    if sd == 0:
        raise RecordError(f"{a[1].metric} does not vary over the subjects of {a[0].name}")
    value, other = a[1].value or 0.0, float("nan") if b is None else b[1].value or 0.0
    return Need(
        a=a[0].cell.method,
        b=ALONE if b is None else b[0].cell.method,
        difference=value - other,
        sd=sd,
        subjects=len(people),
        needed=subjects_needed(effect, sd, power=chance),
        smallest=smallest_effect(sd, len(people), power=chance),
    )


def _residuals(row: Snapshot, score: RowScore) -> dict[str, float]:
    """What each subject adds to the score: its share of a mean, or its jackknife pseudo-value.

    Raises:
        RecordError: the record holds neither values nor delete-one replicates.
    """
    if score.sums is not None and score.counts is not None:
        sums, counts = np.array(score.sums), np.array(score.counts, dtype=np.float64)
        there = counts > 0
        share = (sums - float(score.value or 0.0) * counts) * there.sum() / counts.sum()
        return {who: float(x) for who, x, known in zip(row.people, share, there, strict=True) if known}
    deleted = np.array(score.replicates or [], dtype=np.float64)
    if score.kind != "delete-one-identity" or len(deleted) != score.identities:
        raise RecordError(
            f"{score.metric} of {row.name} holds no value of each subject; ask for another, such as ECS"
        )
    pseudo = -(len(deleted) - 1) * deleted
    return {f"{score.resampled} {place}": float(x) for place, x in enumerate(pseudo)}
