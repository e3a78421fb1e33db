"""QualiCLIP's view of an image: its cosines with seven pairs of prompts about quality.

The official computation (miccunifi/QualiCLIP): native resolution, CLIP's RN50 image tower with attention
pooling *without* positional embedding, all weights and the prompts' features from the checkpoint, float32.
The prompts are never encoded again: a missing comma in the published list fuses two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.extractors.base import check_inputs, check_size
from fesbench.extractors.full_image import WholeImage
from fesbench.extractors.settings import Settings, setting
from fesbench.weights.state_dict import tensors_of

if TYPE_CHECKING:
    import torch

PROMPTS = 14
"""Seven antonym pairs, the positive prompt first."""

_WIDTH = 1024
_PREFIX = "clip_model.visual."


@dataclass(frozen=True)
class QualitySettings(Settings):
    """The image as it is, RGB, CLIP's mean and deviation, no position embedding in the pooling, float32."""

    recipe = "native-1"
    mean: tuple[float, ...] = setting((0.48145466, 0.4578275, 0.40821073), "taken off the pixels in [0, 1]")
    deviation: tuple[float, ...] = setting(
        (0.26862954, 0.26130258, 0.27577711), "what they are then divided by"
    )
    full: float = setting(255.0, "pixel value that counts as 1")


class QualiCLIP(WholeImage):
    """14 cosines between an image and the prompts, then exp(logit_scale) of the checkpoint.

    Source: Agnolucci et al., Quality-aware image-text alignment for opinion-unaware image quality assessment.
    """

    name = "qualiclip"
    summary = "QualiCLIP's cosines with its prompts about quality, at native resolution"
    weights = ("qualiclip",)
    dimension = PROMPTS + 1
    smallest = 32
    settings: QualitySettings = QualitySettings()
    holds = "QualiCLIP"
    packages = (("open_clip", "open-clip-torch (pip install 'fesbench[clip]')"),)

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values float32 (N, 15) of the whole image.

        Raises:
            DataError: the images are smaller than the tower's stride of 32 px.
        """
        check_inputs(self.name, images, None, needs_landmarks=False)
        check_size(self, images)
        return super().extract(images)

    def _input(self, images: np.ndarray) -> torch.Tensor:
        """CLIP's normalization, float32 (N, 3, H, W)."""
        import torch

        own = self.settings
        mean, deviation = (torch.tensor(x).view(1, 3, 1, 1) for x in (own.mean, own.deviation))
        return (super()._input(images).float() / own.full - mean) / deviation

    def _parse(self, content: bytes) -> Any:
        import torch

        state = tensors_of(content)
        prompts, scale = state["prompts_features"].float(), state["clip_model.logit_scale"].float().exp()
        if tuple(prompts.shape) != (PROMPTS, _WIDTH):
            raise RuntimeError(f"prompts of shape {tuple(prompts.shape)}, not {(PROMPTS, _WIDTH)}")
        tower = image_tower()
        own = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
        tower.load_state_dict(own)
        without_position(tower)

        class Network(torch.nn.Module):
            """Images -> cosines and the scale."""

            prompts: torch.Tensor
            scale: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.tower: Any = tower
                self.register_buffer("prompts", prompts)
                self.register_buffer("scale", scale.reshape(1, 1))

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                seen = torch.nn.functional.normalize(self.tower(images), dim=-1)
                return torch.cat([seen @ self.prompts.T, self.scale.expand(len(seen), 1)], dim=1)

        return Network().eval()


def image_tower() -> Any:
    """CLIP's RN50 image tower as open-clip defines it, with random weights."""
    from open_clip.modified_resnet import ModifiedResNet

    return ModifiedResNet(layers=[3, 4, 6, 3], output_dim=_WIDTH, heads=32, image_size=224, width=64)


def without_position(tower: Any) -> None:
    """Drop the positional embedding of the attention pooling: it then takes any grid.

    A single zero row is broadcast over however many tokens there are.
    """
    import torch

    width = tower.attnpool.positional_embedding.shape[1]
    tower.attnpool.positional_embedding = torch.nn.Parameter(torch.zeros(1, width), requires_grad=False)
