"""The leaderboard as data: one table object from which every writer (HTML, Markdown, LaTeX, CSV) works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fesbench.metrics.base import cut_to
from fesbench.metrics.explain import card_of, judge_of
from fesbench.protocol.tasks import plain_kind
from fesbench.records.judges import FIELD as JUDGES
from fesbench.records.judges import differing, mean_without_judge
from fesbench.records.record import Score
from fesbench.records.signature import Signature
from fesbench.statistics.intervals import cluster_mean
from fesbench.statistics.judges import widened
from fesbench.vocabulary import EXPRESSIONS

from .agreement import agreements, mark_disputes
from .augmentation import add_controls, chance_of, is_beside
from .boards import Board, Run
from .metric_display import ordered, style_of
from .ranking import rank_table
from .table_model import Column, Row, ScoreCell, Table

MEAN, SPREAD = "ID-mean", "ID-mean-sd"
ANCHORS = {
    "other-take": "other take",
    "other-expression": "other expression",
    "other-subject": "other subject",
    "noise": "noise",
}
"""Kinds of anchors in a reader's words; but for the last two they are of the same subject."""


def build_table(board: Board, task: str, domain: str) -> Table:
    """The table of one task and domain, sorted by its first metric, with ranks.

    Rows whose comparison key differs from the column's are shown as ``n/a (not comparable: field)``.
    """
    trains = plain_kind(task).outputs == "training image"
    found = {m: [_pooled(run, task, domain) for run in runs] for m, runs in board.methods.items()}
    own = {m for m, runs in board.methods.items() if not runs[0].shipped}
    metrics = ordered({name for seeds in found.values() for by_name in seeds for name in by_name})
    # controls stand in rows of their own, spreads below the value that they belong to
    metrics = [name for name in metrics if not (trains and is_beside(name)) and not name.startswith(SPREAD)]
    made = [_row(board, method, seeds, metrics, task, domain) for method, seeds in found.items()]
    rows = [row for row in made if row is not None]
    table = Table(f"table-{task}-{domain}", task, domain, [], _by_given(rows), units=board.units)
    for metric in metrics:
        cells = {row.id: row.cells[metric] for row in rows}
        titles = {row.id: row.title for row in rows}
        if any(cell.value is not None for cell in cells.values()):
            column = _column(metric, cells, titles, own)
            column.anchors = _anchors(board, task, domain, metric)
            column.check = board.judge_checks.get((judge_of(metric), domain))
            column.chance = chance_level(board) if metric == "ECS" else chance_of(column)
            column.null = next((c.null for c in cells.values() if c.value is not None and c.null), None)
            table.columns.append(column)
        else:
            reasons = Counter(cell.reason for cell in cells.values() if cell.signature or cell.n_requested)
            table.unavailable.append((metric, "; ".join(reason for reason, _ in reasons.most_common())))
    # what is not ranked stands behind what is
    table.columns.sort(key=lambda column: bool(column.unreliable))
    table.n_requests = max((c.n_requested for row in rows for c in row.cells.values()), default=0)
    table.identities = max((c.identities for row in rows for c in row.cells.values()), default=0)
    rank_table(board, table)
    table.agreements = agreements(board, table)
    mark_disputes(table)
    _sort(table)
    if trains:
        add_controls(table, [by_name for seeds in found.values() for by_name in seeds])
    return table


def _recognizers_spread(metric: str, scores: Mapping[str, Score]) -> str:
    """How far the recognizers behind a mean identity are apart, "" for another metric."""
    found = scores.get(metric.replace(f"{MEAN}[", f"{SPREAD}["))
    if not metric.startswith(f"{MEAN}[") or found is None or found.value is None:
        return ""
    return f"sd over recognizers {style_of(metric).text(found.value)}"


def _anchors(board: Board, task: str, domain: str, metric: str) -> list[tuple[str, float, int]]:
    """The metric's anchors, as the first record that has any tells them: they are the same for all rows."""
    for run in board.runs:
        told = [a for a in run.record.anchors if (a.task, a.domain, a.metric) == (task, domain, metric)]
        if told:
            return [(ANCHORS[a.kind], a.value, a.n) for a in told]
    return []


