"""Landmark motion as a detector sees it: one detector, one smoother and the same points on both sides.

A detector's landmarks jitter by a few tenths of a pixel, and the direction of a motion, which is what the
sphere of square-root velocity functions keeps, is lost in that long before the eye sees it. So each
coordinate is smoothed over time by a Gaussian whose deviation is :data:`SIGMA` of the clip's duration. Chosen
on embedded faces, whose landmarks are exact (docs/motion.md): shorter ones leave noise, longer ones no longer
notice frames in the wrong order. When something moves is asked apart (`fesbench.metrics.motion.timing`), on a
curve that a hundred coordinates share, where less smoothing is needed.

Frames without a face are filled in linearly from the nearest ones with a face; a clip of which more than half
of the frames have none is lost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.clips import NO_CLIP, ClipMetric
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, Which
from fesbench.metrics.motion.landmark_motion import FRAMES, resampled, srvf, without_head_motion

SIGMA = 0.2
INNER = slice(17, 68)
"""Brows, nose, eyes and mouth: what a detector says of the jaw's outline moves least and jitters most."""

LANDMARKS = "dlib-landmarks-fine"
LEAST_SEEN = 0.5
NO_REAL_FACE = "no face is found in any real clip"
NO_REAL_MOTION = "no real clip moves"

MEANINGS = {
    "smooth": "how landmarks are smoothed over time",
    "points": "which of the 68 landmarks",
    "head": "how head motion is taken out",
    "curve": "frames that a motion is resampled to",
    "fill": "how frames without a face are filled in",
}


def rule(**others: str) -> dict[str, str]:
    """What all metrics of detected motion have in their signatures, with what one of them does otherwise."""
    return {
        "smooth": f"gauss{SIGMA:g}-of-clip",
        "points": f"{INNER.start}-{INNER.stop - 1}",
        "head": "similarity-to-first",
        "fill": f"linear-from-{LEAST_SEEN:g}",
        **others,
    }


def sphere_rule(**others: str) -> dict[str, str]:
    """The same of metrics that compare directions."""
    return rule(curve=str(FRAMES), **others)


class LandmarkMetric(ClipMetric):
    """A metric of the landmarks that are detected in every frame of a clip."""

    extractor = LANDMARKS
    meanings = MEANINGS

    def tracks(self, inputs: MetricInputs, which: Which) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Landmarks of all clips, gaps filled: (N, T, 68, 2) pixels, NaN where lost; whether found (N,)."""
        return inputs.memo(("tracks", self.extractor, which), lambda: self._tracks(inputs, which))

    def _tracks(self, inputs: MetricInputs, which: Which) -> tuple[Floats, npt.NDArray[np.bool_]]:
        clips = self.clips(inputs)
        found = clips.frames.feature_set(self.extractor, which)
        if found.values.shape[1] != 136:
            raise DataError(f"{self.extractor} gives {found.values.shape[1]} values, not 68 points (x, y)")
        shape = (len(inputs), clips.length)
        points = found.values.astype(np.float64).reshape(*shape, 68, 2)
        filled = [
            filled_in(track, seen) for track, seen in zip(points, found.valid.reshape(shape), strict=True)
        ]
        tracks = np.stack(filled)
        lost = np.isnan(tracks.reshape(len(tracks), -1))
        return tracks, np.logical_not(lost.any(axis=1))

    def wanted(self, inputs: MetricInputs) -> Which:
        """The clips whose motion is wanted: the drivers' where they are granted, else the real ones."""
        frames = self.clips(inputs).frames
        granted = "driver" in frames.requests and (frames.requests["driver"] >= 0).any()
        return "driver" if granted else "target"

    def unknown(self, inputs: MetricInputs, rows: Rows, wanted: Which) -> str:
        """Why the wanted clips of these requests show no motion to compare with."""
        clips = self.clips(inputs)
        there = clips.frames.requests.get(wanted)
        if there is not None and (there.to_numpy()[clips.rows(rows)] < 0).all():
            return NO_CLIP
        _, known = self.tracks(inputs, wanted)
        return NO_REAL_MOTION if known[rows].any() else NO_REAL_FACE

    def signed(self, inputs: MetricInputs) -> str:
        """The extractor's signature."""
        return self.clips(inputs).frames.feature_set(self.extractor, "generated").signature


def filled_in(track: Floats, seen: npt.NDArray[np.bool_]) -> Floats:
    """A track (T, 68, 2) whose frames without a face lie linearly between the others; all NaN where lost."""
    if seen.mean() < LEAST_SEEN:
        return np.full_like(track, np.nan)
    times, known = np.arange(len(track)), np.flatnonzero(seen)
    columns = track.reshape(len(track), -1)
    filled = [np.interp(times, known, columns[known, k]) for k in range(columns.shape[1])]
    found: Floats = np.stack(filled, axis=1).reshape(track.shape)
    return found


def smoothed(track: Floats, sigma: float = SIGMA) -> Floats:
    """A track (T, ...) smoothed over time; ``sigma`` as a share of its duration."""
    from scipy.ndimage import gaussian_filter1d

    found: Floats = gaussian_filter1d(track, sigma * (len(track) - 1), axis=0, mode="nearest")
    return found


def direction(track: Floats) -> Floats:
    """The motion of a track (T, 68, 2) as a point of the sphere: smooth, without the head's, inner points."""
    face = without_head_motion(smoothed(track))[:, INNER]
    return srvf(resampled(face, FRAMES))
