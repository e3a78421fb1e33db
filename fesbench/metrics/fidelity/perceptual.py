"""LPIPS and DISTS: how far an output looks from the target image by learned features, at its own size.

    LPIPS(x, y) = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(y))^2

LPIPS is the reference's AlexNet; on VGG-16, which some libraries ship, it is another number under another
name. Both compare pixels at fixed places, so they mean nothing where no target image exists.
"""

from __future__ import annotations

import math

import numpy as np

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import NO_TARGET, has_target
from fesbench.metrics.inputs import MetricInputs, Rows

_LPIPS = "Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric (2018)"
_DISTS = "Ding et al., Image quality assessment: unifying structure and texture similarity (2022)"


class PerceptualDistance(Metric):
    """Mean distance of each output to its target image, by a pair extractor."""

    named = {
        "LPIPS": {
            "title": "learned perceptual distance to the target image (AlexNet)",
            "extractor": "lpips-alex",
            "source": _LPIPS,
        },
        "LPIPS-vgg": {
            "title": "learned perceptual distance to the target image (VGG-16)",
            "extractor": "lpips-vgg",
            "source": _LPIPS,
        },
        "DISTS": {
            "title": "structure and texture distance to the target image",
            "extractor": "dists",
            "source": _DISTS,
        },
    }
    direction = "lower"
    high = math.inf
    needs = frozenset({"target"})

    def settings(self) -> dict[str, str]:
        """What is compared; all else is the extractor's."""
        return {"pair": "output-truth"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the requests that have a target image; the others are counted as not valid."""
        values, signed = np.full(len(inputs), np.nan), self.extractor
        present = np.flatnonzero(has_target(inputs)) if inputs.target is not None else np.zeros(0, int)
        if len(present):
            pairs = np.stack([present, present], axis=1)
            found = inputs.pair_set(self.extractor, "generated", "target", pairs)
            values[present], signed = found.values[:, 0], found.signature
        own = values[rows]
        n_valid = int(np.isfinite(own).sum())
        return Found(n_valid, own, extractor=signed, reference="truth", reason="" if n_valid else NO_TARGET)
