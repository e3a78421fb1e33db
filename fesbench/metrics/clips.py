"""What metrics of clips have in common: every frame, values per clip, metrics of images over frames."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.inputs import Clips, Floats, MetricInputs, Rows

OVER = {"over": "which frames of a clip, and how they are pooled"}
NO_CLIP = "no target clip exists for these requests"


class ClipMetric(Metric):
    """A metric that reads every frame of a clip."""

    reads_clips = True

    def clips(self, inputs: MetricInputs) -> Clips:
        """The frames of the clips.

        Raises:
            DataError: the evidence has images alone.
        """
        if inputs.clips is None:
            raise DataError(f"{self.name} reads clips, and this evidence has images alone")
        return inputs.clips

    def by_frame(self, inputs: MetricInputs) -> dict[str, Floats]:
        """What the score is made of at each frame, (N, T) by name, for the curves of a page; {}: nothing."""
        return {}


class OverFrames(ClipMetric):
    """A metric of images on every frame but the first, which is given, as the mean over a clip's frames.

    Frames without a value are left out. A class of it names the metric of images as ``inner``.
    """

    inner: ClassVar[type[Metric]]

    def settings(self) -> dict[str, str]:
        """Those of the metric of images, and over which frames it is taken."""
        return self._image_metric().settings() | {"over": "frames-but-first-mean"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The mean of each clip."""
        clips = self.clips(inputs)
        later = clips.rows(rows).reshape(len(rows), clips.length)[:, 1:]
        found = self._image_metric().find(clips.frames, later.reshape(-1))
        if found.values is None:
            return found
        by_clip = found.values.reshape(later.shape)
        known = np.isfinite(by_clip)
        count = known.sum(axis=1)
        total = np.where(known, by_clip, 0.0).sum(axis=1)
        found.values = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
        found.n_valid = int((count > 0).sum())
        return found

    def _image_metric(self) -> Metric:
        return self.inner(self.extractor, name=self.image_name)

    @property
    def image_name(self) -> str:
        """The name of the metric of images: what stands before "-frames"."""
        return self.name.partition("[")[0].removesuffix("-frames")


def correlations(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of the rows of two (N, T); 0 where one is constant, NaN where one is unknown."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (first, second))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    found = np.divide((a * b).sum(axis=1), scale, out=np.zeros(len(a)), where=scale > 0)
    return np.where(np.isfinite(scale), found, np.nan)
