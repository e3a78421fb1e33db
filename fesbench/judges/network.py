"""The small network of fesbench's own judges, and how it reads an image."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.judges.stored import FactsType, StoredNetwork

INPUT = 64
_BATCH = 64
_WIDTHS = (32, 64, 128, 128)


class JudgeNetwork(nn.Module):
    """Four strided blocks of convolution, BatchNorm and ReLU, and a linear layer on the 4 x 4 map."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second, third, fourth = _WIDTHS
        self.blocks = nn.Sequential(
            *_block(1, first, kernel=5, stride=2),
            *_block(first, second, kernel=3, stride=2),
            *_block(second, second, kernel=3, stride=1),
            *_block(second, third, kernel=3, stride=2),
            *_block(third, fourth, kernel=3, stride=2),
        )
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(fourth * (INPUT // 16) ** 2, classes)

    def forward(self, gray: Tensor) -> Tensor:
        """Logits (N, classes) of standardized gray images (N, 1, 64, 64)."""
        return self.head(self.dropout(self.blocks(gray).flatten(1)))


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def to_input(images: np.ndarray) -> Tensor:
    """Gray, antialiased to 64 px, each image standardized.

    Args:
        images: uint8 (N, H, W, 3) RGB of any size.

    Returns:
        float32 (N, 1, 64, 64), mean 0 and deviation 1 each (0 everywhere for a flat image).
    """
    rgb = torch.from_numpy(np.ascontiguousarray(images)).float()
    # Rec. 601 luma, as in every gray conversion of the field.
    gray = (rgb @ torch.tensor([0.299, 0.587, 0.114]))[:, None]
    if gray.shape[-2:] != (INPUT, INPUT):
        gray = F.interpolate(gray, (INPUT, INPUT), mode="bilinear", antialias=True, align_corners=False)
    return standardize(gray)


def standardize(gray: Tensor) -> Tensor:
    """Mean 0 and deviation 1 for each image of (N, 1, H, W)."""
    centered = gray - gray.mean(dim=(1, 2, 3), keepdim=True)
    return centered / (centered.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-3)


class TrainedNetwork(StoredNetwork[FactsType], Extractor):
    """A `JudgeNetwork` with its facts; it reads a face and its mirror image. Every image is valid."""

    needs_landmarks = False
    network: JudgeNetwork

    @classmethod
    def empty(cls, facts: FactsType) -> JudgeNetwork:
        """A network of as many outputs."""
        return JudgeNetwork(len(facts.outputs))

    @staticmethod
    @abstractmethod
    def answers(logits: Tensor) -> Tensor:
        """From logits (N, classes) to what the features are."""

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 (N, classes), the mean of image and mirror image; every image is valid."""
        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), len(self.classes)), dtype=np.float32)
        with torch.inference_mode():
            for rows, chunk in fixed_chunks(images, _BATCH):
                gray = to_input(chunk)
                # A mirrored face shows the same expression: one answer for both, and a better one.
                both = self.answers(self.network(torch.cat([gray, gray.flip(-1)])))
                values[rows] = both.view(2, len(chunk), -1).mean(dim=0).numpy()[: rows.stop - rows.start]
        return values, np.ones(len(images), dtype=bool)
