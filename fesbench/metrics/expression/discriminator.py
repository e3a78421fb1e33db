"""Accuracies of an auxiliary-classifier model's own discriminator (FExGAN, table 1).

**Self-assessment**: this judge was trained together with the generator that it judges, so that
``D-acc-generated`` says how well the two agree, not whether anybody else sees the expression; ECS says that.
``D-acc-real`` beside it says what the discriminator's word is worth on real faces:

- ``D-acc-generated``: share of outputs that the class head assigns to the requested expression.
- ``D-acc-real``: share of the requests' target images (subjects it never saw) that it assigns to their own.
- ``D-acc-real-train``: the same of the training images; far above ``D-acc-real``, it knows them by heart.

A tie at the top is an error. Methods without a class head have no such scores.

Source: FExGAN ("Explore the Expression: ... using Auxiliary Classifier GAN"), table 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.expression.score import class_columns, classes_of, decided
from fesbench.metrics.inputs import MetricInputs, Rows
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

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """0 or 1 an image; of training images over those that show the rows' expressions."""
        judged = inputs.feature_set(DISCRIMINATOR, self.which)
        columns = class_columns(classes_of(inputs, DISCRIMINATOR))
        labels, places = inputs.labels[rows], rows
        found = Found(0, extractor=judged.signature)
        if self.which == "training":
            if inputs.training_labels is None or inputs.training_identity is None:
                found.reason = "the training images' labels are not known"
                return found
            places = np.flatnonzero(np.isin(inputs.training_labels, labels))
            labels, found.n_requested = inputs.training_labels[places], len(places)
        known = np.where(labels >= 0, columns[labels], -1) >= 0
        if self.which == "target":
            known &= inputs.requests["target"].to_numpy()[rows] >= 0
        found.n_valid = int(known.sum())
        found.reference = {"generated": "", "target": "target"}.get(self.which, self.which)
        values = np.full(len(places), np.nan)
        values[known] = decided(judged, columns[labels[known]], places[known])
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
