"""Networks that look at a crop around known landmarks: what they share in loading, cropping and batching."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from fesbench.extractors import crops
from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.extractors.loading import LoadedNetwork

_BATCH = 16


class FaceNetwork(LoadedNetwork, Extractor):
    """Features of a crop by one network with one weights file.

    Attributes:
        dimension: of the features.
    """

    needs_landmarks = True
    dimension: int
    settings: crops.FaceSettings = crops.FaceSettings()

    @abstractmethod
    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """What the network sees of an image uint8 (H, W, 3), by its finite landmarks (68, 2)."""

    @abstractmethod
    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        """Features (B, dimension) of B crops."""

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (N, dimension), not normalized; see :meth:`Extractor.extract`."""
        check_inputs(self.name, images, landmarks, needs_landmarks=True)
        assert landmarks is not None
        height, width = images.shape[1:3]
        valid = crops.usable(landmarks, height, width, self.settings)
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        rows = np.flatnonzero(valid)
        # Crops are cut batch by batch: memory does not grow with the number of images.
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            values[part] = self.describe(np.stack([self.crop(images[row], landmarks[row]) for row in part]))
        return values, valid

    def describe(self, cut: np.ndarray) -> np.ndarray:
        """Features of ready crops (N, ...), float32 (N, dimension); row n depends on crop n alone."""
        import torch

        network = self._load()
        values = np.zeros((len(cut), self.dimension), dtype=np.float32)
        # TF32 would round the features to three digits on a GPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for within, chunk in fixed_chunks(cut, _BATCH):
                values[within] = self._answer(network, chunk)[: within.stop - within.start]
        return values
