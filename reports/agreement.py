"""Do the judges agree? The order of the rows by each two of them, and rows that they order otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from fesbench.metrics.explain import judge_of
from fesbench.statistics.intervals import cluster_sums
from fesbench.statistics.judges import JudgeTerm
from fesbench.statistics.paired import Difference, difference_of_means
from fesbench.statistics.significance import holm

from .boards import Board
from .ranking import SEED
from .table_model import Agreement, Dispute, Table

SCORES = ("ECS", "ECS-known")
"""What is compared between judges, the first that a judge has."""
LEVEL = 0.05


def agreements(board: Board, table: Table) -> list[Agreement]:
    """Each two judges on the rows that all have judged, but for the real images, which are no method's.

    Kendall's tau-b (Kendall 1945) of the rows' means, over the requests that every judge knows in every row.
    """
    values, subjects = _common(board, table, _columns(table))
    rows = list(next(iter(values.values()), {}))
    if len(values) < 2 or len(rows) < 2:
        return []
    titles = {row.id: row.title for row in table.rows}
    without = {m: {row.id: row.cells[m].without_judge for row in table.rows} for m in values}
    gaps = {metric: _differences(own, subjects, without[metric]) for metric, own in values.items()}
    signs = {metric: _significant(own) for metric, own in gaps.items()}
    found = []
    for first, second in combinations(values, 2):
        tau = _tau(*([values[metric][row].mean() for row in rows] for metric in (first, second)))
        disputes = tuple(
            _dispute(titles, pair, gaps[first][pair].value, gaps[second][pair].value)
            for pair in gaps[first]
            if signs[first][pair] * signs[second][pair] < 0
        )
        found.append(Agreement(first, second, tau, len(rows), disputes))
    return found


def mark_disputes(table: Table) -> None:
    """Say at the rank groups of two reliable judges which rows they order in opposite ways."""
    reliable = {column.style.name for column in table.columns if not column.unreliable}
    for agreement in table.agreements:
        if not {agreement.first, agreement.second} <= reliable:
            continue
        for dispute in agreement.disputes:
            others = {dispute.above: dispute.below, dispute.below: dispute.above}
            for row in (row for row in table.rows if row.title in others):
                for metric, judge in permutations((agreement.first, agreement.second)):
                    text = f"{judge} puts it on the other side of {others[row.title]}"
                    row.cells[metric].disputed += (text,)


def _columns(table: Table) -> list[str]:
    """One expression score a judge, in the table's order."""
    names = [column.style.name for column in table.columns]
    chosen: dict[str, str] = {}
    for score in SCORES:
        for name in names:
            if name.partition("[")[0] == score:
                chosen.setdefault(judge_of(name), name)
    return [name for name in names if name in chosen.values()]


def _common(
    board: Board, table: Table, metrics: Sequence[str]
) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Values by metric and row on the requests that every judge knows in every row, and their subjects."""
    parts: dict[tuple[str, str], pd.Series] = {}
    for row in table.rows:
        each = {metric: board.values(row.id, metric, table.task, table.domain) for metric in metrics}
        if row.id != "real" and all(values is not None for values in each.values()):
            parts |= {(metric, row.id): values for metric, values in each.items()}
    frame = pd.DataFrame(parts).dropna() if parts else pd.DataFrame()
    if frame.empty:
        return {}, np.array([])
    rows = list(dict.fromkeys(row for _, row in parts))
    values = {m: {row: frame[m, row].to_numpy(dtype=np.float64) for row in rows} for m in metrics}
    return values, board.requests.loc[frame.index, "identity"].to_numpy()


def _tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    from scipy.stats import kendalltau

    # Means of the same numbers may differ by their order of summation.
    found = float(kendalltau(np.round(first, 9), np.round(second, 9)).statistic)
    return None if math.isnan(found) else found


def _differences(
    values: dict[str, np.ndarray], subjects: np.ndarray, without: dict[str, tuple[float, ...]]
) -> dict[tuple[str, str], Difference]:
    """The paired difference of each two rows, over subjects and the judges of a panel."""
    sums = {row: cluster_sums(each, subjects) for row, each in values.items()}
    return {
        (a, b): difference_of_means(
            *sums[a], *sums[b], seed=SEED, judges=JudgeTerm.between(without[a], without[b], same=True)
        )
        for a, b in combinations(values, 2)
    }


def _significant(differences: dict[tuple[str, str], Difference]) -> dict[tuple[str, str], int]:
    """The direction of each difference, 0 where Holm's p over all of them is not below `LEVEL`."""
    p = holm([1.0 if math.isnan(found.p) else found.p for found in differences.values()])
    signs = [int(np.sign(found.value)) for found in differences.values()]
    return {pair: sign * (value < LEVEL) for pair, sign, value in zip(differences, signs, p, strict=True)}


def _dispute(titles: dict[str, str], pair: tuple[str, str], first: float, second: float) -> Dispute:
    """The pair in the order in which the first judge has it."""
    above, below = pair if first > 0 else pair[::-1]
    return Dispute(titles[above], titles[below], abs(first), -abs(second))
