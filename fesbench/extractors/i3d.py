"""I3D on Kinetics-400, whose class scores of whole clips are the features of FVD.

Unterthiner et al. take the scores of DeepMind's network from TensorFlow Hub. VideoGPT's file holds those
weights for PyTorch, under the names of the network below, and its input is taken over with it: every frame
brought to 224 px by a bilinear filter without antialiasing, RGB in [-1, 1]. StyleGAN-V's TorchScript resizes
inside and gives other values, so that it would have another name.

Three strides of two and a pooling over two steps leave nothing of a clip of fewer than nine frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.extractors.base import ClipExtractor, check_clips
from fesbench.extractors.loading import LoadedNetwork
from fesbench.extractors.settings import Settings, setting
from fesbench.weights.state_dict import fill, read_state

CLASSES = 400
HOLDS = "VideoGPT's I3D"

_BLOCKS: dict[str, tuple[int, int | tuple[int, ...]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "MaxPool3d_4a_3x3": (3, 2),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "MaxPool3d_5a_2x2": (2, 2),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Inception blocks, (channels, widths), and poolings, (kernel, stride), in the order of the network."""


@dataclass(frozen=True)
class I3DSettings(Settings):
    """VideoGPT's input: bilinear filter without antialiasing, half-pixel centers, RGB in [-1, 1]."""

    recipe = "videogpt-1"
    size: int = setting(224, "pixels of a side")
    full: float = setting(255.0, "pixel value that becomes 1")


class I3D(LoadedNetwork, ClipExtractor):
    """400 class scores before the softmax, the mean over time."""

    name = "i3d-kinetics-400"
    summary = "I3D's Kinetics-400 class scores of whole clips, as FVD takes them"
    weights = ("i3d-kinetics-400",)
    clips = True
    # ceil(T / 8) steps of time must be two, as the last pooling takes
    shortest = 9
    settings: I3DSettings = I3DSettings()
    packages = (("torch", "torch (pip install torch)"),)

    def extract(self, clips: np.ndarray) -> np.ndarray:
        """Scores float32 (N, 400); one clip at a time, so that they do not depend on the others."""
        check_clips(self, clips)
        network = self._load()
        device = next(network.parameters()).device
        values = np.zeros((len(clips), CLASSES), dtype=np.float32)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for row, clip in enumerate(clips):
                values[row] = network(clip_input(clip, self.settings).to(device))[0].cpu().numpy()
        return values

    def _build(self) -> Any:
        state = read_state(self._manager, self.weights[0], HOLDS)
        with torch.device("meta"):
            network = I3DNetwork()
        return self._placed(fill(network, state, self._manager, self.weights[0], HOLDS))


def clip_input(clip: np.ndarray, settings: I3DSettings) -> Tensor:
    """A clip as the network takes it.

    Args:
        clip: uint8 (T, H, W, 3).
        settings: side and scale.

    Returns:
        float32 (1, 3, T, size, size) in [-1, 1].
    """
    frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).float()
    side = (settings.size, settings.size)
    resized = F.interpolate(frames, side, mode="bilinear", align_corners=False)
    return (2 * resized / settings.full - 1).transpose(0, 1)[None]


class Unit(nn.Module):
    """Convolution with TensorFlow's padding 'SAME', BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, outputs, ...)."""
        padded = same_padding(clips, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)))


class Pool(nn.Module):
    """Largest value, with padding 'SAME'; what is pooled is never negative, so that zeros do not count."""

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C, ...)."""
        return F.max_pool3d(same_padding(clips, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, reduced, second, thinned, third, fourth = widths
        self.b0 = Unit(inputs, first)
        self.b1a, self.b1b = Unit(inputs, reduced), Unit(reduced, second, 3)
        self.b2a, self.b2b = Unit(inputs, thinned), Unit(thinned, third, 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(inputs, fourth)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, sum of the branches' widths, T, H, W)."""
        branches = (
            self.b0(clips),
            self.b1b(self.b1a(clips)),
            self.b2b(self.b2a(clips)),
            self.b3b(self.b3a(clips)),
        )
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    """The classifier, a convolution of one place."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, CLASSES, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """(N, C, T, 1, 1) -> (N, 400), the mean over time."""
        scores: Tensor = self.conv3d(pooled)
        return scores.mean(dim=2).flatten(1)


class I3DNetwork(nn.Module):
    """Inception-v1, inflated (Carreira and Zisserman, Quo vadis, action recognition?, CVPR 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        for name, (first, second) in _BLOCKS.items():
            block = Pool([first] * 3, [second] * 3) if isinstance(second, int) else Mixed(first, second)
            self.add_module(name, block)
        self.logits = Logits(1024)

    def forward(self, clips: Tensor) -> Tensor:
        """Class scores (N, 400) of clips (N, 3, T, 224, 224) in [-1, 1], T >= 9."""
        *blocks, logits = self.children()
        for block in blocks:
            clips = block(clips)
        scores: Tensor = logits(F.avg_pool3d(clips, (2, 7, 7), 1))
        return scores


def same_padding(clips: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Zeros around (N, C, T, H, W), one more behind if odd, so that a window starts at every stride."""
    around: list[int] = []
    for length, k, s in zip(reversed(clips.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        missing = max(k - s if length % s == 0 else k - length % s, 0)
        around += [missing // 2, missing - missing // 2]
    return F.pad(clips, around)
