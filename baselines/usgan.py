"""US-GAN (MTAP 2023). Choices: the announced schedule (constant for half, then linear to zero), since the
released decay moves the rate by 0.02 % in all; the rest as released, with instance norm per image.

Preset ``tiny``, for minutes on two CPU cores: it works on 32 px, with width 16, batches of 16, rate 1e-3, the
critic's depth and initial weights as StarGAN's ``tiny`` and a generator's class weight of 0.2, for its
reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.methods.card import MethodCard
from fesbench.methods.state_import import Release

from ._blocks import Depth, Residual, head, trunk, with_planes
from .stargan import StarGAN


@dataclass(frozen=True)
class USGANHyper:
    """The release's values."""

    width: int = 64
    batch_size: int = 8
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    class_weight: float = 1.0
    generator_class_weight: float = 1.0
    cycle_weight: float = 1.0
    penalty_weight: float = 10.0
    steps: int = 200_000
    native: str = ""
    critic_depth: Depth = "published"
    critic_he: bool = False
    critic_rate: float | None = None
    start_steps: int = 0
    smoke_steps: int = 650
    short_steps: int | None = None


class SkipGenerator(nn.Module):
    """A change image from one residual block's trunk, added to the input."""

    def __init__(self, classes: int, width: int, middle: list[nn.Module] | None = None) -> None:
        super().__init__()
        self.body = trunk(3 + classes, width, middle or [Residual(4 * width)])
        self.last = head(width, 3)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] and (N, K) -> (N, 3, H, W) in [-2, 2], not clamped."""
        return image + torch.tanh(self.last(self.body(with_planes(image, condition))))


class USGAN(StarGAN):
    """StarGAN's training, with one residual block and the ultimate skip connection."""

    card: ClassVar[MethodCard] = MethodCard(
        id="usgan",
        title="US-GAN",
        citation="Akram and Khan, MTAP 2023, arXiv 2112.13002: "
        "US-GAN: On the importance of Ultimate Skip Connection for Facial Expression Synthesis",
        year=2023,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "compound"}),
        notes="compound: both labels' planes set, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": USGANHyper(),
        "tiny": USGANHyper(
            native="32-color-bicubic-aa",
            width=16,
            batch_size=16,
            learning_rate=1e-3,
            generator_class_weight=0.2,
            critic_depth="side",
            critic_he=True,
            smoke_steps=1000,
        ),
    }

    release: ClassVar[Release | None] = Release(
        "usgan_*_G.ckpt", ("fear", "anger", "disgust", "happiness", "neutral", "sadness", "surprise")
    )

    def make_generator(self) -> nn.Module:
        """The generator with the skip."""
        return SkipGenerator(self.classes, self.hyper.width)
