"""Expression-distance: how far the expression lies from the target image's, in a network's own answers.

    Expression-distance[network] = mean of 1/2 sum over classes |p_c(G) - p_c(T)|

p_c(G), p_c(T): the probabilities that a judge gives to the output and to the target image; half the sum of
the differences is their total variation distance, 0 where the judge answers alike, 1 where its answers have
no class in common. The name always says whose answers are compared: "average expression distance" (AED)
without it means an identity distance in one paper, a difference of 3-D face coefficients in another, and is
no column here.

Unlike ECS it does not ask whether the label is right: an output that the judge misreads exactly as it
misreads the target image has 0. An output in which the judge reads nothing, or that lost its source's face,
has 1. A request whose target image the judge cannot read has no value.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.common import NO_TARGET, has_target, same_extractor
from fesbench.metrics.expression.score import JudgedExpression, judged_images
from fesbench.metrics.inputs import Floats, MetricInputs, Rows


class ExpressionDistance(JudgedExpression):
    """Mean total variation distance between a judge's answers to the output and to the target image."""

    named = {
        "Expression-distance[judge]": {"extractor": "judge"},
        "Expression-distance[fer]": {"extractor": "fer"},
    }
    title = "distance of a judge's answer from its answer to the target image"
    plain = "0: the judge answers as on the target image; 1: its answers have no class in common"
    direction = "lower"
    unit = ""
    needs = frozenset({"target"})
    tasks = frozenset({"expression", "transfer", "intensity", "compound"})
    portable = False
    source = "fesbench; expression distance as in portrait animation, on a judge's probabilities"
    meanings: dict[str, str] = {}

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of the distance."""
        return 0.0, 1.0

    def settings(self) -> dict[str, str]:
        """Distance, pairs, and what a missing face counts as."""
        return {"dist": "total-variation", "pair": "target-output", "missing": "1"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of requests with a target image that the judge can read."""
        judged = judged_images(inputs, self.extractor, faces=self.wants_face)
        found = Found(0, np.full(len(rows), np.nan), extractor=judged.signature, reference="truth")
        if inputs.target is None or not (present := has_target(inputs)[rows]).any():
            found.reason = NO_TARGET
            return found
        target = inputs.feature_set(self.extractor, "target")
        same_extractor(judged, target)
        known = present & target.valid[rows]
        a, b = (features.values[rows[known]].astype(np.float64) for features in (judged, target))
        distance: Floats = np.abs(a - b).sum(axis=1).clip(0, 2) / 2
        read = judged.valid[rows[known]]
        values = np.full(len(rows), np.nan)
        values[known] = np.where(read, distance, 1.0)
        found.values, found.n_valid = values, int(read.sum())
        if not known.any():
            found.reason = "the judge reads none of the target images"
        return found
