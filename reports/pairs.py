"""Every two rows of a table, paired: what the page compares, and how the difference spreads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fesbench.statistics.intervals import cluster_sums
from fesbench.statistics.judges import NO_JUDGES, JudgeTerm
from fesbench.statistics.paired import difference_of_means

from .boards import Board
from .ranking import SEED, common_values
from .table_model import Column, Row, Table

MOST_DOTS = 200
"""Of more subjects (or images), an even choice from lowest to highest stands in the figure."""


@dataclass(frozen=True)
class Pair:
    """``a - b`` on the requests that are valid for both.

    Attributes:
        value, low, high: the mean difference and its 95 % interval; None where the subjects allow none.
        requests: how many.
        higher, lower, people: of how many subjects a is higher and lower, of how many.
        dots: differences of the subjects' means, from lowest to highest, at most `MOST_DOTS`.
    """

    value: float
    low: float | None
    high: float | None
    requests: int
    higher: int
    lower: int
    people: int
    dots: list[float]


def pairs(board: Board, table: Table) -> dict[str, dict[tuple[str, str], Pair]]:
    """By metric and by two rows' ids: the estimator of rank groups and of ``fesbench compare``.

    Metrics without values per request have none, and neither have rows with fewer than half of them valid.
    """
    found: dict[str, dict[tuple[str, str], Pair]] = {}
    for column in table.columns:
        if not column.style.direction or column.unreliable:
            continue
        rows = [row for row in table.rows if row.cells[column.style.name].value is not None]
        made = {(a.id, b.id): _pair(board, table, column, a, b) for a, b in combinations(rows, 2)}
        if kept := {key: pair for key, pair in made.items() if pair is not None}:
            found[column.style.name] = kept
    return found


def _pair(board: Board, table: Table, column: Column, a: Row, b: Row) -> Pair | None:
    metric = column.style.name
    values, identities = common_values(board, [a.id, b.id], metric, table.task, table.domain)
    if len(values) < 2:
        return None
    (sums_a, counts), (sums_b, _) = (cluster_sums(values[row.id], identities) for row in (a, b))
    panels = a.cells[metric].without_judge, b.cells[metric].without_judge
    judges = JudgeTerm.between(*panels, same=True) if len(panels[0]) == len(panels[1]) else NO_JUDGES
    test = difference_of_means(sums_a, counts, sums_b, counts, seed=SEED, judges=judges)
    dots = np.sort((sums_a - sums_b) / counts)
    if len(dots) > MOST_DOTS:
        dots = dots[np.linspace(0, len(dots) - 1, MOST_DOTS).round().astype(int)]
    low, high = (None, None) if math.isnan(test.low) else (test.low, test.high)
    return Pair(
        test.value, low, high, len(identities), test.higher, test.lower, test.people,
        [float(f"{dot:.4g}") for dot in dots],
    )  # fmt: skip
