"""Features of whole clips, one row a clip, beside those of single images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, CLIP_MEMBERS, MEMBERS, clip_names
from fesbench.metrics.inputs import FeatureSet, MetricInputs, Which


@dataclass(frozen=True)
class ClipFeatures:
    """Answers for a set of clips what extractors of clips see in them, and for its images what others see.

    Attributes:
        context: what the cells share.
        images: features of images, for every extractor that reads no clips.
        frames: the evidence of all frames, of which the clip judges read what the judges of images say.
        stacks: the frames of a set, uint8 (N * T, S, S, 3).
        subjects: whose clips these are, str (N,).
        length: T.
    """

    context: RunContext
    images: Callable[[str, Which], FeatureSet]
    frames: MetricInputs
    stacks: Mapping[str, Any]
    subjects: Mapping[str, np.ndarray]
    length: int

    def __call__(self, extractor: str, which: Which) -> FeatureSet:
        """An extractor's features of one set, a row a clip or image."""
        if extractor in clip_names():
            return self.context.clip_features(extractor, self.stacks[which], self.length)
        if extractor not in (CLIP_JUDGE, CLIP_MEMBERS, CLIP_FEATURES):
            return self.images(extractor, which)
        seen = self.frames.feature_set(MEMBERS, which).values
        answers = seen.reshape(-1, self.length, seen.shape[1])
        return self.context.clip_answers(extractor, answers, self.subjects[which])
