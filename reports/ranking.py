"""Rank groups, average ranks, the test against ``real``, and the drop out of distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fesbench.statistics import significance
from fesbench.statistics.intervals import FEW_CLUSTERS, cluster_sums
from fesbench.statistics.judges import NO_JUDGES, JudgeTerm
from fesbench.statistics.paired import Difference, difference_of_means

from .boards import HEADLINE, Board
from .table_model import Column, Row, ScoreCell, Table

SEED = 0
ROUNDING = 1e-9
"""Of two means."""
POINTS_THERE = 0.2
"""Target-cosine from which a change is said to point to the target; `mean-shift` has over twice as much."""
MINIMUM_VALID = 0.5
"""A row with fewer valid images than this is left out of a metric's ranking; the others' requests stay."""
PAIRED = (
    "groups by paired tests over {units}, Holm-corrected, on the images that are valid for every "
    "ranked row; rows with fewer than half of their images valid are not ranked"
)
TOO_FEW = f"not ranked: fewer than {FEW_CLUSTERS} test subjects"
BY_INTERVAL = "no values per image: a group ends where an interval no longer meets its leader's"


def rank_table(board: Board, table: Table) -> None:
    """Write ranks, best groups, average ranks and suspicion marks into the table.

    Reference rows are never ranked; each ``given`` group is ranked by itself. Of a few subjects nothing is
    ranked: their scores are anecdotes. Nor is a column whose judge fails on this domain's real images.
    """
    few = 0 < board.subjects(table.task, table.domain) < FEW_CLUSTERS
    for _, rows in table.groups:
        for column in table.columns:
            if not column.style.direction:
                continue
            if few or column.unreliable:
                column.rank_rule = TOO_FEW if few else f"not ranked: {column.unreliable}"
                continue
            metric = column.style.name
            contestants = [r for r in rows if not r.reference and _stands(r.cells[metric])]
            if len(contestants) < 2:
                continue
            _rank_column(board, table, column, contestants)
        _average(rows, table.columns)
    if (table.task, table.domain) == board.headline:
        flag_suspicious(board, table)
        flag_judge_only(table)


def _stands(cell: ScoreCell) -> bool:
    """Whether a score was measured here; one that is only reported is shown beside, never ranked."""
    return cell.value is not None and not cell.reported


def _rank_column(board: Board, table: Table, column: Column, rows: Sequence[Row]) -> None:
    metric = column.style.name
    values, identities = common_values(board, [row.id for row in rows], metric, table.task, table.domain)
    if len(values) >= 2:
        groups = significance.rank_groups(
            list(values),
            values,
            identities,
            higher_is_better=column.style.direction == "higher",
            seed=SEED,
            without_judge={row.id: row.cells[metric].without_judge for row in rows},
        )
        column.rank_rule = PAIRED.format(units=board.units)
    else:
        groups = _ranks_by_interval(rows, column)
        column.rank_rule = BY_INTERVAL
    best = min(groups.values(), default=0)
    for row in rows:
        if row.id in groups:
            row.cells[metric].rank = int(groups[row.id])
            row.cells[metric].best = groups[row.id] == best


def common_values(
    board: Board, methods: Sequence[str], metric: str, task: str, domain: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of several methods on the requests that are valid for all of them, and their identities.

    Returns:
        float64 arrays (N,) by method, and the identities (N,); methods without per-request values or with
        fewer than half of them valid are left out.
    """
    found = {m: board.values(m, metric, task, domain) for m in methods}
    kept = {m: v for m, v in found.items() if v is not None and v.notna().mean() >= MINIMUM_VALID}
    if not kept:
        return {}, np.array([])
    frame = pd.DataFrame(kept).dropna()
    if frame.empty:
        return {}, np.array([])
    identities = board.requests.loc[frame.index, "identity"].to_numpy()
    return {str(m): frame[m].to_numpy(dtype=np.float64) for m in frame}, identities


