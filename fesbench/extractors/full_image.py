"""Networks that look at the whole image: what they share in loading, checking and batching."""

from __future__ import annotations

import pickle
import warnings
from abc import abstractmethod
from typing import Any

import numpy as np

from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.extractors.loading import LoadedNetwork
from fesbench.weights.state_dict import checked_bytes, unfit

_BATCH = 16


class WholeImage(LoadedNetwork, Extractor):
    """Features of the whole image by one network with one weights file; every image is valid.

    Runs on the GPU where there is one.

    Attributes:
        dimension: of the features.
        holds: what the weights file must hold, for messages.
    """

    dimension: int
    holds: str
    packages = (("torch_fidelity", "torch-fidelity (pip install torch-fidelity)"),)

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (N, dimension)."""
        import torch

        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), self.dimension), dtype=np.float32)
        network = self._load()
        device = next(network.parameters()).device
        # TF32 would round the features to three digits on a GPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for rows, chunk in fixed_chunks(images, _BATCH):
                features = self._forward(network, self._input(chunk).to(device))
                values[rows] = features.float().cpu().numpy()[: rows.stop - rows.start]
        return values, np.ones(len(images), dtype=bool)

    def _input(self, images: np.ndarray) -> Any:
        """What the network takes, here uint8 (N, 3, H, W), of uint8 images (N, H, W, 3)."""
        import torch

        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def _forward(self, network: Any, inputs: Any) -> Any:
        """Features (N, dimension)."""
        return network(inputs)

    @abstractmethod
    def _parse(self, content: bytes) -> Any:
        """The network from its file's bytes, in evaluation mode, on the CPU."""

    def _build(self) -> Any:
        content = checked_bytes(self._manager, self.weights[0])
        try:
            with warnings.catch_warnings():
                # These files were published as TorchScript, which torch would rather forget.
                warnings.simplefilter("ignore")
                network = self._parse(content)
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError) as error:
            raise unfit(self._manager, self.weights[0], self.holds, error) from error
        return self._placed(network)
