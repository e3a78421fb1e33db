"""How alike a clip and the real one look, frame by frame at equal times, and how it begins.

The mean over the frames of the score that images have, but for the first, which is given; definitions stand
there. A clip in another order of
frames has the same frames at wrong times, so a score that never looks at time may hardly notice: read them
beside the scores of motion.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.clips import OVER, ClipMetric, OverFrames
from fesbench.metrics.fidelity.perceptual import PerceptualDistance
from fesbench.metrics.fidelity.ssim_psnr import PSNR, SSIM
from fesbench.metrics.inputs import MetricInputs, Rows


class FrameSSIM(OverFrames):
    """SSIM of every frame with the real clip's frame at that time."""

    name = "SSIM-frames"
    title = "structural similarity to the real clip, over frames"
    low = -1.0
    needs = frozenset({"target"})
    source = "Wang et al. (2004), per frame"
    meanings = SSIM.meanings | OVER
    inner = SSIM


class FramePSNR(OverFrames):
    """PSNR of every frame with the real clip's frame at that time."""

    name = "PSNR-frames"
    title = "peak signal-to-noise ratio to the real clip, over frames"
    high = 80.0
    unit = "dB"
    needs = frozenset({"target"})
    source = "piq 0.8, per frame"
    meanings = PSNR.meanings | OVER
    inner = PSNR


class FrameLPIPS(OverFrames):
    """LPIPS of every frame to the real clip's frame at that time."""

    name = "LPIPS-frames"
    title = "learned perceptual distance to the real clip (AlexNet), over frames"
    direction = "lower"
    high = float("inf")
    extractor = "lpips-alex"
    needs = frozenset({"target"})
    source = "Zhang et al. (2018), per frame"
    meanings = OVER
    inner = PerceptualDistance


class FirstFrame(ClipMetric):
    """SSIM of a clip's first frame with the source, from which it should start."""

    name = "First-frame"
    title = "structural similarity of the first frame to the source"
    low = -1.0
    needs = frozenset({"source"})
    source = "fesbench; SSIM after Wang et al. (2004)"
    meanings = SSIM.meanings

    def settings(self) -> dict[str, str]:
        """SSIM's, and what is compared."""
        return SSIM().settings() | {"pair": "first-source"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """One value a clip."""
        values = inputs.memo(("first frame",), lambda: self._all(inputs))[rows]
        return Found(len(rows), values, resize="none", reference="source")

    def _all(self, inputs: MetricInputs) -> np.ndarray:
        clips = self.clips(inputs)
        first = clips.frames.generated[:: clips.length]
        every = np.ones(len(inputs), dtype=bool)
        return SSIM().per_image(np.asarray(first), inputs.source, every)
