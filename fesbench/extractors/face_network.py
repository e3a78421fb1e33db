"""Networks that look at a crop around known landmarks: what they share in loading, cropping and batching."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Any

import numpy as np

from fesbench.extractors import crops
from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.weights.manager import WeightsManager

_BATCH = 16


class FaceNetwork(Extractor):
    """Features of a crop by one network with one weights file.

    Attributes:
        dimension: of the features.
    """

    needs_landmarks = True
    dimension: int

    def __init__(self, manager: WeightsManager) -> None:
        self._manager = manager
        self._network: Any = None
        self._lock = threading.Lock()

    def available(self) -> str | None:
        """None, or the missing package or weights."""
        return self._manager.available(self.name)

    @abstractmethod
    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """What the network sees of an image uint8 (H, W, 3), by its finite landmarks (68, 2)."""

    @abstractmethod
    def _build(self) -> Any:
        """The network from its checked file, ready for inference."""

    @abstractmethod
    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        """Features (B, dimension) of B crops."""

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (N, dimension), not normalized; see :meth:`Extractor.extract`."""
        import torch

        check_inputs(self.name, images, landmarks, needs_landmarks=True)
        assert landmarks is not None
        valid = crops.usable(landmarks, *images.shape[1:3])
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        rows = np.flatnonzero(valid)
        network = self._load()
        # TF32 would round the features to three digits on a GPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            # Crops are cut batch by batch: memory does not grow with the number of images.
            for start in range(0, len(rows), _BATCH):
                part = rows[start : start + _BATCH]
                cut = np.stack([self.crop(images[row], landmarks[row]) for row in part])
                for within, chunk in fixed_chunks(cut, _BATCH):
                    values[part[within]] = self._answer(network, chunk)[: len(part)]
        return values, valid

    def _load(self) -> Any:
        with self._lock:
            if self._network is None:
                self._network = self._build()
            return self._network

    def close(self) -> None:
        """Forget the network."""
        self._network = None