def _ranks_by_interval(rows: Sequence[Row], column: Column) -> dict[str, int]:
    """Groups for metrics of whole sets: conservative, because the intervals of two rows are not paired."""
    metric, sign = column.style.name, -1.0 if column.style.direction == "higher" else 1.0
    usable = [r for r in rows if r.cells[metric].low is not None and r.cells[metric].high is not None]
    usable.sort(key=lambda r: sign * float(r.cells[metric].value or 0.0))
    ranks: dict[str, int] = {}
    leader: Row | None = None
    group = 0
    for row in usable:
        if leader is None or not _meet(leader, row, metric):
            leader, group = row, group + 1
        ranks[row.id] = group
    return ranks


def _meet(a: Row, b: Row, metric: str) -> bool:
    x, y = a.cells[metric], b.cells[metric]
    if x.low is None or x.high is None or y.low is None or y.high is None:
        return True
    return x.low <= y.high and y.low <= x.high


def _average(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Mean rank over the metrics on which every ranked row stands, so that no row is spared a column."""
    contestants = [r for r in rows if not r.reference and any(c.rank for c in r.cells.values())]
    shared = [
        c.style.name
        for c in columns
        if c.style.quality and contestants and all(r.cells[c.style.name].rank for r in contestants)
    ]
    if len(contestants) < 2 or not shared:
        return
    for row in contestants:
        ranks = [int(row.cells[m].rank or 0) for m in shared]
        row.average_rank = float(np.mean(ranks))
        row.rank_spread = (min(ranks), max(ranks))


def flag_suspicious(board: Board, table: Table) -> None:
    """Mark every row whose ECS lies significantly above that of the real images."""
    real = next((r for r in table.rows if r.id == "real"), None)
    if real is None or "ECS" not in real.cells or real.cells["ECS"].value is None:
        return
    others = [r for r in table.rows if r.id != "real" and r.cells["ECS"].value is not None]
    found: list[tuple[Row, Difference]] = []
    for row in others:
        values, identities = common_values(board, [row.id, "real"], "ECS", table.task, table.domain)
        if len(values) == 2 and len(set(identities)) > 1:
            term = _judges_between(row, real)
            found.append((row, _paired(values[row.id], values["real"], identities, term)))
    if not found:
        return
    adjusted = significance.holm([test.p for _, test in found])
    for (row, test), p in zip(found, adjusted, strict=True):
        if test.low > 0 and p < 0.05:
            text = (
                f"ECS lies {100 * test.value:.1f} points above the real images "
                f"({100 * test.low:.1f} to {100 * test.high:.1f}): it may please the judge, not the eye"
            )
            row.marks.append(("suspicious", text))


def flag_judge_only(table: Table) -> None:
    """Mark every row whose images the judge alone takes for the expressions.

    Its ECS lies, interval and all, above twice chance, and its Target-cosine below `POINTS_THERE`.
    """
    column = table.column("ECS")
    if column is None or column.chance is None:
        return
    for row in table.rows:
        seen, pointed = (row.cells.get(name, ScoreCell()) for name in ("ECS", "Target-cosine"))
        if seen.low is None or pointed.high is None or pointed.value is None:
            continue
        if seen.low > 2 * column.chance and pointed.high < POINTS_THERE:
            text = (
                f"the change does not point to the target (ECS {100 * (seen.value or 0):.1f} %, "
                f"Target-cosine {pointed.value:.2f}, {pointed.low or 0:.2f} to {pointed.high:.2f})"
            )
            row.marks.append(("judge-only", text))


def above_real(table: Table) -> list[tuple[Row, float, float]]:
    """Rows whose ECS lies above that of the real images by more than the judges' error, significant or not.

    Returns:
        the row, by how much, and the judges' standard error of that difference.
    """
    real = next((r for r in table.rows if r.id == "real"), None)
    if real is None or "ECS" not in real.cells or real.cells["ECS"].value is None:
        return []
    found = []
    for row in table.rows:
        value = row.cells["ECS"].value
        if row is not real and value is not None:
            more, error = value - real.cells["ECS"].value, _judges_between(row, real).error
            if more > error + ROUNDING:
                found.append((row, more, error))
    return found


def _judges_between(row: Row, other: Row) -> JudgeTerm:
    """The judges' part of the difference of two rows' ECS; rows of one column have one panel."""
    return JudgeTerm.between(row.cells["ECS"].without_judge, other.cells["ECS"].without_judge, same=True)


def _paired(a: np.ndarray, b: np.ndarray, identities: np.ndarray, judges: JudgeTerm) -> Difference:
    """Mean of ``a - b`` over the same requests, as ``fesbench compare`` takes it."""
    (sums_a, counts), (sums_b, _) = (cluster_sums(values, identities) for values in (a, b))
    return difference_of_means(sums_a, counts, sums_b, counts, seed=SEED, judges=judges)


def _judges_of_drop(board: Board, method: str, metric: str, domain: str, expressions: pd.Series) -> JudgeTerm:
    """The judges' part of a drop: of each domain's scores of these expressions, a request counting once."""
    weights = expressions.value_counts()
    sides = []
    for place in (HEADLINE, ("expression", domain)):
        scores = [
            (s, weights[s.expression])
            for run in board.methods[method]
            for s in run.record.scores
            if (s.task, s.domain, s.metric) == (*place, metric) and s.expression in weights.index
        ]
        if not scores or len({len(s.without_judge) for s, _ in scores}) != 1:
            return NO_JUDGES
        each = np.array([s.without_judge for s, _ in scores])
        sides.append(np.average(each, axis=0, weights=[w for _, w in scores]).tolist())
    return JudgeTerm.between(sides[1], sides[0], same=True)


@dataclass(frozen=True)
class Drop:
    """A metric in one domain, beside the same expressions in distribution."""

    in_distribution: float
    in_domain: float
    change: float
    low: float
    high: float
    n: int
    paired: bool
    """Whether the same subjects stand in both; else the two means are of different subjects."""


def drop(board: Board, method: str, metric: str, domain: str) -> Drop | None:
    """Domain minus in-distribution, with its interval.

    Paired on (subject, expression) where the domain shows the same subjects; else the difference of the two
    means over the expressions that both are asked for, its interval from resampling either side's subjects by
    themselves. Matching matters: a domain may be asked for fewer expressions, and the easier ones at that.
    None where either has no values, or fewer than two subjects.
    """
    home = board.values(method, metric, *HEADLINE)
    away = board.values(method, metric, "expression", domain)
    if home is None or away is None:
        return None
    table = board.requests
    keys = ["identity", "target_expression"]
    left = table.loc[home.index, keys].assign(value=home).dropna().drop_duplicates(keys)
    right = table.loc[away.index, keys].assign(value=away).dropna().drop_duplicates(keys)
    both = left.merge(right, on=keys, suffixes=("_in", "_out"))
    if both["identity"].nunique() >= 2:
        a, b = both["value_out"].to_numpy(float), both["value_in"].to_numpy(float)
        judges = _judges_of_drop(board, method, metric, domain, both["target_expression"])
        test = _paired(a, b, both["identity"].to_numpy(), judges)
        return Drop(float(b.mean()), float(a.mean()), test.value, test.low, test.high, len(both), True)
    if set(left["identity"]) & set(right["identity"]):
        return None
    left = left[left["target_expression"].isin(right["target_expression"])]
    right = right[right["target_expression"].isin(left["target_expression"])]
    if min(left["identity"].nunique(), right["identity"].nunique()) < 2:
        return None
    found = significance.unpaired_difference(
        right["value"], right["identity"], left["value"], left["identity"], seed=SEED
    )
    judges = _judges_of_drop(board, method, metric, domain, right["target_expression"])
    low, high = judges.widen(found.value, found.low, found.high)
    inner, outer = float(left["value"].mean()), float(right["value"].mean())
    return Drop(inner, outer, found.value, low, high, len(right), False)
