"""ACD on clips: does the subject stay the same from frame to frame, and who is shown at all?

The formulas stand in `fesbench.metrics.identity.acd`; features are brought to unit length, and a frame in
which the source's face was lost counts as sqrt(2) away from everything. A clip that stands still has ACD-C 0:
read it beside the row ``real`` and the length of the motion.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.clips import ClipMetric
from fesbench.metrics.common import same_extractor, unit_rows
from fesbench.metrics.identity.acd import EMBEDDING, MISSING
from fesbench.metrics.inputs import Floats, MetricInputs, Rows


class _Distance(ClipMetric):
    """A distance between face features of a clip's frames."""

    direction = "lower"
    high = 2.0
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source"})
    portable = True
    pair: str

    def settings(self) -> dict[str, str]:
        """Distance, what is paired, and what a missing face counts as."""
        return {"dist": "l2-unit", "pair": self.pair, "missing": "sqrt2"}

    @abstractmethod
    def _distances(self, frames: Floats, source: Floats) -> Floats:
        """Distances between points: (N, T, D) and (N, D) -> (N, pairs); NaN where one is unknown."""

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The mean of each clip's distances."""
        clips = self.clips(inputs)
        found, start = clips.frames.faces(self.extractor), inputs.feature_set(self.extractor, "source")
        same_extractor(found, start)
        frames = np.where(found.valid[:, None], unit_rows(found.values), np.nan)
        source = np.where(start.valid[:, None], unit_rows(start.values), np.nan)[rows]
        own = frames[clips.rows(rows)].reshape(len(rows), clips.length, -1)
        distances = self._distances(own, source)
        seen = np.isfinite(distances)
        values = np.where(seen, distances, MISSING).mean(axis=1)
        return Found(int(seen.any(axis=1).sum()), values, extractor=found.signature, reference="source")


class ClipInputDistance(_Distance):
    """ACD-I: mean distance of a clip's frames to the source."""

    name = "ACD-I"
    title = "average content distance of a clip's frames to the source"
    source = "Zhao et al., Learning to forecast and refine residual motion (2018)"
    pair = "source-frame"

    def _distances(self, frames: Floats, source: Floats) -> Floats:
        found: Floats = np.linalg.norm(frames - source[:, None], axis=2)
        return found


class ClipContentDistance(_Distance):
    """ACD-C, MoCoGAN's ACD: mean distance between all pairs of a clip's frames."""

    name = "ACD-C"
    title = "average content distance between a clip's frames (MoCoGAN's ACD)"
    source = "Tulyakov et al., MoCoGAN (2018)"
    pair = "frame-frame"

    def _distances(self, frames: Floats, source: Floats) -> Floats:
        first, second = np.triu_indices(frames.shape[1], k=1)
        # one pair at a time: all of them at once would not fit into memory
        pairs = [
            np.linalg.norm(frames[:, a] - frames[:, b], axis=1) for a, b in zip(first, second, strict=True)
        ]
        return np.stack(pairs, axis=1)


class IdentityDrift(_Distance):
    """Distance of the last frame to the first: who has become somebody else at the end?"""

    name = "Drift"
    title = "distance between a clip's first and last frame by a face model"
    source = "fesbench"
    pair = "first-last"

    def _distances(self, frames: Floats, source: Floats) -> Floats:
        found: Floats = np.linalg.norm(frames[:, :1] - frames[:, -1:], axis=2)
        return found
