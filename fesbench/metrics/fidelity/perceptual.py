"""LPIPS and DISTS: how far an output looks from the target image by learned features, at its own size.

    LPIPS(x, y) = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(y))^2

LPIPS is the reference's AlexNet; on VGG-16, which some libraries ship, it is another number under another
name. Both compare pixels at fixed places, so they mean nothing where no target image exists.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Measurement, Metric, MetricCard, mean_measurement, refusal
from fesbench.metrics.common import has_truth
from fesbench.metrics.inputs import MetricInputs, Rows, checked_rows

_LPIPS = "Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric (2018)"
_DISTS = "Ding et al., Image quality assessment: unifying structure and texture similarity (2022)"
_CARDS = {
    "LPIPS": ("learned perceptual distance to the target image (AlexNet)", "lpips-alex", _LPIPS),
    "LPIPS-vgg": ("learned perceptual distance to the target image (VGG-16)", "lpips-vgg", _LPIPS),
    "DISTS": ("structure and texture distance to the target image", "dists", _DISTS),
}


class PerceptualDistance(Metric):
    """Mean distance of each output to its target image, by a pair extractor."""

    def __init__(self, name: str) -> None:
        title, extractor, source = _CARDS[name]
        self.card = MetricCard(
            name=name,
            title=title,
            direction="lower",
            low=0.0,
            high=float("inf"),
            unit="",
            extractor=extractor,
            needs=frozenset({"truth"}),
            source=source,
            per_sample=True,
        )

    def settings(self) -> dict[str, str]:
        """What is compared; all else is the extractor's."""
        return {"pair": "output-truth"}

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean over the requests that have a target image; the others are counted as not valid."""
        rows = checked_rows(inputs, rows)
        values, signed = np.full(len(inputs), np.nan), ""
        present = np.flatnonzero(has_truth(inputs)) if inputs.truth is not None else np.zeros(0, int)
        if len(present):
            pairs = np.stack([present, present], axis=1)
            found = inputs.pair_set(self.card.extractor, "generated", "truth", pairs)
            values[present], signed = found.values[:, 0], found.signature
        own = values[rows]
        n_valid = int(np.isfinite(own).sum())
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=signed or self.card.extractor, reference="truth"
        )
        if n_valid == 0:
            return refusal(self, own, rows, 0, signature, "no target image exists for these requests")
        return mean_measurement(self, inputs, rows, own, n_valid=n_valid, signature=signature)
