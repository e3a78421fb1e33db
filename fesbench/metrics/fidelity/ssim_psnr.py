"""SSIM, MS-SSIM and PSNR against the target image, per image, on [0, 1] RGB at the protocol's size.

Settings that public implementations silently differ in are fixed and named in the signature: 11 x 11
Gaussian window of sigma 1.5 on valid pixels, no down-sampling, the mean over the three color channels, data
range 1, and for PSNR the mean of the per-image decibels, with 1e-8 added to the mean squared error
(identical images give 80 dB).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fesbench.data.views import in_blocks
from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import NO_TARGET, has_target
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import cluster_mean, deleted_means

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

WINDOW, SIGMA = 11, 1.5
MS_SCALES = 5
LUMA = (0.299, 0.587, 0.114)


class _Fidelity(Metric):
    """A comparison of each output with its target image."""

    needs = frozenset({"target"})
    meanings = {
        "cap": "largest value, in dB",
        "ch": "color channels",
        "down": "downsampling before the comparison",
        "mean": "what is averaged",
        "range": "range of the pixel values",
        "scales": "number of scales",
        "window": "window and border",
    }

    @abstractmethod
    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The comparison of two images (1, 3, S, S) in [0, 1]."""

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the requests that have a target image; the others are counted as not valid."""
        values, target = np.full(len(rows), np.nan), inputs.target
        if target is not None:
            present = has_target(inputs)
            key = (self.name, tuple(self.settings().items()))
            values = inputs.memo(key, lambda: self.per_image(inputs.generated, target, present))[rows]
        n_valid = int(np.isfinite(values).sum())
        return Found(n_valid, values, resize="none", reference="truth", reason="" if n_valid else NO_TARGET)

    def per_image(
        self, generated: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], present: npt.NDArray[np.bool_]
    ) -> Floats:
        """The values (N,) of two stacks uint8 (N, S, S, 3), NaN where ``present`` is false."""
        import torch

        if generated.shape != target.shape or generated.dtype != np.uint8 or target.dtype != np.uint8:
            raise DataError(
                f"{self.name} needs uint8 images of one shape; got {generated.dtype}{generated.shape} "
                f"and {target.dtype}{target.shape}"
            )
        compare, values = self._compare(), np.full(len(generated), np.nan)
        with torch.inference_mode():
            # One image at a time: as quick as batches on a CPU, and bit-equal however requests are grouped.
            for rows in in_blocks(np.flatnonzero(present)):
                for i, made, true in zip(rows, generated[rows], target[rows], strict=True):
                    values[i] = float(compare(_unit(made), _unit(true)))
        return values


class SSIM(_Fidelity):
    """Structural similarity (piq), mean over pixels and RGB channels."""

    name = "SSIM"
    title = "structural similarity to the target image"
    low = -1.0
    source = "Wang et al., Image quality assessment: from error visibility to structural similarity (2004)"

    def settings(self) -> dict[str, str]:
        """Window, border, downsampling, channels, range."""
        return {"window": f"gauss{WINDOW}-{SIGMA}-valid", "down": "none", "ch": "rgb-mean", "range": "0-1"}

    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        from piq import ssim

        return lambda x, y: ssim(
            x, y, kernel_size=WINDOW, kernel_sigma=SIGMA, data_range=1.0, downsample=False
        )


class PSNR(_Fidelity):
    """Peak signal-to-noise ratio (piq): the mean over images of each image's decibels."""

    name = "PSNR"
    title = "peak signal-to-noise ratio to the target image"
    plain = "peak signal-to-noise ratio against the target image"
    high = 80.0
    unit = "dB"
    source = "piq 0.8; Li, Qi, Sun (2021), equation 8"

    def settings(self) -> dict[str, str]:
        """Averaging, channels, cap, range."""
        return {"mean": "of-db", "ch": "rgb", "cap": "80", "range": "0-1"}

    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        from piq import psnr

        return lambda x, y: psnr(x, y, data_range=1.0)


class LuminanceSSIM(SSIM):
    """SSIM of the luma, as libraries that convert to YIQ first report it; gray images score as in SSIM."""

    name = "SSIM-Y"
    title = "structural similarity of the luma to the target image"

    def settings(self) -> dict[str, str]:
        """Window, border, downsampling, channel, range."""
        return super().settings() | {"ch": "luma-601"}

    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        compare = super()._compare()
        return lambda x, y: compare(_luma(x), _luma(y))


class MultiScaleSSIM(_Fidelity):
    """MS-SSIM (piq): SSIM's contrast and structure over five scales, its luminance at the coarsest."""

    name = "MS-SSIM"
    title = "multi-scale structural similarity to the target image"
    low = -1.0
    source = "Wang et al., Multiscale structural similarity for image quality assessment (2003)"

    def settings(self) -> dict[str, str]:
        """Window, border, scales, channels, range."""
        window = f"gauss{WINDOW}-{SIGMA}-valid"
        return {"window": window, "scales": str(MS_SCALES), "ch": "rgb-mean", "range": "0-1"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """As the others; refused where the coarsest scale is smaller than the window."""
        size, least = min(inputs.generated.shape[1:3]), (WINDOW - 1) * 2 ** (MS_SCALES - 1) + 1
        if size >= least:
            return super().find(inputs, rows)
        reason = f"needs images of {least} px, has {size} px"
        return Found(0, np.full(len(rows), np.nan), resize="none", reference="truth", reason=reason)

    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        from piq import multi_scale_ssim

        return lambda x, y: multi_scale_ssim(x, y, kernel_size=WINDOW, kernel_sigma=SIGMA, data_range=1.0)


class PooledPSNR(_Fidelity):
    """PSNR of the mean squared error over all images: never above the mean of each image's decibels."""

    name = "PSNR-pooled"
    title = "peak signal-to-noise ratio of the pooled error to the target images"
    high = 80.0
    unit = "dB"
    source = "torchmetrics' default; Jensen's inequality parts it from PSNR"
    per_sample = False

    def settings(self) -> dict[str, str]:
        """Averaging, channels, cap, range."""
        return {"mean": "of-mse", "ch": "rgb", "cap": "80", "range": "0-1"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Decibels of the mean squared error, and of its interval's ends."""
        found = super().find(inputs, rows)
        errors, found.values = found.values, None
        if errors is None or found.reason:
            return found
        kept = np.isfinite(errors)
        errors, clusters = errors[kept], inputs.clusters[rows][kept]
        of = cluster_mean(errors, clusters, seed=inputs.seed)
        if (deleted := deleted_means(errors, clusters)) is not None:
            deleted = replace(deleted, values=np.array([_decibels(error) for error in deleted.values]))
        # The worst error is the lowest ratio.
        value, low, high = (_decibels(error) for error in (of.value, of.high, of.low))
        found.interval = replace(of, value=value, low=low, high=high, replicates=deleted)
        return found

    def _compare(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        return lambda x, y: (x - y).square().mean()


def _decibels(error: float) -> float:
    return float(-10 * np.log10(max(error, 0.0) + 1e-8))


def _luma(image: torch.Tensor) -> torch.Tensor:
    """(1, 3, S, S) RGB -> (1, 1, S, S), weighted as in ITU-R BT.601."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _unit(image: npt.NDArray[np.uint8]) -> torch.Tensor:
    """(S, S, 3) uint8 -> (1, 3, S, S) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].contiguous().float() / 255
