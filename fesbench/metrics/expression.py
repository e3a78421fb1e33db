"""ECS, the expression classification score: does the judge see the expression that was asked for?

The judge's argmax runs over all of its classes: predicting a class that is never requested is an error, and
chance is one over the number of classes. A tie at the top is an error, and so is a picture that the judge
could not read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import (
    Evidence,
    FeatureSet,
    Floats,
    Measurement,
    Metric,
    MetricCard,
    Rows,
    checked_rows,
    mean_measurement,
    refusal,
    renamed,
)
from fesbench.vocabulary import EXPRESSIONS


class ExpressionScore(Metric):
    """Share of requests whose requested expression is the judge's single highest class."""

    def __init__(self, extractor: str = "judge") -> None:
        self.card = MetricCard(
            name="ECS",
            title="expression classification score",
            direction="higher",
            low=0.0,
            high=1.0,
            unit="fraction",
            extractor="judge",
            needs=frozenset(),
            source="RegGAN (arXiv 2603.15648); StarGAN (arXiv 1711.09020), section 5.4, as accuracy",
            per_sample=True,
        )
        if extractor != "judge":
            self.card = renamed(self.card, extractor)

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average."""
        return {"argmax": "all-classes", "avg": "micro", "ties": "wrong", "missing": "wrong"}

    def with_extractor(self, extractor: str) -> ExpressionScore:
        """ECS by another judge."""
        return ExpressionScore(extractor)

    def measure(self, evidence: Evidence, rows: Rows) -> Measurement:
        """Mean of the 0/1 values; refuses requests whose expression the judge does not know."""
        rows = checked_rows(evidence, rows)
        judged = _judged(evidence, self.card.extractor)
        labels, n_valid = evidence.labels[rows], int(judged.valid[rows].sum())
        signature = self.signature(evidence, n_valid, len(rows), extractor=judged.signature)
        columns = class_columns(evidence.judge_classes)
        known = (labels >= 0) & (columns[labels] >= 0)
        if not known.all():
            unknown = sorted(
                {EXPRESSIONS[i] if i >= 0 else "an expression without a single label" for i in labels[~known]}
            )
            reason = f"the judge has no class for {', '.join(unknown)}"
            return refusal(self, np.full(len(rows), np.nan), rows, n_valid, signature, reason)
        values = _correct(judged, columns[labels], rows)
        return mean_measurement(
            self, evidence, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
        )


def predictions(evidence: Evidence, extractor: str = "judge") -> npt.NDArray[np.int64]:
    """What the judge sees in each output, as an index into EXPRESSIONS; -1 where it could not read it."""
    judged = _judged(evidence, extractor)
    columns = np.array([EXPRESSIONS.index(name) for name in evidence.judge_classes], dtype=np.int64)
    return np.where(judged.valid, columns[judged.values.argmax(axis=1)], -1)


def class_columns(judge_classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Index into EXPRESSIONS -> the judge's output column, -1 where it has none."""
    return np.array(
        [judge_classes.index(e) if e in judge_classes else -1 for e in EXPRESSIONS], dtype=np.int64
    )


def _judged(evidence: Evidence, extractor: str) -> FeatureSet:
    judged = evidence.feature_set(extractor, "generated")
    if judged.values.shape[1] != len(evidence.judge_classes):
        raise DataError(
            f"judge '{extractor}' gives {judged.values.shape[1]} probabilities for "
            f"{len(evidence.judge_classes)} classes; name its classes in the evidence"
        )
    return judged


def _correct(judged: FeatureSet, columns: npt.NDArray[np.int64], rows: Rows) -> Floats:
    chosen = judged.values[rows].astype(np.float64)
    own = chosen[np.arange(len(rows)), columns]
    chosen[np.arange(len(rows)), columns] = -np.inf
    correct = (own > chosen.max(axis=1)) & judged.valid[rows]
    return correct.astype(np.float64)