def chance_level(board: Board) -> float | None:
    """1 / number of the judge's classes, as the records, the protocol or the predictions say."""
    stated = {float(run.record.judge["chance"]) for run in board.runs if "chance" in run.record.judge}
    if len(stated) == 1:
        return stated.pop()
    rules, _ = board.protocol
    if rules is not None:
        return 1 / len(rules.labels)
    seen: set[str] = set()
    for run in board.runs:
        table = run.samples
        if table is not None and "predicted" in table:
            seen |= set(table["predicted"].dropna()) | set(table["target_expression"].dropna())
    known = [name for name in EXPRESSIONS if name in seen]
    return 1 / len(known) if known else None


def domains_of(board: Board) -> list[tuple[str, str]]:
    """Every (task, domain) that some row was scored on, headline first."""
    pairs = {(s.task, s.domain) for run in board.runs for s in run.record.scores}
    first = [d for run in board.runs for d in dict.fromkeys(s.domain for s in run.record.scores)]
    return sorted(
        pairs,
        key=lambda p: (plain_kind(p[0]).place, p[0], p[1] != "in", first.index(p[1]) if p[1] in first else 0),
    )


def _pooled(run: Run, task: str, domain: str) -> dict[str, Score]:
    return {
        s.metric: s for s in run.record.scores if (s.task, s.domain, s.expression) == (task, domain, "all")
    }


def _row(
    board: Board,
    method: str,
    seeds: Sequence[dict[str, Score]],
    metrics: Sequence[str],
    task: str,
    domain: str,
) -> Row | None:
    run = board.methods[method][0]
    answered = [by_name for by_name in seeds if by_name]
    if not answered and (task, domain) != board.headline:
        return None
    given = next(iter(answered[0].values())).given if answered else run.given
    row = Row(
        id=method,
        title=run.title,
        year=int(run.record.card.get("year") or 0),
        reference=run.reference,
        external=run.external,
        given=given,
        cells={},
        n_seeds=len(board.methods[method]),
    )
    for metric in metrics:
        row.cells[metric] = _cell(board, method, [by_name.get(metric) for by_name in seeds], task, domain)
        if len(seeds) == 1:
            row.cells[metric].extra = _recognizers_spread(metric, seeds[0])
    row.marks = _marks(board.methods[method])
    if board.methods[method][0].record.ramped and plain_kind(task).outputs == "clip":
        row.marks.append(("ramped", "its clips are images, made one by one at rising intensity"))
    return row


def _marks(runs: Sequence[Run]) -> list[tuple[str, str]]:
    marks = []
    for run in runs:
        seed = f" (seed {run.record.cell.seed})" if len(runs) > 1 else ""
        if run.record.status == "failed":
            marks.append(("failed", f"failed{seed}: {run.record.error or 'no reason recorded'}"))
        elif run.record.status != "scored":
            marks.append(("unfinished", f"not scored yet{seed}: the cell stands at '{run.record.status}'"))
        if handed := run.record.submitted:
            made = f"{handed['reproduced']} of its scores were made again from its images"
            told = f"only reported: {', '.join(handed['reported']) or 'none'}"
            marks.append(("submitted", f"handed in by others; {made}; {told}"))
        if run.shipped:
            marks.append(("reference result", shipped_words(run)))
        if zoo := run.record.loaded.get("zoo"):
            marks.append(("zoo", f"loaded, not trained in this run: trained before with {zoo['words']}"))
        if run.record.collapsed:
            told = "; ".join(f"{h.kind} at step {h.step}: {h.message}" for h in run.record.health)
            marks.append(("collapsed", f"training collapsed{seed}: {told}"))
        elif any(s.status == "collapsed" for s in run.record.scores):
            marks.append(("collapsed", f"scored as collapsed{seed}"))
    return marks


def shipped_words(run: Run) -> str:
    """Where a reference result was made, and what it has not."""
    told = run.record.environment
    device = ", ".join(f"{name} {value}" for name, value in told["device"].items())
    return f"came with fesbench, made by its version {told['fesbench']} ({device}); no images, costs or parts"


