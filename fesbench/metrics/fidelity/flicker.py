"""Flicker: does what should be still stay still?

Of every clip the mean change from frame to frame is taken over the pixels outside of the face, in gray levels
of 255, and its distance to the real clip's own is told: real backgrounds move with the body, and a clip that
stands still is as far from them as one that trembles. The face is the convex hull of the source's known
landmarks, grown by half about its center, since hair and neck move with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found
from fesbench.metrics.clips import NO_CLIP, ClipMetric
from fesbench.metrics.common import has_target
from fesbench.metrics.inputs import Clips, Floats, MetricInputs, Rows

GROWN = 1.5
"""The hull's size relative to the landmarks'."""


class Flicker(ClipMetric):
    """Distance of the change outside of the face to the real clip's."""

    name = "Flicker"
    title = "change outside of the face, against the real clip's"
    direction = "lower"
    high = 255.0
    unit = "gray levels"
    needs = frozenset({"target"})
    source = "fesbench"
    meanings = {"outside": "the pixels that are looked at"}

    def settings(self) -> dict[str, str]:
        """Which pixels, which change."""
        return {"outside": f"hull-of-source-landmarks-x{GROWN:g}", "avg": "frames"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the clips with a real one and known landmarks of the source."""
        values = inputs.memo(("flicker",), lambda: self._all(inputs))[rows]
        n_valid = int(np.isfinite(values).sum())
        return Found(n_valid, values, reference="truth", reason="" if n_valid else NO_CLIP)

    def _all(self, inputs: MetricInputs) -> Floats:
        clips = self.clips(inputs)
        values = np.full(len(inputs), np.nan)
        true, points = clips.frames.target, inputs.landmarks.get("source")
        present = has_target(clips.frames)[:: clips.length]
        if true is None or points is None:
            return values
        size = clips.frames.generated.shape[1]
        for row in np.flatnonzero(present & np.isfinite(points).all(axis=(1, 2))).tolist():
            outside = ~face_region(points[row], size)
            if outside.any():
                made, real = (_change(clips, stack, row, outside) for stack in (clips.frames.generated, true))
                values[row] = abs(made - real)
        return values


def face_region(landmarks: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.bool_]:
    """The grown hull of landmarks (68, 2): bool (size, size)."""
    from PIL import Image, ImageDraw
    from scipy.spatial import ConvexHull

    center = landmarks.mean(axis=0)
    hull = landmarks[ConvexHull(landmarks).vertices]
    grown = center + GROWN * (hull - center)
    canvas = Image.new("1", (size, size))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in grown], fill=1, outline=1)
    return np.asarray(canvas, dtype=bool)


def _change(clips: Clips, stack: npt.NDArray[np.uint8], row: int, outside: npt.NDArray[np.bool_]) -> float:
    """Mean absolute change from frame to frame over some pixels."""
    frames = np.asarray(stack[row * clips.length : (row + 1) * clips.length])[:, outside].astype(np.int16)
    return float(np.abs(np.diff(frames, axis=0)).mean())
