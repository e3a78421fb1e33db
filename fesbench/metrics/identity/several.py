"""ID-mean[n]: is it still the same face, by the word of n recognizers?

One recognizer has blind spots of its own, and a method may have been trained against it. With ID-cal_k the
calibrated identity (`fesbench.metrics.identity.calibrated`) by recognizer k, whose ends 0 and 1 mean the same
for every recognizer while their cosines do not,

    ID-mean[n]    = mean over k of ID-cal_k, for each request and then over requests
    ID-mean-sd[n] = standard deviation over k of the recognizers' scores (n - 1)

over all n of `RECOGNIZERS` whose weights are present, two or more; the signature lists them, so that scores
of different sets never stand in one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.identity.calibrated import calibrated
from fesbench.metrics.identity.similarity import EMBEDDING, GALLERY
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import jackknife

RECOGNIZERS = ("dlib", "arcface", "facenet512", "vgg-face", "lightcnn-29-v2")


class SeveralRecognizers(Metric):
    """What the two have in common; `over` says which recognizers."""

    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source", "gallery"})
    source = "fesbench; calibrated identity by every recognizer that is present"
    meanings = {
        "ends": "what 0 and 1 are",
        "gallery": "rule of the gallery",
        "over": "recognizers",
        "x2": "extractor of the second recognizer",
        "x3": "extractor of the third recognizer",
        "x4": "extractor of the fourth recognizer",
        "x5": "extractor of the fifth recognizer",
    }
    recognizers: tuple[str, ...] = RECOGNIZERS

    def over(self, recognizers: Sequence[str]) -> Self:
        """The same over these recognizers, under a name that says how many."""
        made = copy(self)
        made.recognizers = tuple(recognizers)
        made.name = f"{self.name.partition('[')[0]}[{len(recognizers)}]"
        return made

    @property
    def networks(self) -> tuple[str, ...]:
        """All recognizers."""
        return self.recognizers

    def settings(self) -> dict[str, str]:
        """Recognizers, gallery rule, ends of the scale, and what a missing face counts as."""
        return {
            "over": ",".join(self.recognizers),
            "gallery": GALLERY,
            "ends": "median-others,median-own",
            "missing": "0",
        }

    def each(self, inputs: MetricInputs, rows: Rows) -> tuple[Found, Floats]:
        """What to return, and (recognizers, rows) calibrated identities, NaN where one has none."""
        told = {name: calibrated(inputs, name) for name in self.recognizers}
        valid = np.all([one[1] for one in told.values()], axis=0)
        first, *others = (one[2] for one in told.values())
        found = Found(int(valid[rows].sum()), extractor=first)
        found.settings = {f"x{place}": made for place, made in enumerate(others, start=2)}
        found.reference = f"gallery:{len(inputs.gallery_identity)}"
        found.reason = "; ".join(f"{name}: {one[3]}" for name, one in told.items() if one[3])
        return found, np.stack([one[0][rows] for one in told.values()])


class MeanIdentity(SeveralRecognizers):
    """Mean of calibrated identity over requests and recognizers."""

    name = "ID-mean"
    title = "calibrated identity, mean over recognizers"
    plain = "0: like another subject; 1: like the source itself in another take; by every recognizer present"

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The scale's ends."""
        return (0.0, 1.0)

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the requests that every recognizer has a value of."""
        found, each = self.each(inputs, rows)
        found.values = each.mean(axis=0)
        return found


class IdentitySpread(SeveralRecognizers):
    """How far recognizers disagree on a method: standard deviation of their scores."""

    name = "ID-mean-sd"
    title = "standard deviation of calibrated identity over recognizers"
    direction = "lower"
    per_sample = False

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The standard deviation, with a delete-one-identity interval."""
        found, each = self.each(inputs, rows)
        kept = np.isfinite(each).all(axis=0)
        if not found.reason and not kept.any():
            found.reason = "no request has a value"
        if not found.reason:
            values = each[:, kept]
            found.interval = jackknife(
                lambda some: float(values[:, some].mean(axis=1).std(ddof=1)), inputs.clusters[rows][kept]
            )
        return found
