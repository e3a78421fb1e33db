"""When a clip moves: the times of its onset and of its apex, against the real clip's.

A clip's progress at time t is how far its landmarks have gone along the straight way from the first to the
last frame, as a share of it::

    s(t) = <a(t) - a(0), a(1) - a(0)> / |a(1) - a(0)|^2

after taking out head motion and a Gaussian smoother of one frame. The onset is when s first reaches 1/5, the
apex when it first reaches 9/10, each linearly between frames and as a share of the clip's duration. A clip
that stands still, or shows no face, has neither: its error is 1, the largest that there is.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, Which
from fesbench.metrics.motion.detected import INNER, MEANINGS, LandmarkMetric, rule
from fesbench.metrics.motion.landmark_motion import without_head_motion

SIGMA = 1.0
STILL = 1e-9


class TimingError(LandmarkMetric):
    """How far apart in time two clips reach a share of their way."""

    named = {
        "Onset-error": {"title": "error of the time of the onset", "share": 0.2},
        "Apex-error": {"title": "error of the time of the apex", "share": 0.9},
    }
    share: float
    direction = "lower"
    unit = "of the clip"
    needs = frozenset({"target"})
    source = "fesbench"
    meanings = MEANINGS | {"share": "which share of the way must be reached"}

    def settings(self) -> dict[str, str]:
        """Smoother, points, head motion, the share, what a still clip counts as."""
        return rule(smooth=f"gauss{SIGMA:g}", share=f"{self.share:g}", missing="1")

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """One error a clip that has a real one."""
        wanted = self.wanted(inputs)
        values, valid = inputs.memo((self.name, self.extractor), lambda: self._all(inputs, wanted))
        known = np.isfinite(values[rows])
        return Found(
            int(valid[rows].sum()),
            values[rows],
            extractor=self.signed(inputs),
            reference=wanted,
            reason="" if known.any() else self.unknown(inputs, rows, wanted),
        )

    def _all(self, inputs: MetricInputs, wanted: Which) -> tuple[Floats, np.ndarray]:
        (tracks, found), (true, known) = self.tracks(inputs, "generated"), self.tracks(inputs, wanted)
        values, valid = np.full(len(inputs), np.nan), np.zeros(len(inputs), dtype=bool)
        for row in np.flatnonzero(known):
            real = reached(progress(true[row]), self.share)
            made = reached(progress(tracks[row]), self.share) if found[row] else np.nan
            valid[row] = np.isfinite(made)
            values[row] = abs(made - real) if np.isfinite(made) else 1.0
        values[~np.isfinite(values)] = np.nan
        return values, valid


def progress(track: Floats) -> Floats:
    """The share of its way that a track (T, 68, 2) has gone at each frame: (T,), 0 first and 1 last.

    NaN for a track that ends where it began.
    """
    from scipy.ndimage import gaussian_filter1d

    face = gaussian_filter1d(without_head_motion(track)[:, INNER], SIGMA, axis=0, mode="nearest")
    gone = (face - face[0]).reshape(len(face), -1)
    way = gone[-1] @ gone[-1]
    return gone @ gone[-1] / way if way > STILL else np.full(len(face), np.nan)


def reached(curve: Floats, share: float) -> float:
    """When a curve over [0, 1] first reaches a value, linearly between its samples; NaN: never.

    >>> reached(np.array([0.0, 0.5, 1.0]), 0.75)
    0.75
    """
    above = np.flatnonzero(curve >= share)
    if not len(above):
        return float("nan")
    last = int(above[0])
    if last == 0:
        return 0.0
    low, high = curve[last - 1], curve[last]
    return float((last - 1 + (share - low) / (high - low)) / (len(curve) - 1))
