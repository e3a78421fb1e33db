"""DINOv2's image features for Fréchet distances, as torch-fidelity computes them.

torch-fidelity's own extractor takes no weights file: it downloads code and weights anew, unchecked. Here the
published file is opened in timm's vision transformer, whose parts bear the same names. Two things are not
timm's: the resize of the positions, done as the published code does it, and torch-fidelity's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fesbench.extractors.full_image import WholeImage
from fesbench.extractors.settings import Settings, setting
from fesbench.weights.state_dict import tensors_of

PATCH, HEAD = 14, 64
"""Of the published networks: pixels of a patch's side, width of an attention head."""


@dataclass(frozen=True)
class DinoSettings(Settings):
    """torch-fidelity's input: TensorFlow 1's bilinear filter, RGB, ImageNet's mean and deviation."""

    recipe = "dino-1"
    size: int = setting(224, "pixels of a side")
    mean: tuple[float, ...] = setting((0.485, 0.456, 0.406), "taken off the pixels in [0, 1] (R, G, B)")
    deviation: tuple[float, ...] = setting((0.229, 0.224, 0.225), "what they are then divided by")
    full: float = setting(255.0, "pixel value that counts as 1")
    # DINOv2 adds it before it divides by the trained number, and samples at that scale: the positions are not
    # those of a plain resize.
    offset: float = setting(0.1, "added to the patches of a side where positions are resized")


class DinoV2(WholeImage):
    """The normalized class token of DINOv2 ViT-B/14 without registers, 768-d.

    uint8 in, resized to 224 px by torch-fidelity's copy of TensorFlow 1's bilinear filter, then ImageNet's
    mean and deviation. In float32.

    Source: Stein et al., Exposing flaws of generative model evaluation metrics (2023), which uses ViT-L/14.
    """

    name = "dinov2-vit-b-14"
    summary = "DINOv2 ViT-B/14's 768-d class token, as torch-fidelity computes it"
    weights = ("dinov2-vit-b-14",)
    dimension = 768
    settings: DinoSettings = DinoSettings()
    holds = "DINOv2's vision transformer"
    packages = (("timm", "timm (pip install 'fesbench[clip]')"),)

    def _input(self, images: Any) -> Any:
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
        from torchvision.transforms.functional import normalize

        own, pixels = self.settings, super()._input(images).float()
        resized = interpolate_bilinear_2d_like_tensorflow1x(
            pixels, size=(own.size, own.size), align_corners=False
        )
        return normalize(resized, [own.full * m for m in own.mean], [own.full * d for d in own.deviation])

    def _parse(self, content: bytes) -> Any:
        from timm.models.vision_transformer import VisionTransformer

        state, size = tensors_of(content), self.settings.size
        # Only training hides patches behind this token.
        state.pop("mask_token", None)
        state["pos_embed"] = resized_positions(state["pos_embed"], size // PATCH, self.settings.offset)
        width = state["pos_embed"].shape[-1]
        network = VisionTransformer(
            img_size=size,
            patch_size=PATCH,
            embed_dim=width,
            depth=sum(name.endswith(".norm1.weight") for name in state),
            num_heads=width // HEAD,
            init_values=1.0,
            num_classes=0,
            global_pool="token",
        )
        network.load_state_dict(state)
        return network.requires_grad_(False).eval()


class DinoV2Large(DinoV2):
    """The same of ViT-L/14, 1024-d."""

    name = "dinov2-vit-l-14"
    summary = "DINOv2 ViT-L/14's 1024-d class token, as torch-fidelity computes it"
    weights = ("dinov2-vit-l-14",)
    dimension = 1024


def resized_positions(positions: Any, side: int, offset: float = DinoSettings.offset) -> Any:
    """Position embeddings for another number of patches, as the published code resizes them.

    Args:
        positions: float tensor (1, 1 + M * M, width), the class token's first.
        side: patches a side.
        offset: added to them, see `DinoSettings`.

    Returns:
        float tensor (1, 1 + side * side, width).
    """
    import torch

    trained, width = round((positions.shape[1] - 1) ** 0.5), positions.shape[2]
    if trained == side:
        return positions
    grid = positions[:, 1:].float().reshape(1, trained, trained, width).permute(0, 3, 1, 2)
    scale = (side + offset) / trained
    grid = torch.nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat((positions[:, :1], grid.permute(0, 2, 3, 1).reshape(1, side * side, width)), dim=1)
