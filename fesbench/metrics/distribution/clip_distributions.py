"""Scores of sets of clips: FVD, the Fréchet distance and the Inception score of the protocol's clip judges.

The reference is the real clips of the test requests, resampled to as many frames. What `FrechetDistance` says
of n, of intervals and of the band of real halves holds here too.

``FD-clip`` reads what the clip judges make of a clip, which is how its expression develops: a morph ends in
the right expression and still does not develop as a face does, shuffled or reversed frames are far away, and
a clip that stands still is farther. What else a clip looks like it does not see; ``FVD`` does, on a network
of the actions of Kinetics.

``IS-clip`` is Salimans' formula on the clip judges' probabilities, as Otberdout et al. use it, over all clips
at once: how surely each clip names an expression, and how many are named. It needs no real clip, and one
expression alone has no score, since nothing could vary.
"""

from __future__ import annotations

import math

import numpy as np

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.distribution.frechet_distance import SMALLEST, FrechetDistance, in_order
from fesbench.metrics.distribution.inception_score import score_interval
from fesbench.metrics.expression.clip_expression import CLIP_TASKS
from fesbench.metrics.inputs import MetricInputs, Rows

OVER_ALL = {"over": "which frames of a clip are read"}


def frames_of(metric: Metric, inputs: MetricInputs) -> int:
    """How many frames the clips have.

    Raises:
        DataError: the evidence has images alone.
    """
    if inputs.clips is None:
        raise DataError(f"{metric.name} reads clips, and this evidence has images alone")
    return inputs.clips.length


class ClipFrechetDistance(FrechetDistance):
    """Fréchet distance of features of whole clips."""

    named = {
        "FD-clip": {
            "title": "Fréchet distance of what the clip judges make of whole clips",
            "plain": "Fréchet distance between real and generated clips by the clip judges' features: do "
            "expressions develop as they really do",
            "extractor": "clip-judge-features",
            "source": "fesbench; Heusel et al. (2017) on features of clips",
        },
        "FVD": {
            "title": "Fréchet video distance (I3D on Kinetics-400, 224 px, VideoGPT's file)",
            "plain": "Fréchet distance between I3D scores of real and generated clips, from nine frames up",
            "extractor": "i3d-kinetics-400",
            "source": "Unterthiner et al., Towards accurate generative models of video (2018)",
        },
    }
    portable = False
    reads_clips = True
    tasks = CLIP_TASKS
    meanings = FrechetDistance.meanings | OVER_ALL

    def settings(self) -> dict[str, str]:
        """Those of a distance of images, and which frames."""
        return super().settings() | {"missing": "none", "over": "all-frames"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of clips that are long enough for the network."""
        from fesbench.extractors.registry import EXTRACTORS

        length = frames_of(self, inputs)
        entry = EXTRACTORS.declared.get(self.extractor)
        shortest = 0 if entry is None else entry.facts["shortest"]
        if length < shortest:
            return Found(0, reason=f"needs clips of {shortest} frames, these have {length}")
        return super().find(inputs, rows)


class ClipInceptionScore(Metric):
    """Inception score of the clip judges' probabilities, in one split."""

    name = "IS-clip"
    title = "Inception score of the clip judges"
    plain = (
        "how surely the clip judges name an expression in each clip, and how many different ones they name"
    )
    low = 1.0
    high = math.inf
    extractor = "clip-judge"
    per_sample = False
    reads_clips = True
    tasks = CLIP_TASKS
    source = "Salimans et al. (2016); Otberdout et al. (2022) on a classifier of expressions"
    meanings = {"splits": "number of splits"} | OVER_ALL

    def settings(self) -> dict[str, str]:
        """One split, all frames."""
        return {"splits": "1", "dtype": "float64", "over": "all-frames"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of ten clips or more that ask for several expressions."""
        frames_of(self, inputs)
        seen = inputs.feature_set(self.extractor, "generated")
        kept = in_order(inputs, rows[seen.valid[rows]])
        found = Found(len(kept), extractor=seen.signature)
        if len(kept) < SMALLEST:
            found.reason = f"needs {SMALLEST} clips, has {len(kept)}"
        elif len(np.unique(inputs.labels[kept])) < 2:
            found.reason = "one expression alone: no other could be named"
        else:
            logs = np.log(np.maximum(seen.values[kept].astype(np.float64), np.finfo(np.float32).tiny))
            found.interval = score_interval(logs, inputs.clusters[kept], splits=1)
        return found
