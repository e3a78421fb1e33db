"""ECS, the expression classification score: does the judge see the expression that was asked for?

The judge's argmax runs over all of its classes: predicting a class that is never requested is an error, and
chance is one over the number of classes. A tie at the top is an error, and so is an image that the judge
could not read, or that lost its source's face: textures without a face can fool a judge. ``ECS-unchecked``
does not look for one.

An outside judge (``ECS[fer]``, ``ECS[facex]``, ``ECS[face-api]``) answers in its own classes, which are
matched by name. What it has no class for cannot be right: such a request is refused, and with it every score
that pools over it. The same score over the remaining requests has a name of its own, ``ECS-known[fer]``, for
it answers another question.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.inputs import FeatureSet, Floats, MetricInputs, Rows
from fesbench.vocabulary import EXPRESSIONS

SINGLE = frozenset({"expression", "transfer", "intensity", "random"})
"""Tasks whose requests have one label each."""

Columns = npt.NDArray[np.int64]


class JudgedExpression(Metric):
    """A share of right answers of a judge; the protocol's own unless another is named."""

    unit = "fraction"
    extractor = "judge"
    wants_face = True
    source = "RegGAN (arXiv 2603.15648); StarGAN (arXiv 1711.09020), section 5.4, as accuracy"
    tasks = SINGLE
    portable = True
    meanings = {
        "argmax": "classes that the judge chooses among",
        "classes": "expressions that the judge chooses among",
        "over": "expressions that are pooled",
    }

    @property
    def judge(self) -> str:
        """The extractor."""
        return self.extractor

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average."""
        return {"argmax": "all-classes", "avg": "micro", "ties": "wrong", "missing": "wrong"}

    def judged(self, inputs: MetricInputs, rows: Rows) -> tuple[FeatureSet, Columns, Found]:
        """The judge's probabilities, the column of each row's requested expression, and what to add to."""
        judged = judged_images(inputs, self.extractor, faces=self.wants_face)
        found = Found(int(judged.valid[rows].sum()), extractor=judged.signature)
        return judged, asked_columns(inputs, self.extractor, rows), found


class ExpressionScore(JudgedExpression):
    """Share of requests whose requested expression is the judge's single highest class."""

    name = "ECS"
    named = {
        "ECS[fer]": {"extractor": "fer"},
        "ECS[facex]": {"extractor": "facex"},
        "ECS[face-api]": {"extractor": "face-api"},
        "ECS-unchecked": {
            "title": "expression classification score, whether or not there is a face",
            "wants_face": False,
        },
    }
    title = "expression classification score"
    plain = "share of images on which the judge sees the expression that was asked for"
    sweeps = True
    tasks = SINGLE | {"compound"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 a row; refuses requests whose expression the judge does not know."""
        judged, columns, found = self.judged(inputs, rows)
        if (columns < 0).any():
            found.values = np.full(len(rows), np.nan)
            found.reason = f"the judge has no class for {_unknown(inputs, rows[columns < 0])}"
        else:
            found.values = decided(judged, columns, rows)
        return found


class KnownExpressionScore(JudgedExpression):
    """ECS over the requests whose expression the judge has a class for; the others are counted as not valid.

    The signature lists the expressions that were pooled.
    """

    named = {
        "ECS-known[fer]": {"extractor": "fer"},
        "ECS-known[facex]": {"extractor": "facex"},
        "ECS-known[face-api]": {"extractor": "face-api"},
    }
    title = "expression classification score over what the judge knows"
    extractor = "fer"

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 a known request; NaN for the others."""
        judged, columns, found = self.judged(inputs, rows)
        known = columns >= 0
        found.n_valid = int(judged.valid[rows][known].sum())
        pooled = ",".join(EXPRESSIONS[label] for label in np.unique(inputs.labels[rows[known]]))
        found.settings = {"over": pooled or "none"}
        found.values = np.full(len(rows), np.nan)
        found.values[known] = decided(judged, columns[known], rows[known])
        if len(rows) and not known.any():
            found.reason = f"the judge has no class for {_unknown(inputs, rows)}"
        return found


def predictions(inputs: MetricInputs, extractor: str = "judge") -> npt.NDArray[np.int64]:
    """What the judge sees in each output, as an index into EXPRESSIONS; -1 where it could not read it."""
    judged = judged_images(inputs, extractor)
    names = classes_of(inputs, extractor)
    columns = np.array([EXPRESSIONS.index(name) for name in names], dtype=np.int64)
    return np.where(judged.valid, columns[judged.values.argmax(axis=1)], -1)


def classes_of(inputs: MetricInputs, extractor: str) -> tuple[str, ...]:
    """A judge's classes in the order of its outputs.

    Raises:
        DataError: the evidence does not name them.
    """
    if extractor == "judge":
        return inputs.judge_classes
    if extractor not in inputs.columns:
        raise DataError(f"judge '{extractor}' has outputs without names; name its classes in the evidence")
    return inputs.columns[extractor]


def class_columns(judge_classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Index into EXPRESSIONS -> the judge's output column, -1 where it has none.

    >>> class_columns(("happiness", "anger"))
    array([-1,  1, -1, -1, -1,  0, -1, -1])
    """
    return np.array(
        [judge_classes.index(e) if e in judge_classes else -1 for e in EXPRESSIONS], dtype=np.int64
    )


def asked_columns(inputs: MetricInputs, extractor: str, rows: Rows) -> npt.NDArray[np.int64]:
    """The judge's output column of each row's requested expression, -1 where it has none."""
    labels = inputs.labels[rows]
    columns = class_columns(classes_of(inputs, extractor))
    return np.where(labels >= 0, columns[labels], -1)


def judged_images(inputs: MetricInputs, extractor: str, *, faces: bool = False) -> FeatureSet:
    """The judge's probabilities of the outputs; with ``faces``, of those that did not lose their face.

    Raises:
        DataError: not one for each of its classes.
    """
    judged = inputs.faces(extractor) if faces else inputs.feature_set(extractor, "generated")
    names = classes_of(inputs, extractor)
    if judged.values.shape[1] != len(names):
        raise DataError(
            f"judge '{extractor}' gives {judged.values.shape[1]} probabilities for "
            f"{len(names)} classes; name its classes in the evidence"
        )
    return judged


def decided(
    judged: FeatureSet,
    columns: npt.NDArray[np.int64],
    rows: Rows,
    among: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Whether the judge's answer is the one that was asked for, 0 or 1 for each row.

    Args:
        judged: the judge's probabilities.
        columns: int (rows,), the column that must beat every other one; all >= 0.
        rows: of the evidence.
        among: the columns that may be answered; None: all.
    """
    chosen = judged.values[rows].astype(np.float64)
    if among is not None:
        shut = np.ones(chosen.shape[1], dtype=bool)
        shut[among] = False
        chosen[:, shut] = -np.inf
    own = chosen[np.arange(len(rows)), columns]
    chosen[np.arange(len(rows)), columns] = -np.inf
    correct = (own > chosen.max(axis=1, initial=-np.inf)) & judged.valid[rows]
    return correct.astype(np.float64)


def _unknown(inputs: MetricInputs, rows: Rows) -> str:
    labels = inputs.labels[rows]
    return ", ".join(
        sorted({EXPRESSIONS[i] if i >= 0 else "an expression without a single label" for i in labels})
    )
