"""Other ways to count the judge's answers, each under its own name: they are not the same score as ECS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found, cut_to
from fesbench.metrics.expression.score import JudgedExpression, class_columns, classes_of, decided
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import Interval, cluster_mean, deleted_means, jackknife
from fesbench.vocabulary import EXPRESSIONS

_UNKNOWN = "the judge has no class for some of the requested expressions"


class RestrictedExpressionScore(JudgedExpression):
    """ECS with the argmax over the classes that are requested somewhere in the task and domain.

    A judge that answers "neutral" is not listened to where neutral is never asked for, so the score is never
    below ECS and flatters weak expressions. Chance is one over the number of requested classes, which the
    signature lists.
    """

    name = "ECS-restricted"
    title = "expression classification score among requested classes"

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average; `find` adds the classes."""
        return super().settings() | {"argmax": "requested-classes"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 a row; refuses unknown expressions, and a choice among one class."""
        judged, columns, found = self.judged(inputs, rows)
        requested = np.unique(inputs.labels[inputs.labels >= 0])
        names = ",".join(EXPRESSIONS[label] for label in requested)
        found.settings = {"classes": names or "none"}
        allowed = class_columns(classes_of(inputs, self.extractor))[requested]
        found.values = np.full(len(rows), np.nan)
        if (columns < 0).any():
            found.reason = _UNKNOWN
        elif (allowed >= 0).sum() < 2:
            found.reason = "fewer than two classes are requested, so there is nothing to choose among"
        else:
            found.values = decided(judged, columns, rows, among=allowed[allowed >= 0])
        return found


class MacroExpressionScore(JudgedExpression):
    """ECS averaged over requested expressions, each counting once however many requests ask for it.

    ``ECS-macro = 1/L sum over labels of (right answers of the label / requests of the label)``. The interval
    recomputes it without each subject in turn.
    """

    name = "ECS-macro"
    title = "expression classification score, mean over expressions"
    per_sample = False

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average."""
        return super().settings() | {"avg": "macro"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The mean of the labels' means; refuses requests whose expression the judge does not know."""
        judged, columns, found = self.judged(inputs, rows)
        if not len(rows) or (columns < 0).any():
            found.reason = _UNKNOWN if len(rows) else "no request has a value"
            return found
        right = decided(judged, columns, rows)
        found.interval = macro_interval(right, inputs.labels[rows], inputs.clusters[rows], seed=inputs.seed)
        return found


class TopTwoExpressionScore(JudgedExpression):
    """Share of compound requests whose two expressions are the judge's two highest classes, in any order.

    The lower of the two must beat every third class. Chance is one over the number of pairs of classes.
    """

    name = "ECS-top2"
    title = "compound expressions: both labels among the judge's two highest"
    tasks = frozenset({"compound"})
    portable = False

    def settings(self) -> dict[str, str]:
        """Rule of the decision."""
        return {"argmax": "two-of-all-classes", "ties": "wrong", "missing": "wrong"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 a row; refuses where no compound is asked for or the judge lacks a class."""
        judged, _, found = self.judged(inputs, rows)
        asked = both_columns(inputs, classes_of(inputs, self.extractor))[rows]
        compound = _seconds(inputs)[rows] != ""
        if not compound.all() or (asked < 0).any():
            found.values = np.full(len(rows), np.nan)
            found.reason = _UNKNOWN if compound.all() else "no compound expression is asked for"
            return found
        chosen, at = judged.values[rows].astype(np.float64), np.arange(len(rows))[:, None]
        lower = chosen[at, asked].min(axis=1, initial=np.inf)
        chosen[at, asked] = -np.inf
        right = (lower > chosen.max(axis=1, initial=-np.inf)) & judged.valid[rows]
        found.values = right.astype(np.float64)
        return found


def both_columns(inputs: MetricInputs, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The judge's two columns of each request, int (N, 2); -1 where there is no second one or no class."""
    index = {name: number for number, name in enumerate(classes)}
    found = np.full((len(inputs), 2), -1, dtype=np.int64)
    for column, name in enumerate(("target_expression", "second_expression")):
        if name in inputs.requests:
            found[:, column] = [index.get(label, -1) for label in inputs.requests[name]]
    return found


def _seconds(inputs: MetricInputs) -> npt.NDArray[np.object_]:
    if "second_expression" not in inputs.requests:
        return np.full(len(inputs), "", dtype=object)
    found: npt.NDArray[np.object_] = inputs.requests["second_expression"].to_numpy(dtype=object)
    return found


def macro_interval(
    shares: Floats, labels: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64], *, seed: int
) -> Interval:
    """Mean over labels of the labels' means, with a jackknife interval over identities.

    Args:
        shares: (N,) in [0, 1].
        labels: (N,) what is averaged within.
        clusters: (N,) identities.
        seed: of the resamples.
    """
    if shares.min() == shares.max():
        # Without an error, or with nothing else, deleting subjects shows no spread; counting them does.
        interval = cluster_mean(shares, clusters, seed=seed, bounds=(0.0, 1.0))
        interval = replace(interval, replicates=deleted_means(shares, clusters))
    else:
        interval = jackknife(lambda kept: _macro(shares[kept], labels[kept]), clusters)
    return cut_to(interval, 0.0, 1.0)


def _macro(right: Floats, labels: npt.NDArray[np.int64]) -> float:
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
