"""mSCR: are the two pairs of expressions that look alike told apart?

Fear and surprise both open eyes and mouth, anger and disgust both lower the brows. For a pair (a, b), with
rate(a -> b) the share of the requests for a in which the judge's single highest class is b,

    SCR(a, b) = (rate(a -> b) + rate(b -> a)) / 2
    mSCR      = mean of SCR(fear, surprise) and SCR(anger, disgust)

0: never taken for one another. A method that makes the same image for both has .5: whatever the judge says of
it is right for one and wrong for the other. A third class is an error of ECS, not this confusion. An image in
which the judge reads nothing, or that lost its source's face, counts as .5: nobody can tell it apart.

A pair of which one expression is never requested in the task and domain is left out; the signature lists
those that are in.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.expression.score import JudgedExpression, class_columns, classes_of, decided
from fesbench.metrics.expression.variants import macro_interval
from fesbench.metrics.inputs import MetricInputs, Rows
from fesbench.vocabulary import EXPRESSIONS

PAIRS = (("fear", "surprise"), ("anger", "disgust"))
COLLAPSE = 0.5
"""What a pair has whose two expressions get one image."""


class StructuredConfusion(JudgedExpression):
    """Mean rate at which an expression is taken for the other of its pair; each expression counts once."""

    name = "mSCR"
    title = "structured confusion of fear with surprise and of anger with disgust"
    plain = "how often the judge takes one for the other; 50 where a method makes the same image for both"
    direction = "lower"
    per_sample = False
    source = "FFE-Bench (PixelSmile, arXiv 2603.25728) by name; mean of the off-diagonal rates of the pairs"
    meanings = JudgedExpression.meanings | {"pairs": "expressions that may be confused"}

    def settings(self) -> dict[str, str]:
        """Rule of the decision and of the average; `find` adds the pairs."""
        return {"argmax": "all-classes", "avg": "macro", "ties": "not-confused", "missing": f"{COLLAPSE:g}"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The mean of the rates of the expressions among the rows; the others' requests are left out."""
        judged, _, found = self.judged(inputs, rows)
        asked = set(inputs.labels[inputs.labels >= 0].tolist())
        codes = [tuple(EXPRESSIONS.index(name) for name in pair) for pair in PAIRS]
        pairs = [pair for pair in codes if asked >= set(pair)]
        names = ",".join("-".join(EXPRESSIONS[code] for code in pair) for pair in pairs)
        found.settings = {"pairs": names or "none"}
        partner = np.full(len(EXPRESSIONS), -1)
        for one, other in pairs:
            partner[one], partner[other] = other, one
        labels = inputs.labels[rows]
        wanted = np.where(labels >= 0, partner[labels], -1)
        paired = wanted >= 0
        columns = class_columns(classes_of(inputs, self.extractor))[wanted[paired]]
        if not paired.any():
            found.reason = "no two expressions that look alike are both asked for"
        elif (columns < 0).any():
            found.reason = "the judge has no class for some of the expressions that look alike"
        else:
            taken = decided(judged, columns, rows[paired])
            taken = np.where(judged.valid[rows[paired]], taken, COLLAPSE)
            clusters = inputs.clusters[rows[paired]]
            found.interval = macro_interval(taken, labels[paired], clusters, seed=inputs.seed)
        return found
