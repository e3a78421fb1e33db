"""One score of a cell, as its record keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fesbench.records.record import Record, Score
from fesbench.records.signature import Signature
from fesbench.statistics.null import NullBand


def cell_score(
    record: Record,
    kind: Mapping[str, Any],
    metric: str,
    expression: str = "all",
    *,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
    n_requested: int,
    n_valid: int = 0,
    identities: int = 0,
    judge: str,
    signature: Signature | None = None,
    reason: str,
    null: NullBand | None = None,
    without_judge: Sequence[float] = (),
) -> Score:
    """A score with what all scores of its cell have in common.

    Args:
        record: of the cell.
        kind: given, task and domain.
        metric: its name.
        expression: "all" for the pooled score.
        value: None: there is no score, and ``reason`` says why.
        low, high: 95 % interval.
        n_requested, n_valid, identities: see :class:`fesbench.metrics.base.Measurement`.
        judge: signature of the judge.
        signature: how the score was made; None: nothing was measured.
        reason: why there is no score, else "".
        null: what the score says of real images in place of the generated ones.
        without_judge: the score without each judge of the panel.
    """
    cell = record.cell
    status: Literal["ok", "n/a", "collapsed"] = "collapsed" if record.collapsed else "ok"
    if value is None:
        status = "n/a"
    if signature is not None:
        signature = signature.with_method(
            record.trained_on, record.card.get("native", ""), record.loaded.get("zoo", {}).get("budget", "")
        )
    return Score(
        protocol=cell.protocol,
        data=cell.data,
        method=cell.method,
        preset=cell.preset,
        seed=cell.seed,
        budget=cell.budget,
        given=kind["given"],
        task=kind["task"],
        domain=kind["domain"],
        expression=expression,
        metric=metric,
        value=value,
        low=low,
        high=high,
        n_requested=n_requested,
        n_valid=n_valid,
        identities=identities,
        judge=judge,
        status=status,
        signature="" if signature is None else str(signature),
        reason=reason,
        null=null,
        without_judge=list(without_judge),
    )
