"""The Inception network of 2015-12-05 in the forms whose values the literature calls FID, KID and IS.

They are not interchangeable. Two files hold the network: torch-fidelity's port of the TensorFlow weights,
and the TorchScript that clean-fid uses. Two filters bring an image to 299 px: TensorFlow 1's bilinear one
(no half-pixel centers, no antialiasing), and clean-fid's (Pillow's bicubic, antialiased, each channel in
float, clipped, not rounded to 8 bits). Each form has its own name and signature.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.extractors.base import DerivedExtractor
from fesbench.extractors.full_image import WholeImage
from fesbench.extractors.settings import Settings, setting
from fesbench.weights.manager import WeightsManager
from fesbench.weights.state_dict import checked_bytes, tensors_of

CLASSES = 1008


@dataclass(frozen=True)
class FidelitySettings(Settings):
    """torch-fidelity's input: 299 px by its copy of TensorFlow 1's bilinear filter, RGB, (x - 128) / 128."""

    recipe = "tf1-1"


@dataclass(frozen=True)
class CleanSettings(Settings):
    """clean-fid's input: Pillow's bicubic filter, antialiased, each channel in float, clipped to [0, 255]."""

    recipe = "clean-1"
    size: int = setting(299, "pixels of a side")
    full: float = setting(255.0, "largest pixel value after the resize")
    half: float = setting(128.0, "pixel value that becomes 0, and what the pixels are then divided by")


class Inception(WholeImage):
    """2048 pool3 features, torch-fidelity's layer '2048'.

    uint8 in, resized to 299 px by torch-fidelity's copy of TensorFlow 1's bilinear filter, then
    (x - 128) / 128.
    """

    name = "inception-tf-2015"
    summary = "Inception pool3 features of FID and KID, through torch-fidelity"
    weights = ("inception-tf-2015",)
    dimension = 2048
    settings = FidelitySettings()
    holds = "torch-fidelity's Inception"

    def _parse(self, content: bytes) -> Any:
        return _torch_fidelity(content)

    def _forward(self, network: Any, inputs: Any) -> Any:
        (features,) = network(inputs)
        return features


class InceptionClean(WholeImage):
    """The same network and file as :class:`Inception`, with clean-fid's resize.

    Against ``inception-tf-2015`` it shows what the resize alone does. Its values are near clean-fid's, yet
    not called so: clean-fid's file is another one.
    """

    name = "inception-tf-2015-clean"
    summary = "the same network and weights, with clean-fid's resize"
    weights = ("inception-tf-2015",)
    dimension = 2048
    settings: CleanSettings = CleanSettings()
    holds = "torch-fidelity's Inception"

    def _input(self, images: np.ndarray) -> Any:
        return clean_input(images, self.settings)

    def _parse(self, content: bytes) -> Any:
        import torch

        # The network's parts stand in the order in which it runs them; the last one is the classifier. Its
        # own forward would round the resized image to 8 bits.
        parts = list(_torch_fidelity(content).children())[:-1]
        return torch.nn.Sequential(*parts, torch.nn.Flatten()).eval()


class CleanFidInception(WholeImage):
    """2048 features of clean-fid's TorchScript file with clean-fid's resize, as its mode 'clean' has them."""

    name = "inception-clean-fid"
    summary = "Inception pool3 features as clean-fid computes them, from its own file"
    weights = ("inception-clean-fid",)
    dimension = 2048
    settings: CleanSettings = CleanSettings()
    holds = "clean-fid's Inception"
    packages = (("torch", "torch (pip install torch)"),)

    def _input(self, images: np.ndarray) -> Any:
        return clean_input(images, self.settings)

    def _parse(self, content: bytes) -> Any:
        import torch

        # TorchScript holds no Python that could run on loading.
        layers = torch.jit.load(io.BytesIO(content), map_location="cpu").eval().layers  # type: ignore[no-untyped-call]
        return torch.nn.Sequential(layers, torch.nn.Flatten())

    def _forward(self, network: Any, inputs: Any) -> Any:
        import torch

        # A TorchScript that is optimized while it runs may round its third batch otherwise than its first.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return network(inputs)


class InceptionLogits(DerivedExtractor):
    """1008 class scores without bias, torch-fidelity's layer 'logits_unbiased', from the pool3 features.

    They are one matrix product away from the features of FID, so no image runs through the network twice.
    """

    name = "inception-tf-2015-logits"
    summary = "Inception class scores of IS, from the features of FID"
    weights = ("inception-tf-2015",)
    settings: Settings = FidelitySettings()

    def __init__(
        self, manager: WeightsManager, device: str | None = None, settings: Settings | None = None
    ) -> None:
        super().__init__(Inception(manager, device, settings))
        self._manager = manager
        self._weight: np.ndarray | None = None

    @property
    def signature(self) -> str:
        """That of the features, and the layer."""
        tail = self.base.signature.removeprefix(f"{self.base.name}:")
        return f"{self.name}:{tail}:{CLASSES}-unbiased"

    def derive(self, values: np.ndarray) -> np.ndarray:
        """(N, 2048) features -> (N, 1008) float32, equal for any N."""
        if self._weight is None:
            state = tensors_of(checked_bytes(self._manager, self.weights[0]))
            self._weight = state["fc.weight"].numpy().astype(np.float64)
        # In double precision, so that rounding to single hides how a product was cut into batches.
        return (values.astype(np.float64) @ self._weight.T).astype(np.float32)

    def close(self) -> None:
        """Forget the network and the matrix."""
        super().close()
        self._weight = None


def clean_input(images: np.ndarray, settings: CleanSettings = CleanSettings()) -> Any:
    """Images as clean-fid feeds its network: Pillow's bicubic in float, centered and scaled.

    Args:
        images: uint8 (N, H, W, 3).
        settings: size and range.

    Returns:
        float32 tensor (N, 3, size, size).
    """
    import torch
    from PIL import Image

    size = (settings.size, settings.size)
    resized = np.empty((len(images), 3, *size), dtype=np.float32)
    for image, planes in zip(images, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel], dtype=np.float32))
            planes[channel] = np.asarray(plane.resize(size, Image.Resampling.BICUBIC)).clip(0, settings.full)
    return (torch.from_numpy(resized) - settings.half) / settings.half


def _torch_fidelity(content: bytes) -> Any:
    """torch-fidelity's Inception with the 2048 features as its one output."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity opens its file as a full pickle: it gets one that was written here.
    clean = io.BytesIO()
    torch.save(tensors_of(content), clean)
    clean.seek(0)
    return FeatureExtractorInceptionV3("inception-tf-2015", ["2048"], feature_extractor_weights_path=clean)
