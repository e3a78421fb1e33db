"""Accuracies of an auxiliary-classifier model's own discriminator (FExGAN, table 1).

**Self-assessment**: this judge was trained together with the generator that it judges, so that
``D-acc-generated`` says how well the two agree, not whether anybody else sees the expression; ECS says that.
``D-acc-real`` beside it says what the discriminator's word is worth on real faces:

- ``D-acc-generated``: share of outputs that the class head assigns to the requested expression.
- ``D-acc-real``: share of the requests' target images (subjects it never saw) that it assigns to their own.
- ``D-acc-real-train``: the same of the training images; far above ``D-acc-real``, it knows them by heart.

A tie at the top is an error. Methods without a class head have no such figures.

Source: FExGAN ("Explore the Expression: ... using Auxiliary Classifier GAN"), table 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from fesbench.metrics.base import Measurement, Metric, from_interval, mean_measurement, refusal
from fesbench.metrics.expression.score import class_columns, classes_of, decided, score_card
from fesbench.metrics.inputs import MetricInputs, Rows, checked_rows
from fesbench.statistics.intervals import cluster_mean, deleted_means

DISCRIMINATOR = "discriminator"
_SOURCE = "FExGAN, table 1; self-assessment by the method's own discriminator"
_TITLES = {
    "generated": "own discriminator's accuracy on the outputs (self-assessment)",
    "truth": "own discriminator's accuracy on real images of test subjects (self-assessment)",
    "training": "own discriminator's accuracy on its training images (self-assessment)",
}
_NAMES = {"generated": "D-acc-generated", "truth": "D-acc-real", "training": "D-acc-real-train"}


class DiscriminatorAccuracy(Metric):
    """Share of images whose expression is the single highest class of the method's own discriminator."""

    def __init__(self, which: Literal["generated", "truth", "training"]) -> None:
        self._which = which
        card = score_card(
            _NAMES[which],
            _TITLES[which],
            per_sample=which != "training",
            tasks=frozenset({"expression"}),
        )
        needs = frozenset() if which == "generated" else frozenset({which})
        self.card = replace(card, extractor=DISCRIMINATOR, needs=needs, source=_SOURCE)

    def settings(self) -> dict[str, str]:
        """Rule of the decision."""
        return {"argmax": "all-classes", "avg": "micro", "ties": "wrong", "judge": "self"}

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean of the 0/1 values; of training images over those that show the rows' expressions."""
        rows = checked_rows(inputs, rows)
        judged = inputs.feature_set(DISCRIMINATOR, self._which)
        columns = class_columns(classes_of(inputs, DISCRIMINATOR))
        labels, clusters = inputs.labels[rows], inputs.clusters[rows]
        places = rows
        if self._which == "training":
            if inputs.training_labels is None or inputs.training_identity is None:
                signature = self.signature(inputs, 0, len(rows), extractor=judged.signature)
                return refusal(self, None, rows, 0, signature, "the training images' labels are not known")
            places = np.flatnonzero(np.isin(inputs.training_labels, labels))
            labels, clusters = inputs.training_labels[places], inputs.training_identity[places]
        known = np.where(labels >= 0, columns[labels], -1) >= 0
        if self._which == "truth":
            known &= inputs.requests["target"].to_numpy()[rows] >= 0
        n_valid = int(known.sum())
        signature = self.signature(
            inputs, n_valid, len(places), extractor=judged.signature, reference=_reference(self._which)
        )
        values = np.full(len(places), np.nan)
        values[known] = decided(judged, columns[labels[known]], places[known])
        if self._which != "training":
            return mean_measurement(
                self, inputs, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
            )
        if not n_valid:
            return refusal(self, None, places, 0, signature, "no training image shows such an expression")
        interval = cluster_mean(values[known], clusters[known], seed=inputs.seed, bounds=(0.0, 1.0))
        interval = replace(interval, replicates=deleted_means(values[known], clusters[known]))
        return from_interval(self, interval, None, places, n_valid, signature)


def _reference(which: str) -> str:
    return {"generated": "", "truth": "truth", "training": "training"}[which]
