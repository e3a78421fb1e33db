"""CLS: does the expression grow as it is asked to?

Under the task ``intensity`` each expression is asked for at several levels. For each expression

    r = Pearson correlation, over all its requests, of the requested level and the judged intensity

and CLS is the mean of r over the expressions. The judged intensity is the judge's probability of the
requested expression: a judge says how surely it sees an expression, which rises with the level but not in
proportion, so that even true images stay below 1. The row ``real`` shows what can be reached. An expression
whose judged intensity never changes (``copy``) has r = 0, and an image in which the judge reads nothing, or
that lost its source's face, has intensity 0.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found, cut_to
from fesbench.metrics.control.action_units import mean_correlation
from fesbench.metrics.expression.score import JudgedExpression
from fesbench.metrics.inputs import MetricInputs, Rows
from fesbench.statistics.intervals import jackknife


class ControlLinearity(JudgedExpression):
    """Mean over expressions of the correlation between requested and judged intensity."""

    name = "CLS"
    title = "correlation of requested and judged intensity"
    plain = "whether an expression is seen the more surely, the stronger it is asked for; 0: at no level more"
    low = -1.0
    unit = ""
    per_sample = False
    tasks = frozenset({"intensity"})
    source = "FFE-Bench (PixelSmile, arXiv 2603.25728) by name; correlation with the judge's probability"
    meanings = {
        "constant": "a constant series counts as",
        "corr": "correlation",
        "judged": "what the judged intensity is",
    }

    def settings(self) -> dict[str, str]:
        """Kind of correlation and of average, and what is correlated."""
        return {
            "corr": "pearson",
            "judged": "probability-of-requested",
            "avg": "expressions",
            "constant": "0",
            "missing": "0",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The mean, with a delete-one-identity interval."""
        judged, columns, found = self.judged(inputs, rows)
        labels = inputs.labels[rows]
        if not len(rows) or (columns < 0).any():
            found.reason = (
                "the judge has no class for some of the requested expressions"
                if len(rows)
                else "no request has a value"
            )
            return found
        wanted = inputs.requests["intensity"].to_numpy(dtype=np.float64)[rows]
        if any(np.ptp(wanted[labels == label]) == 0 for label in np.unique(labels)):
            found.reason = "a correlation needs an expression to be asked for at two levels or more"
            return found
        seen = np.where(judged.valid[rows], judged.values[rows, columns], 0.0).astype(np.float64)
        interval = jackknife(
            lambda kept: mean_correlation(wanted[kept], seen[kept], labels[kept]), inputs.clusters[rows]
        )
        found.interval = cut_to(interval, -1.0, 1.0)
        return found
