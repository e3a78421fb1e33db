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

from fesbench.metrics.base import Measurement, Metric, MetricCard, from_interval, refusal, renamed
from fesbench.metrics.common import NEIGHBORS, codes, distance_name, feature_distances, pairs_within
from fesbench.metrics.identity.acd import EMBEDDING, WithinPerson, request_order
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, checked_rows
from fesbench.statistics.intervals import Interval, jackknife_interval

_SOURCE = "Zhu et al., Toward multimodal image-to-image translation (2017), section 4, mean pairwise distance"


class PeopleDiversity(Metric):
    """Mean distance between the outputs of two subjects for one request."""

    def __init__(self, extractor: str = EMBEDDING) -> None:
        self.card = _card(
            "Diversity", "distance between subjects' outputs for one request", extractor, needs=frozenset()
        )

    def settings(self) -> dict[str, str]:
        """Distance, what is paired with what, and what a missing face counts as."""
        return {
            "dist": distance_name(self.card.extractor),
            "pair": "two-people-one-request",
            "next": str(NEIGHBORS),
            "missing": "left-out",
        }

    def with_extractor(self, extractor: str) -> PeopleDiversity:
        """The same on other features, or by a pair extractor."""
        return PeopleDiversity(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean over all such pairs, with the delete-one-identity interval of a U-statistic."""
        rows = checked_rows(inputs, rows)
        asked = codes(inputs, ("target_expression", "second_expression", "action_unit", "intensity"))
        pairs = pairs_within(asked, request_order(inputs.clusters, inputs), rows)
        who = inputs.clusters[pairs]
        pairs = pairs[who[:, 0] != who[:, 1]]
        distance, found, extractor = feature_distances(inputs, self.card.extractor, pairs)
        pairs, distance = pairs[found], distance[found]
        n_valid = len(np.unique(pairs))
        signature = self.signature(inputs, n_valid, len(rows), extractor=extractor)
        if not len(pairs):
            return refusal(self, None, rows, n_valid, signature, "no two subjects were asked for the same")
        interval = pair_interval(distance, inputs.clusters[pairs])
        return from_interval(self, interval, None, rows, n_valid, signature)


class ExpressionDiversity(WithinPerson):
    """Mean distance between the outputs of one subject for two requests."""

    def __init__(self, extractor: str = EMBEDDING) -> None:
        title = "distance between a subject's outputs for two requests"
        self.card = _card("Diversity-expressions", title, extractor, needs=frozenset({"source"}))

    def with_extractor(self, extractor: str) -> ExpressionDiversity:
        """The same on other features, or by a pair extractor."""
        return ExpressionDiversity(extractor)


def pair_interval(distance: Floats, who: npt.NDArray[np.int64]) -> Interval:
    """Mean over pairs with its delete-one-identity jackknife; a distance is never below 0.

    The mean of pairs varies about twice as much with a subject as a mean of subjects' means would say.

    Args:
        distance: (P,).
        who: (P, 2) the two identities, which differ.
    """
    names, people = np.unique(who, return_inverse=True)
    people = people.reshape(who.shape)
    order = np.lexsort((distance, who.min(axis=1), who.max(axis=1)))
    d, ends = distance[order], people[order]
    total, count = float(d.sum()), len(d)
    own = np.bincount(ends.ravel(), weights=np.repeat(d, 2), minlength=len(names))
    met = np.bincount(ends.ravel(), minlength=len(names))
    value = total / count
    if (met == count).any():
        return Interval(value, math.nan, math.nan, "none: too few identities", len(names))
    found = jackknife_interval(value, (total - own) / (count - met), names=names)
    return Interval(value, max(0.0, found.low), found.high, found.method, found.clusters, found.replicates)


def _card(name: str, title: str, extractor: str, needs: frozenset[str]) -> MetricCard:
    from fesbench.extractors.registry import pair_names

    card = MetricCard(
        name=name,
        title=f"diversity: {title}",
        direction="higher",
        low=0.0,
        high=math.inf if extractor in pair_names() else 2.0,
        unit="",
        extractor=EMBEDDING,
        needs=needs,
        source=_SOURCE,
        per_sample="source" in needs,
    )
    return card if extractor == EMBEDDING else renamed(card, extractor)
