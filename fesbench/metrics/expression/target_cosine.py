"""Target-cosine: does the change point to the target image's, without asking any judge?

For each request r of a subject s, with output G, target image T and source S as pixels:

    made_r = (G - S) - mean over the requests of s of (G - S)
    true_r = (T - S) - mean over the requests of s of (T - S)

    Target-cosine = mean over requests of  <made_r, true_r> / (|made_r| |true_r|)

with dot product and length over all pixels and color channels. The subject's mean goes out of both: what a
method does to an image whatever the label (a blur, a tint, a better light) counts neither for nor against it,
and what is left depends on the label alone. 1: the made change is the true one, up to its size; 0: it has
nothing to do with it, or there is none (``copy``); below 0: it is the change of another expression.

A judge can be fooled by a pattern that it reads as an expression and nobody else does. Such a pattern does
not look like the target image's change: a high ECS beside a Target-cosine near 0 is seen by the judge alone.

The requests are those of one task in one domain that have a target image. Where a subject is asked for one
image alone, or all its targets are alike, nothing depends on the label and there is no value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fesbench.data.views import in_blocks
from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import NO_TARGET, has_target
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

ALIKE = "no subject has two different target images here"


class TargetCosine(Metric):
    """Mean cosine between the made and the true part of the change that depends on the label."""

    name = "Target-cosine"
    title = "cosine between the made and the true change"
    plain = (
        "whether the part of the change that depends on the label points to the target images': 1 the same "
        "change, 0 another one or none; asks no judge"
    )
    low = -1.0
    needs = frozenset({"target", "source"})
    tasks = frozenset({"expression", "transfer", "intensity", "compound"})
    source = "fesbench; the cosine of image changes, each subject's mean taken out"
    meanings = {
        "change": "change that is measured",
        "center": "what is taken out of the changes first",
        "ch": "color channels",
        "still": "value where the output does not depend on the label",
    }

    def settings(self) -> dict[str, str]:
        """What is compared, what is taken out before, and what no change is worth."""
        return {"change": "minus-source", "center": "subject-mean", "ch": "rgb", "still": "0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the requests with a target image; the others are counted as not valid.

        The subject's mean is that of all its requests, whichever rows are asked for.
        """
        values = np.full(len(rows), np.nan)
        if inputs.target is not None:
            values = inputs.memo(self.name, lambda: _cosines(inputs))[rows]
        n_valid = int(np.isfinite(values).sum())
        present = inputs.target is not None and bool(has_target(inputs)[rows].any())
        reason = "" if n_valid else (ALIKE if present else NO_TARGET)
        return Found(n_valid, values, resize="none", reference="truth", reason=reason)


def _cosines(inputs: MetricInputs) -> Floats:
    """(N,) one cosine a request; NaN without a target image, or where nothing true depends on the label."""
    target = inputs.target
    assert target is not None
    for images in (target, inputs.source):
        if images.shape != inputs.generated.shape or images.dtype != np.uint8:
            raise DataError(
                f"Target-cosine needs uint8 images of one shape; got {images.dtype}{images.shape} and "
                f"{inputs.generated.dtype}{inputs.generated.shape}"
            )
    values, present = np.full(len(inputs), np.nan), has_target(inputs)
    for subject in np.unique(inputs.clusters[present]):
        rows = np.flatnonzero(present & (inputs.clusters == subject))
        made, true = (_LabelPart(images, inputs.source, rows) for images in (inputs.generated, target))
        for some in in_blocks(rows):
            for row, one, other in zip(some, made.of(some), true.of(some), strict=True):
                lengths = np.sqrt((one @ one) * (other @ other))
                values[row] = one @ other / lengths if lengths > 0 else (0.0 if other.any() else np.nan)
    return values


class _LabelPart:
    """The changes of a subject's R images less their mean, times R.

    So scaled they are whole numbers, and their sums are exact: the order of requests cannot matter.
    """

    def __init__(self, images: Any, sources: Any, rows: Rows) -> None:
        self._images, self._sources, self._count = images, sources, len(rows)
        self._sum = sum(self._changes(some).sum(axis=0) for some in in_blocks(rows))

    def of(self, rows: Rows) -> Floats:
        """(len(rows), pixels) of some of them."""
        return (self._count * self._changes(rows) - self._sum).astype(np.float64)

    def _changes(self, rows: Rows) -> npt.NDArray[np.int64]:
        return (self._images[rows].astype(np.int64) - self._sources[rows]).reshape(len(rows), -1)
