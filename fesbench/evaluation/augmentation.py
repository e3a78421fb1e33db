"""Score the task ``augmentation`` (defined in `fesbench.metrics.augmentation`) for one cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.context.context import RunContext
from fesbench.context.folded import FoldedContext, made_requests
from fesbench.evaluation.augmentation_trials import TASK, Counter, Progress, outcomes_of
from fesbench.evaluation.cell_score import cell_score
from fesbench.metrics.augmentation import AugmentationScore, Outcomes, score_outcomes
from fesbench.records.record import Cell, Record, Score
from fesbench.records.signature import Signature

if TYPE_CHECKING:
    import pandas as pd


def score_augmentation(
    context: RunContext,
    record: Record,
    requests: pd.DataFrame,
    folder: Path,
    *,
    device: str,
    on_progress: Progress | None = None,
) -> list[Score]:
    """The scores of the task on one cell's images; none where it was not asked.

    Args:
        context: what the cells share; of a k-fold form each fold's own images are tried in that fold.
        record: of the cell.
        requests: those of this task, whose images lie in ``folder/images``.
        folder: the cell's.
        device: "auto", "cpu" or "cuda".
        on_progress: shown (trainings done, in all, what).

    Raises:
        DataError: an image is missing, or made from somebody who does not train.
    """
    from fesbench.records.environment import resolve_device

    places = [(context, record.cell, folder, requests)]
    if isinstance(context, FoldedContext):
        places = [_in_fold(record.cell, fold) for fold in context.folds.values()]
    told, used = Counter(on_progress), resolve_device(device)
    scores = []
    for domain in dict.fromkeys(str(name) for *_, table in places for name in table["domain"]):
        parts = [
            outcomes_of(split, cell, table[table["domain"] == domain], where, used, told)
            for split, cell, where, table in places
        ]
        found = _together(parts)
        scores += [_score(context, record, domain, figure, found) for figure in score_outcomes(found)]
    return scores


def _in_fold(cell: Cell, fold: RunContext) -> tuple[RunContext, Cell, Path, pd.DataFrame]:
    """The same cell in one fold, and the requests of this task that it answered."""
    own = cell.model_copy(update={"protocol": fold.protocol.name, "protocol_hash": fold.protocol.hash})
    table = made_requests(fold, fold.out / own.folder)
    return fold, own, fold.out / own.folder, table[table["task"] == TASK]


def _together(parts: list[Outcomes]) -> Outcomes:
    """All folds as one: every test image once, each answered by the recognizers of its own fold."""
    arms = [arm for arm in parts[0].right if all(arm in part.right for part in parts)]
    missing = {k: why for part in parts for k, why in part.missing.items()}
    steps = sorted({part.settings["steps"] for part in parts}, key=int)
    return Outcomes(
        np.concatenate([part.identities for part in parts]),
        {arm: np.concatenate([part.right[arm] for part in parts], axis=1) for arm in arms},
        missing,
        dict(parts[0].settings) | {"steps": "-".join(dict.fromkeys((steps[0], steps[-1])))},
    )


def _score(
    context: RunContext, record: Record, domain: str, figure: AugmentationScore, outcomes: Outcomes
) -> Score:
    n = len(outcomes.identities)
    valid = 0 if figure.value is None else n
    settings = dict(outcomes.settings)
    signature = Signature.of(
        figure.name,
        n_valid=valid,
        n_requested=n,
        protocol=context.signature,
        reference="test-real",
        alignment=context.store.alignment,
        settings=settings | {"factor": str(figure.factor), "added": figure.arm},
    )
    return cell_score(
        record,
        {"given": "label", "task": TASK, "domain": domain},
        figure.name,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n_requested=n,
        n_valid=valid,
        identities=len(set(outcomes.identities)) if figure.value is not None else 0,
        judge="",
        signature=signature,
        reason=figure.reason,
    )
