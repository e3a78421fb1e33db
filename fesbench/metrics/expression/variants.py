"""Other ways to count the judge's answers, each under its own name: they are not the same figure as ECS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Measurement, Metric, from_interval, mean_measurement, refusal, renamed
from fesbench.metrics.expression.score import (
    SINGLE,
    asked_columns,
    class_columns,
    classes_of,
    decided,
    judged_pictures,
    score_card,
)
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, checked_rows
from fesbench.statistics.intervals import cluster_mean, deleted_means, jackknife
from fesbench.vocabulary import EXPRESSIONS

_UNKNOWN = "the judge has no class for some of the requested expressions"


class RestrictedExpressionScore(Metric):
    """ECS with the argmax over the classes that are requested somewhere in the task and domain.

    A judge that answers "neutral" is not listened to where neutral is never asked for, so the figure is never
    below ECS and flatters weak expressions. Chance is one over the number of requested classes, which the
    signature lists.
    """

    def __init__(self, extractor: str = "judge") -> None:
        self.card = score_card(
            "ECS-restricted", "expression classification score among requested classes", tasks=SINGLE
        )
        if extractor != "judge":
            self.card = renamed(self.card, extractor)

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average; `measure` adds the classes."""
        return {"argmax": "requested-classes", "avg": "micro", "ties": "wrong", "missing": "wrong"}

    def with_extractor(self, extractor: str) -> RestrictedExpressionScore:
        """The same by another judge."""
        return RestrictedExpressionScore(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean of the 0/1 values; refuses unknown expressions, and a choice among one class."""
        rows = checked_rows(inputs, rows)
        judged = judged_pictures(inputs, self.card.extractor)
        n_valid = int(judged.valid[rows].sum())
        requested = np.unique(inputs.labels[inputs.labels >= 0])
        names = ",".join(EXPRESSIONS[label] for label in requested)
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=judged.signature, found={"classes": names or "none"}
        )
        allowed = class_columns(classes_of(inputs, self.card.extractor))[requested]
        columns = asked_columns(inputs, self.card.extractor, rows)
        reason = ""
        if (columns < 0).any():
            reason = _UNKNOWN
        elif (allowed >= 0).sum() < 2:
            reason = "fewer than two classes are requested, so there is nothing to choose among"
        if reason:
            return refusal(self, np.full(len(rows), np.nan), rows, n_valid, signature, reason)
        values = decided(judged, columns, rows, among=allowed[allowed >= 0])
        return mean_measurement(
            self, inputs, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
        )


class MacroExpressionScore(Metric):
    """ECS averaged over requested expressions, each counting once however many requests ask for it.

    ``ECS-macro = 1/L sum over labels of (right answers of the label / requests of the label)``. The interval
    recomputes it without each subject in turn.
    """

    def __init__(self, extractor: str = "judge") -> None:
        self.card = score_card(
            "ECS-macro",
            "expression classification score, mean over expressions",
            per_sample=False,
            tasks=SINGLE,
        )
        if extractor != "judge":
            self.card = renamed(self.card, extractor)

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average."""
        return {"argmax": "all-classes", "avg": "macro", "ties": "wrong", "missing": "wrong"}

    def with_extractor(self, extractor: str) -> MacroExpressionScore:
        """The same by another judge."""
        return MacroExpressionScore(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """The mean of the labels' means; refuses requests whose expression the judge does not know."""
        rows = checked_rows(inputs, rows)
        judged = judged_pictures(inputs, self.card.extractor)
        n_valid = int(judged.valid[rows].sum())
        signature = self.signature(inputs, n_valid, len(rows), extractor=judged.signature)
        columns = asked_columns(inputs, self.card.extractor, rows)
        if not len(rows) or (columns < 0).any():
            reason = _UNKNOWN if len(rows) else "no request has a value"
            return refusal(self, None, rows, n_valid, signature, reason)
        right, labels = decided(judged, columns, rows), inputs.labels[rows]
        clusters = inputs.clusters[rows]
        if right.min() == right.max():
            # Without an error, or with nothing else, deleting subjects shows no spread; counting them does.
            interval = cluster_mean(right, clusters, seed=inputs.seed, bounds=(0.0, 1.0))
            interval = replace(interval, replicates=deleted_means(right, clusters))
        else:
            interval = jackknife(lambda kept: _macro(right[kept], labels[kept]), clusters)
        found = from_interval(self, interval, None, rows, n_valid, signature)
        if found.low is not None and found.high is not None:
            found.low, found.high = max(0.0, found.low), min(1.0, found.high)
        return found


class TopTwoExpressionScore(Metric):
    """Share of compound requests whose two expressions are the judge's two highest classes, in any order.

    The lower of the two must beat every third class. Chance is one over the number of pairs of classes.
    """

    def __init__(self) -> None:
        self.card = score_card(
            "ECS-top2",
            "compound expressions: both labels among the judge's two highest",
            tasks=frozenset({"compound"}),
        )

    def settings(self) -> dict[str, str]:
        """Rule of the decision."""
        return {"argmax": "two-of-all-classes", "ties": "wrong", "missing": "wrong"}

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean of the 0/1 values; refuses where no compound is asked for or the judge lacks a class."""
        rows = checked_rows(inputs, rows)
        judged = judged_pictures(inputs, self.card.extractor)
        n_valid = int(judged.valid[rows].sum())
        signature = self.signature(inputs, n_valid, len(rows), extractor=judged.signature)
        asked = both_columns(inputs, classes_of(inputs, self.card.extractor))[rows]
        compound = _seconds(inputs)[rows] != ""
        if not compound.all() or (asked < 0).any():
            reason = _UNKNOWN if compound.all() else "no compound expression is asked for"
            return refusal(self, np.full(len(rows), np.nan), rows, n_valid, signature, reason)
        chosen, at = judged.values[rows].astype(np.float64), np.arange(len(rows))[:, None]
        lower = chosen[at, asked].min(axis=1, initial=np.inf)
        chosen[at, asked] = -np.inf
        values = ((lower > chosen.max(axis=1, initial=-np.inf)) & judged.valid[rows]).astype(np.float64)
        return mean_measurement(
            self, inputs, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
        )


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


def _macro(right: Floats, labels: npt.NDArray[np.int64]) -> float:
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
