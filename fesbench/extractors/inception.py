"""Inception features for FID and KID: torch-fidelity's port of the TensorFlow network of 2015-12-05."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
from importlib.util import find_spec
from typing import Any

import numpy as np

from fesbench.errors import WeightsError
from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.extractors.weights import WeightsManager

_BATCH = 16


class Inception(Extractor):
    """2048 pool3 features, torch-fidelity's layer '2048'.

    uint8 in, resized to 299 px by torch-fidelity's copy of TensorFlow 1's bilinear filter (no half-pixel
    centers, no antialiasing), then (x - 128) / 128. Runs on the GPU where there is one.
    """

    name = "inception-tf-2015"
    dimension = 2048

    def __init__(self, manager: WeightsManager, device: str | None = None) -> None:
        self._manager = manager
        self._device = device
        self._network: Any = None
        self._lock = threading.Lock()

    @property
    def signature(self) -> str:
        """Names the weights, the size, the filter and the range."""
        return (
            f"{self.name}:{(self._manager.sha256(self.name) or 'unpinned')[:8]}:299:bilinear-tf1:rgb-128-128"
        )

    def available(self) -> str | None:
        """None, or the missing package or weights."""
        if find_spec("torch_fidelity") is None:
            return "package: torch-fidelity (pip install torch-fidelity)"
        return self._manager.available(self.name)

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (N, 2048) of the whole picture; every image is valid."""
        import torch

        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        network = self._load()
        device = next(network.parameters()).device
        # TF32 would round the features to three digits on a GPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for rows, chunk in fixed_chunks(images, _BATCH):
                pixels = torch.from_numpy(chunk).permute(0, 3, 1, 2).contiguous().to(device)
                (features,) = network(pixels)
                values[rows] = features.float().cpu().numpy()[: rows.stop - rows.start]
        return values, np.ones(len(images), dtype=bool)

    def _load(self) -> Any:
        with self._lock:
            if self._network is None:
                self._network = self._build()
            return self._network

    def _build(self) -> Any:
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path = self._manager.path(self.name)
        raw = path.read_bytes()
        # The bytes that are opened are the bytes that were checked.
        if hashlib.sha256(raw).hexdigest() != self._manager.sha256(self.name):
            raise WeightsError(f"{path} changed while it was read; run: fesbench weights verify")
        try:
            state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
            # torch-fidelity opens its file as a full pickle: it gets one that was written here.
            clean = io.BytesIO()
            torch.save(state, clean)
            clean.seek(0)
            network = FeatureExtractorInceptionV3(
                self.name, [str(self.dimension)], feature_extractor_weights_path=clean
            )
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            first = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path} does not hold torch-fidelity's Inception ({first})") from error
        return network.to(self._device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def close(self) -> None:
        """Forget the network."""
        self._network = None
