"""QualiCLIP: does an image look well made, whatever it shows? No reference is needed.

    QualiCLIP = 1/7 sum_k softmax(100 <x, p_k+>, 100 <x, p_k->)_+

over seven antonym pairs of prompts p, x the image's feature, all of unit length: the mean probability of
the positive prompt, in [0, 1]. It depends on resolution (images of 128 px score lower than enlarged ones)
and rewards smooth, sharp, contrasty images whatever the expression, so the score is printed beside what an
output gains over its own source. pyiqa divides the logits, scaled as the checkpoint says, by two before the
softmax: scores nearer to 0.5 on another scale, hence another name.
"""

from __future__ import annotations

import numpy as np

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import same_extractor
from fesbench.metrics.inputs import FeatureSet, Floats, MetricInputs, Rows

PAIRS = 7
OFFICIAL_SCALE = 100.0
PYIQA_TEMPERATURE = 2.0
_SOURCE = "Agnolucci et al., Quality-aware image-text alignment (arXiv 2403.11176)"


class Quality(Metric):
    """Mean QualiCLIP score of the outputs, as its authors compute it."""

    name = "QualiCLIP"
    title = "no-reference quality by antonym prompts"
    extractor = "qualiclip"
    source = f"{_SOURCE}, official code"
    meanings = {
        "logits": "factor of the cosines before the softmax",
        "pairs": "number of antonym pairs",
        "temp": "temperature",
    }

    def settings(self) -> dict[str, str]:
        """Scale of the logits, number of pairs, temperature."""
        return {"logits": f"x{OFFICIAL_SCALE:g}", "pairs": str(PAIRS), "temp": "1"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The score of every row."""
        output = inputs.feature_set(self.extractor, "generated")
        return Found(len(rows), self._score(output, rows), extractor=output.signature)

    def _score(self, features: FeatureSet, rows: Rows) -> Floats:
        cosines, _ = _split(features, rows)
        return positive_share(OFFICIAL_SCALE * cosines)


class QualityT2(Quality):
    """The same network on pyiqa's scale: the checkpoint's own logits, halved before the softmax."""

    name = "QualiCLIP-T2"
    title = "no-reference quality by antonym prompts, pyiqa's temperature 2"
    source = f"{_SOURCE}, pyiqa's code"

    def settings(self) -> dict[str, str]:
        """Scale of the logits, number of pairs, temperature."""
        return {"logits": "x-checkpoint", "pairs": str(PAIRS), "temp": f"{PYIQA_TEMPERATURE:g}"}

    def _score(self, features: FeatureSet, rows: Rows) -> Floats:
        cosines, scale = _split(features, rows)
        return positive_share(scale[:, None] * cosines / PYIQA_TEMPERATURE)


class QualityGain(Quality):
    """QualiCLIP of each output minus that of its own source: what the method did to the quality."""

    name = "QualiCLIP-gain"
    title = "no-reference quality of the output minus its source's"
    low = -1.0
    needs = frozenset({"source"})

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The difference of every row."""
        output, source = (inputs.feature_set(self.extractor, which) for which in ("generated", "source"))
        same_extractor(output, source)
        values = self._score(output, rows) - self._score(source, rows)
        return Found(len(rows), values, extractor=output.signature, reference="source")


def positive_share(logits: Floats) -> Floats:
    """Mean over antonym pairs of the positive prompt's probability.

    Args:
        logits: (N, 2 * pairs), positive and negative in turn.

    Returns:
        (N,) in [0, 1].

    >>> positive_share(np.array([[0.0, 0.0, 100.0, 0.0]]))
    array([0.75])
    """
    from scipy.special import expit

    pairs = logits.reshape(len(logits), logits.shape[1] // 2, 2)
    # A softmax over two is the logistic function of their difference.
    found: Floats = expit(pairs[..., 0] - pairs[..., 1]).mean(axis=1)
    return found


def _split(features: FeatureSet, rows: Rows) -> tuple[Floats, Floats]:
    """Cosines (rows, 14) and the checkpoint's scale (rows,)."""
    if features.values.shape[1] != 2 * PAIRS + 1:
        raise DataError(f"QualiCLIP features have {features.values.shape[1]} columns, not {2 * PAIRS + 1}")
    values = features.values[rows].astype(np.float64)
    return values[:, :-1], values[:, -1]