def _cell(board: Board, method: str, seeds: Sequence[Score | None], task: str, domain: str) -> ScoreCell:
    scores = [score for score in seeds if score is not None]
    if not scores:
        runs = board.methods[method]
        if any(run.record.status == "failed" for run in runs):
            return ScoreCell(reason="failed")
        refused = [n.reason for n in runs[0].record.not_run if (n.task, n.domain) == (task, domain)]
        return ScoreCell(reason=refused[0] if refused else "not scored")
    first = scores[0]
    cell = ScoreCell.of(first, n_valid=min(s.n_valid for s in scores))
    cell.reported = first.metric in board.methods[method][0].record.submitted.get("reported", ())
    if len(seeds) == 1:
        return cell
    unlike = any(differing(first, s) for s in scores if s.value is not None)
    if len(scores) < len(seeds) or unlike or any(s.value is None for s in scores):
        missing = sum(s is None or s.value is None for s in seeds)
        told = f"{missing} of {len(seeds)} seeds have no value" if missing else "not comparable: seeds differ"
        return ScoreCell(reason=told, signature=first.signature, n_requested=first.n_requested)
    cell.seeds = tuple(float(s.value) for s in scores if s.value is not None)
    cell.value = float(np.mean(cell.seeds))
    # Like real halves only where every seed is.
    cell.null = max((s.null for s in scores if s.null is not None), key=lambda null: null.own, default=None)
    cell.without_judge = tuple(mean_without_judge(scores))
    cell.low, cell.high = _interval_over_seeds(board, method, scores, task, domain)
    return cell


def _interval_over_seeds(
    board: Board, method: str, scores: Sequence[Score], task: str, domain: str
) -> tuple[float | None, float | None]:
    """Interval over identities of the seeds' mean.

    Where a metric has no per-request values: the mean of the seeds' bounds, which is never too short, because
    the spread of a mean is at most the mean of the spreads.
    """
    values = board.values(method, scores[0].metric, task, domain)
    if values is None:
        lows, highs = [s.low for s in scores], [s.high for s in scores]
        if any(v is None for v in (*lows, *highs)):
            return None, None
        return float(np.mean(lows)), float(np.mean(highs))  # type: ignore[arg-type]
    values = values.dropna()
    identities = board.requests.loc[values.index, "identity"].to_numpy()
    card = card_of(scores[0].metric)
    bounds = None if card is None else card.bounds
    found = cluster_mean(values.to_numpy(dtype=np.float64), identities, seed=0, bounds=bounds)
    found = widened(found, mean_without_judge(scores), bounds=bounds, trials=len(values))
    if card is not None:
        found = cut_to(found, card.low, card.high)
    return (found.low, found.high) if np.isfinite(found.low) else (None, None)


def _by_given(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    order = {"label": 0, "action_units": 1, "landmarks": 2, "driver": 3}
    names = sorted({row.given for row in rows}, key=lambda g: (order.get(g, 9), g))
    return [(name, [row for row in rows if row.given == name]) for name in names]


def _column(metric: str, cells: dict[str, ScoreCell], titles: dict[str, str], own: Collection[str]) -> Column:
    """Settle the column's comparison key by majority of somebody's own rows, and put the odd ones out."""
    keys = {
        name: Signature.parse(cell.signature).key() for name, cell in cells.items() if cell.value is not None
    }
    count = Counter(keys[name] for name in keys if name in own) or Counter(keys.values())
    # On a tie the `real` row decides, because every other value is read against it.
    chosen = max(count, key=lambda key: (count[key], key == keys.get("real"), key))
    column = Column(style_of(metric))
    kept = [name for name in keys if keys[name] == chosen]
    column.signature = Counter(cells[name].signature for name in kept).most_common(1)[0][0]
    column.judges = max(len(cells[name].without_judge) for name in kept)
    for name, cell in cells.items():
        if cell.value is None:
            continue
        if name not in kept:
            fields = Signature.difference(column.signature, cell.signature)
            cell.value = cell.low = cell.high = None
            cell.seeds = cell.without_judge = ()
            told = ("judge" if name == JUDGES else name for name in fields)
            cell.reason = f"not comparable: {', '.join(told)}"
        if cell.signature != column.signature:
            column.others.append((titles[name], cell.signature))
    return column


def _sort(table: Table) -> None:
    """Best first by the first metric that has a direction; rows without a value last, by title."""
    column = next((c for c in table.columns if c.style.direction), None)
    table.sorted_by = column.style.name if column else ""

    def place(row: Row) -> tuple[bool, float, str]:
        value = row.cells[column.style.name].value if column else None
        if value is None or column is None:
            return True, 0.0, row.title
        return False, -value if column.style.direction == "higher" else value, row.title

    for _, rows in table.groups:
        rows.sort(key=place)
