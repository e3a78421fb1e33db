"""NME over the frames of a clip; see `fesbench.metrics.control.landmarks` for what is wanted in each."""

from __future__ import annotations

import math

import numpy as np

from fesbench.metrics.clips import OVER, OverFrames
from fesbench.metrics.control.landmarks import LandmarkError
from fesbench.metrics.inputs import Floats, MetricInputs
from fesbench.metrics.motion.detected import LANDMARKS


class FrameLandmarkError(OverFrames):
    """Landmark error of every frame to the real clip's known landmarks at that time; see NME for drivers."""

    name = "NME-frames"
    title = "landmark error over frames, in inter-ocular distances"
    direction = "lower"
    high = math.inf
    unit = "inter-ocular distances"
    extractor = LANDMARKS
    needs = frozenset({"landmarks"})
    source = LandmarkError.source
    meanings = LandmarkError.meanings | OVER
    inner = LandmarkError

    def by_frame(self, inputs: MetricInputs) -> dict[str, Floats]:
        """The error of every frame, the first included."""
        clips = self.clips(inputs)
        found = self._image_metric().find(clips.frames, np.arange(len(clips.frames))).values
        return {} if found is None else {"NME": found.reshape(len(inputs), clips.length)}
