"""Accuracies of an auxiliary-classifier model's own discriminator (FExGAN, table 1).

**Self-assessment**: this judge was trained together with the generator that it judges, so that
``D-acc-generated`` says how well the two agree, not whether anybody else sees the expression; ECS says that.
``D-acc-real`` beside it says what the discriminator's word is worth on real faces:

- ``D-acc-generated``: share of outputs that the class head assigns to the requested expression.
- ``D-acc-real``: share of the requests' target images (subjects it never saw) that it assigns to their own.
- ``D-acc-real-train``: the same of the training images; far above ``D-acc-real``, it knows them by heart.

``D-acc-binary-...`` are the same three of its other answer: the shares of outputs that it calls generated (a
probability below one half) and of real images that it calls real. Near 1 on outputs, it always spots them,
which is no word on how real they look to others.

A tie at the top is an error. Methods without a class head have no such scores, and those whose discriminator
gives no probability of being real none of the latter.

Source: FExGAN ("Explore the Expression: ... using Auxiliary Classifier GAN"), table 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from fesbench.extractors.registry import REAL
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.expression.score import class_columns, classes_of, decided
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import cluster_mean, deleted_means

DISCRIMINATOR = "discriminator"


class DiscriminatorAccuracy(Metric):
    """Share of images whose expression is the single highest class of the method's own discriminator."""

    named = {
        "D-acc-generated": {
            "title": "own discriminator's accuracy on the outputs (self-assessment)",
            "which": "generated",
        },
        "D-acc-real": {
            "title": "own discriminator's accuracy on real images of test subjects (self-assessment)",
            "which": "target",
            "needs": frozenset({"target"}),
        },
        "D-acc-real-train": {
            "title": "own discriminator's accuracy on its training images (self-assessment)",
            "which": "training",
            "needs": frozenset({"training"}),
            "per_sample": False,
        },
    }
    unit = "fraction"
    extractor = DISCRIMINATOR
    source = "FExGAN, table 1; self-assessment by the method's own discriminator"
    tasks = frozenset({"expression"})
    which: Literal["generated", "target", "training"]
    meanings = {"argmax": "classes that the judge chooses among", "judge": "who judges"}

    def settings(self) -> dict[str, str]:
        """Rule of the decision."""
        return {"argmax": "all-classes", "avg": "micro", "ties": "wrong", "judge": "self"}

    def right(self, inputs: MetricInputs, labels: np.ndarray, places: np.ndarray) -> Floats:
        """Whether the discriminator is right of images of the chosen set: 1 or 0, NaN where it has no class.

        Args:
            inputs: of the metric.
            labels: int (n,), what the images show, indices into EXPRESSIONS; -1 = unknown.
            places: int (n,), which images of the set.
        """
        classes = classes_of(inputs, DISCRIMINATOR)
        columns = class_columns(classes)
        known = np.where(labels >= 0, columns[labels], -1) >= 0
        judged = inputs.feature_set(DISCRIMINATOR, self.which)
        among = np.array([place for place, name in enumerate(classes) if name != REAL])
        values = np.full(len(places), np.nan)
        values[known] = decided(judged, columns[labels[known]], places[known], among)
        return values

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 an image; of training images over those that show the rows' expressions."""
        labels, places = inputs.labels[rows], rows
        found = Found(0, extractor=inputs.feature_set(DISCRIMINATOR, self.which).signature)
        if self.which == "training":
            if inputs.training_labels is None or inputs.training_identity is None:
                found.reason = "the training images' labels are not known"
                return found
            places = np.flatnonzero(np.isin(inputs.training_labels, labels))
            labels, found.n_requested = inputs.training_labels[places], len(places)
        values = self.right(inputs, labels, places)
        if self.which == "target":
            values[inputs.requests["target"].to_numpy()[rows] < 0] = np.nan
        known = np.isfinite(values)
        found.n_valid = int(known.sum())
        found.reference = {"generated": "", "target": "target"}.get(self.which, self.which)
        if self.which != "training":
            found.values = values
        elif not found.n_valid:
            found.reason = "no training image shows such an expression"
        else:
            assert inputs.training_identity is not None  # checked above
            right, clusters = values[known], inputs.training_identity[places[known]]
            interval = cluster_mean(right, clusters, seed=inputs.seed, bounds=(0.0, 1.0))
            found.interval = replace(interval, replicates=deleted_means(right, clusters))
        return found


class DiscriminatorRealism(DiscriminatorAccuracy):
    """Share of images that the method's own discriminator rightly calls real or generated."""

    named = {
        "D-acc-binary-generated": {
            "title": "own discriminator's share of outputs called generated (self-assessment)",
            "which": "generated",
        },
        "D-acc-binary-real": {
            "title": "own discriminator's share of real test images called real (self-assessment)",
            "which": "target",
            "needs": frozenset({"target"}),
        },
        "D-acc-binary-real-train": {
            "title": "own discriminator's share of its training images called real (self-assessment)",
            "which": "training",
            "needs": frozenset({"training"}),
            "per_sample": False,
        },
    }
    meanings = {"threshold": "probability above which an image is called real", "judge": "who judges"}

    def settings(self) -> dict[str, str]:
        """Rule of the decision."""
        return {"threshold": "0.5", "avg": "micro", "ties": "wrong", "judge": "self"}

    def right(self, inputs: MetricInputs, labels: np.ndarray, places: np.ndarray) -> Floats:
        """Whether it is right of images, whatever they show; NaN of one whose discriminator does not say."""
        classes = classes_of(inputs, DISCRIMINATOR)
        if REAL not in classes:
            return np.full(len(places), np.nan)
        probability = inputs.feature_set(DISCRIMINATOR, self.which).values[places, classes.index(REAL)]
        right = probability < 0.5 if self.which == "generated" else probability > 0.5
        return right.astype(np.float64)

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 an image."""
        if REAL in classes_of(inputs, DISCRIMINATOR):
            return super().find(inputs, rows)
        judged = inputs.feature_set(DISCRIMINATOR, self.which)
        return Found(
            0, extractor=judged.signature, reason="its discriminator gives no probability of being real"
        )
