"""Does a clip move as the real one does: direction, size and smoothness of its landmarks' motion.

Distances are those of `fesbench.metrics.motion.landmark_motion`, fixed-rate, between landmarks that one
detector finds in both clips, smoothed alike (`fesbench.metrics.motion.detected`). ``Motion-floor`` is the
same distance between the real clip and itself with every frame moved by a pixel: what lies below it is noise
of the detector. A clip without a face, and one that stands still, is pi / 2 away from every motion.
"""

from __future__ import annotations

import math

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.clips import NO_CLIP
from fesbench.metrics.inputs import MetricInputs, Rows, Which
from fesbench.metrics.motion.detected import (
    INNER,
    MEANINGS,
    LandmarkMetric,
    direction,
    rule,
    smoothed,
    sphere_rule,
)
from fesbench.metrics.motion.landmark_motion import curve_length, geodesic_distance, without_head_motion

LOST = math.pi / 2
NO_FACE = "no face is found in any clip that has a real one"
_OTBERDOUT = "Otberdout et al., Dynamic facial expression generation on Hilbert hypersphere (2022)"


class MotionDistance(LandmarkMetric):
    """Geodesic distance of the motion to the real clip's; under ``motion-transfer`` to the driver's."""

    named = {
        "Motion-distance": {"title": "geodesic distance of landmark motion to the real clip's"},
        "Motion-floor": {
            "title": "geodesic distance of the real motion to itself, moved by a pixel a frame",
            "needs": frozenset({"source"}),
        },
    }
    direction = "lower"
    high = math.pi
    unit = "rad"
    needs = frozenset({"target"})
    source = _OTBERDOUT

    def settings(self) -> dict[str, str]:
        """Smoother, points, head motion, what a lost clip counts as."""
        pair = "target-shifted" if self.name == "Motion-floor" else "output-truth"
        return sphere_rule(pair=pair, missing=f"{LOST:.4g}")

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """One distance a clip that has a real one."""
        made: Which = "target-shifted" if self.name == "Motion-floor" else "generated"
        wanted: Which = "target" if self.name == "Motion-floor" else self.wanted(inputs)
        if wanted == "target" and self.clips(inputs).frames.target is None:
            return Found(0, np.full(len(rows), np.nan), reason=NO_CLIP)
        values, valid = inputs.memo((self.name, self.extractor), lambda: self._all(inputs, made, wanted))
        known = np.isfinite(values[rows])
        reason = "" if known.any() else self.unknown(inputs, rows, wanted)
        return Found(
            int(valid[rows].sum()),
            values[rows],
            extractor=self.signed(inputs),
            reference=wanted,
            reason=reason,
        )

    def _all(self, inputs: MetricInputs, made: Which, wanted: Which) -> tuple[np.ndarray, np.ndarray]:
        (tracks, found), (true, known) = self.tracks(inputs, made), self.tracks(inputs, wanted)
        values = np.full(len(inputs), np.nan)
        for row in np.flatnonzero(known):
            if found[row]:
                values[row] = geodesic_distance(direction(tracks[row]), direction(true[row]))
            else:
                values[row] = LOST
        return values, found & known


class MotionLength(LandmarkMetric):
    """Length of the motion relative to the real one: 0 stands still, 1 moves as much."""

    name = "Motion-length"
    title = "length of landmark motion, relative to the real clip's"
    high = math.inf
    needs = frozenset({"target"})
    source = "fesbench, beside the distance, which forgets size"

    def settings(self) -> dict[str, str]:
        """Smoother, points, head motion."""
        return rule(pair="output-truth", missing="left-out")

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """One ratio a clip that has a real one and in which a face is found."""
        wanted = self.wanted(inputs)
        values = inputs.memo((self.name, self.extractor), lambda: self._all(inputs, wanted))[rows]
        n_valid = int(np.isfinite(values).sum())
        (_, found), (_, known) = self.tracks(inputs, "generated"), self.tracks(inputs, wanted)
        lost = known[rows].any() and not (found & known)[rows].any()
        return Found(
            n_valid,
            values,
            extractor=self.signed(inputs),
            reference=wanted,
            reason="" if n_valid else NO_FACE if lost else self.unknown(inputs, rows, wanted),
        )

    def _all(self, inputs: MetricInputs, wanted: Which) -> np.ndarray:
        (tracks, found), (true, known) = self.tracks(inputs, "generated"), self.tracks(inputs, wanted)
        values = np.full(len(inputs), np.nan)
        for row in np.flatnonzero(found & known):
            made, real = (
                curve_length(without_head_motion(smoothed(track))[:, INNER])
                for track in (tracks[row], true[row])
            )
            if real > 0:
                values[row] = made / real
        return values


class Jerk(LandmarkMetric):
    """Mean third difference of the landmarks over time, unsmoothed: how much they tremble.

    It holds the detector's own jitter: the row ``real`` shows how much that is.
    """

    name = "Jerk"
    title = "trembling of the landmarks: their mean third difference over time"
    direction = "lower"
    high = math.inf
    unit = "inter-ocular distances"
    needs = frozenset({"source"})
    source = "fesbench"
    meanings = MEANINGS | {"difference": "order of the difference over frames"}

    def settings(self) -> dict[str, str]:
        """Points, head motion, order."""
        return rule(smooth="none", difference="3", missing="left-out")

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """One value a clip of four frames or more in which a face is found."""
        tracks, found = self.tracks(inputs, "generated")
        values = np.full(len(rows), np.nan)
        for place, row in enumerate(rows):
            if found[row] and len(tracks[row]) > 3:
                face = without_head_motion(tracks[row])[:, INNER]
                values[place] = np.linalg.norm(np.diff(face, n=3, axis=0), axis=2).mean()
        n_valid = int(np.isfinite(values).sum())
        reason = "" if n_valid else "no face is found in any clip of four frames or more"
        return Found(n_valid, values, extractor=self.signed(inputs), reason=reason)
