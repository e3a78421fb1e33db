"""Does a clip end in the expression that was asked for, and does it grow as it really does?"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.clips import NO_CLIP, OVER, ClipMetric, correlations
from fesbench.metrics.expression.score import ExpressionScore, asked_columns, judged_images
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

INTENSITY, TRUE_INTENSITY = "intensity", "true intensity"
CLIP_TASKS = frozenset({"sequence", "motion-transfer"})


class ApexExpressionScore(ExpressionScore):
    """ECS of the last frame, where the peak is asked for."""

    name = "ECS-apex"
    named = {}
    title = "expression classification score of the last frame"
    plain = "share of clips in whose last frame the judge sees the expression that was asked for"
    tasks = CLIP_TASKS
    reads_clips = True
    meanings = ExpressionScore.meanings | OVER

    def settings(self) -> dict[str, str]:
        """ECS's, and which frame."""
        return super().settings() | {"over": "last-frame"}


class ClipExpressionScore(ExpressionScore):
    """ECS of whole clips: do the protocol's clip judges see the expression develop?

    They know ``neutral`` as well, a face that stays so: a clip that stands still is wrong.
    """

    name = "ECS-clip"
    named = {}
    title = "expression classification score of whole clips"
    plain = "share of clips in which the judges of clips see the expression that was asked for"
    extractor = "clip-judge"
    portable = False
    sweeps = False
    tasks = CLIP_TASKS
    reads_clips = True
    source = "MoCoGAN (CVPR 2018), motion control score, on the protocol's clip judges"
    meanings = ExpressionScore.meanings | OVER

    def settings(self) -> dict[str, str]:
        """ECS's, and which frames."""
        return super().settings() | {"over": "all-frames"}


class IntensityCorrelation(ClipMetric):
    """Correlation over a clip's frames of the judge's probability of the label with the true intensity.

    0 where the judge's answer never changes; in a frame without a face the probability is 0. The row ``real``
    shows how far the judge itself follows the intensity.
    """

    name = "Intensity-correlation"
    title = "correlation of the judged expression with the real clip's intensity, over frames"
    low = -1.0
    extractor = "judge"
    wants_face = True
    needs = frozenset({"source"})
    tasks = CLIP_TASKS
    source = "fesbench; Pearson's correlation"
    meanings = {"constant": "a constant series counts as", "corr": "correlation"}

    def settings(self) -> dict[str, str]:
        """Which correlation, what is missing."""
        return {"corr": "pearson", "constant": "0", "missing": "0", "pair": "probability-intensity"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the clips with a real one and a label that the judge knows."""
        judged = judged_images(self.clips(inputs).frames, self.extractor, faces=True)
        values = correlations(self._seen(inputs)[rows], self.clips(inputs).intensity[rows])
        n_valid = int(np.isfinite(values).sum())
        return Found(
            n_valid, values, extractor=judged.signature, reference="truth", reason="" if n_valid else NO_CLIP
        )

    def by_frame(self, inputs: MetricInputs) -> dict[str, Floats]:
        """The judge's probability of the label, and the true intensity."""
        return {INTENSITY: self._seen(inputs), TRUE_INTENSITY: self.clips(inputs).intensity}

    def _seen(self, inputs: MetricInputs) -> Floats:
        """The judge's probability of the label in every frame, (N, T); NaN where it has no class for it."""
        clips = self.clips(inputs)
        judged = judged_images(clips.frames, self.extractor, faces=True)
        every = np.arange(len(clips.frames))
        columns = asked_columns(clips.frames, self.extractor, every)
        seen = np.where(judged.valid, judged.values[every, np.maximum(columns, 0)].astype(np.float64), 0.0)
        seen[columns < 0] = np.nan
        return seen.reshape(len(inputs), clips.length)
