"""CLIP's image features for Fréchet distances, through torch-fidelity."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from fesbench.extractors.full_image import WholeImage
from fesbench.extractors.settings import Settings


@dataclass(frozen=True)
class ClipSettings(Settings):
    """torch-fidelity's input: 224 px by TensorFlow 1's bilinear filter, then CLIP's mean and deviation."""

    recipe = "clip-1"


class ClipFeatures(WholeImage):
    """512-d embedding of OpenAI's CLIP ViT-B/32, not normalized, torch-fidelity's 'clip-vit-b-32'.

    uint8 in, resized to 224 px by torch-fidelity's copy of TensorFlow 1's bilinear filter (CLIP's own
    preprocessing is an antialiased bicubic one), then CLIP's mean and deviation. In float32.

    Source: Kynkäänniemi et al., The role of ImageNet classes in Fréchet inception distance (2023).
    """

    name = "clip-vit-b-32"
    summary = "CLIP ViT-B/32's 512-d image embedding, through torch-fidelity"
    weights = ("clip-vit-b-32",)
    dimension = 512
    settings = ClipSettings()
    holds = "OpenAI's CLIP ViT-B/32"

    def _parse(self, content: bytes) -> Any:
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

        # Given a file, torch-fidelity opens no connection; TorchScript runs no Python on loading.
        return FeatureExtractorCLIP(
            self.weights[0], ["clip"], feature_extractor_weights_path=io.BytesIO(content)
        )

    def _forward(self, network: Any, inputs: Any) -> Any:
        (features,) = network(inputs)
        return features
