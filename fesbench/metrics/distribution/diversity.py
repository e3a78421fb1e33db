"""Diversity: how different are the outputs? Mode collapse has a number here.

    Diversity             = mean over pairs of subjects, asked for the same, of d(G(x_a, t), G(x_b, t))
    Diversity-expressions = mean over pairs of requests to one subject of d(G(x, s), G(x, t))

A method that returns one image has 0. More is not better without end: noise is diverse. The ``real`` row
is the measure of what is right. d is the L2 distance of features at unit length, or a pair extractor's
value: ``Diversity[lpips-alex]`` is the mean pairwise LPIPS of StarGAN v2 and BicycleGAN. On a face model
Diversity-expressions is ACD-C over expressions, read the other way round.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import NEIGHBORS, codes, distance_name, feature_distances, pairs_within
from fesbench.metrics.identity.acd import EMBEDDING, WithinSubject, request_order
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import Interval, jackknife_interval


class _Diversity(Metric):
    """What both forms have in common."""

    high = 2.0
    source = (
        "Zhu et al., Toward multimodal image-to-image translation (2017), section 4, mean pairwise distance"
    )

    def move_to(self, extractor: str) -> None:
        """On other features, or by a pair extractor, whose values have no upper end."""
        from fesbench.extractors.registry import pair_names

        super().move_to(extractor)
        self.high = math.inf if extractor in pair_names() else type(self).high


class SubjectDiversity(_Diversity):
    """Mean distance between the outputs of two subjects for one request.

    The interval is the delete-one-identity interval of a U-statistic.
    """

    name = "Diversity"
    title = "diversity: distance between subjects' outputs for one request"
    extractor = EMBEDDING
    per_sample = False
    portable = True
    meanings = WithinSubject.meanings

    def settings(self) -> dict[str, str]:
        """Distance, what is paired with what, and what a missing face counts as."""
        return {
            "dist": distance_name(self.extractor),
            "pair": "two-people-one-request",
            "next": str(NEIGHBORS),
            "missing": "left-out",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Mean over all such pairs."""
        asked = codes(inputs, ("target_expression", "second_expression", "action_unit", "intensity"))
        pairs = pairs_within(asked, request_order(inputs.clusters, inputs), rows)
        who = inputs.clusters[pairs]
        pairs = pairs[who[:, 0] != who[:, 1]]
        distance, both, made = feature_distances(inputs, self.extractor, pairs)
        pairs, distance = pairs[both], distance[both]
        found = Found(len(np.unique(pairs)), extractor=made)
        if len(pairs):
            found.interval = pair_interval(distance, inputs.clusters[pairs])
        else:
            found.reason = "no two subjects were asked for the same"
        return found


class ExpressionDiversity(_Diversity, WithinSubject):
    """Mean distance between the outputs of one subject for two requests."""

    name = "Diversity-expressions"
    title = "diversity: distance between a subject's outputs for two requests"


def pair_interval(distance: Floats, who: npt.NDArray[np.int64]) -> Interval:
    """Mean over pairs with its delete-one-identity jackknife; a distance is never below 0.

    The mean of pairs varies about twice as much with a subject as a mean of subjects' means would say.

    Args:
        distance: (P,).
        who: (P, 2) the two identities, which differ.

    >>> pair_interval(np.array([1.0, 2.0, 3.0]), np.array([[0, 1], [0, 2], [1, 2]])).value
    2.0
    """
    names, codes_of = np.unique(who, return_inverse=True)
    codes_of = codes_of.reshape(who.shape)
    order = np.lexsort((distance, who.min(axis=1), who.max(axis=1)))
    d, ends = distance[order], codes_of[order]
    total, count = float(d.sum()), len(d)
    own = np.bincount(ends.ravel(), weights=np.repeat(d, 2), minlength=len(names))
    met = np.bincount(ends.ravel(), minlength=len(names))
    value = total / count
    if (met == count).any():
        return Interval(value, math.nan, math.nan, "none: too few identities", len(names))
    found = jackknife_interval(value, (total - own) / (count - met), names=names)
    return Interval(value, max(0.0, found.low), found.high, found.method, found.clusters, found.replicates)
