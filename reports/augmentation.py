"""The augmentation table: factors across, methods and the two controls down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fesbench.metrics.augmentation import CLASSICAL, REPETITION, SPREAD
from fesbench.records.record import Score
from fesbench.records.signature import Signature

from .metric_display import ACCURACY, GAIN, style_of
from .table_model import Column, Row, ScoreCell, Table

CONTROL_TITLES = {
    CLASSICAL: "Control: flipped, moved and relit real images",
    REPETITION: "Control: the real images repeated",
}


def is_beside(metric: str) -> bool:
    """Whether a metric's value stands in a row of its own or below another one, not in a column."""
    return metric.endswith("]") or metric.startswith(SPREAD)


def chance_of(column: Column) -> float | None:
    """1 / number of a recognizer's classes, as an accuracy's signature names them; None of other metrics."""
    if not column.style.name.startswith(ACCURACY):
        return None
    classes = dict(Signature.parse(column.signature).fields).get("classes")
    return 1 / len(classes.split(",")) if classes else None


def add_controls(table: Table, found: Sequence[Mapping[str, Score]]) -> None:
    """Put the spread over seeds below each gain, and the controls, which all methods share, below the rows.

    Args:
        table: of the task, with its columns.
        found: the scores by metric of every run.
    """
    if not table.groups:
        return
    together = {name: score for by_name in found for name, score in by_name.items()}
    for row in table.rows:
        mine = [by_name for by_name in found if any(s.method == row.id for s in by_name.values())]
        for metric, cell in row.cells.items():
            cell.extra = _spread(metric, mine[0]) if len(mine) == 1 and cell.value is not None else ""
    for name, title in CONTROL_TITLES.items():
        row = Row(f"control-{name}", title, 0, reference=True, external=False, given="label", cells={})
        for column in table.columns:
            metric = column.style.name
            score = together.get(f"{metric}[{name}]") or (
                None if column.style.direction else together.get(metric)
            )
            if score is None:
                row.cells[metric] = ScoreCell(reason="not run")
                continue
            row.cells[metric] = ScoreCell.of(score, extra=_spread(score.metric, together))
            if score.signature != column.signature:
                column.others.append((title, score.signature))
        if any(f"[{name}]" in metric for metric in together):
            table.groups[0][1].append(row)


def _spread(metric: str, scores: Mapping[str, Score]) -> str:
    if not metric.startswith(GAIN):
        return ""
    score = scores.get(f"{SPREAD}@{metric.removeprefix(GAIN)}")
    if score is None or score.value is None:
        return ""
    return f"± {style_of(metric.partition('[')[0]).text(score.value)} over seeds"
