"""SARGAN (IEEE TCSVT 2023). Choices: the announced schedule (constant for half, then linear to zero), since
the released decay moves the rate by next to nothing; the release's second attention module on three channels
(189,249 parameters), which no forward pass uses, is left out; instance norm per image throughout.

Preset ``tiny`` is US-GAN's, for its reasons: 32 px, width 16, rate 1e-3, the critic's depth and initial
weights, and the generator's class weight; batches stay at 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.batches import ImageBatch
from fesbench.methods.card import MethodCard
from fesbench.methods.state_import import Release, renamed

from ._blocks import convert_trunk, norm
from .stargan import StarGAN
from .usgan import SkipGenerator, USGANHyper


@dataclass(frozen=True)
class SARGANHyper(USGANHyper):
    """The release's values: US-GAN's."""

    smoke_steps: int = 1500


def _layer(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """Reflected 3x3 convolution without bias, instance norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False, padding_mode="reflect"),
        norm(width),
        nn.ReLU(inplace=True),
    )


class Hourglass(nn.Module):
    """One level of the symmetric encoder-decoder, with the next one or a bottom layer inside.

    Args:
        channels: of the input.
        width: of everything inside and of the output.
        depth: levels, each at half the size.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.skip, self.down = _layer(channels, width), _layer(channels, width, stride=2)
        self.inner = Hourglass(width, width, depth - 1) if depth > 1 else _layer(width, width)
        self.up = _layer(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, width, H, W)."""
        below = F.interpolate(self.inner(self.down(x)), scale_factor=2, mode="nearest")
        kept, risen = self.skip(x), self.up(below)
        if risen.shape != kept.shape:  # an odd side
            risen = F.interpolate(risen, size=kept.shape[2:], mode="nearest")
        return torch.add(kept, risen)


class AttentionResidual(nn.Module):
    """A residual block whose change is let through where a map in (0, 1), made from the change, says so.

    Attributes:
        seen: the map of the last call (N, 1, H, W), for the log of training alone.
    """

    seen: Tensor | None = None

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *_layer(width, width),
            nn.Conv2d(width, width, 3, 1, 1, bias=False, padding_mode="reflect"),
            norm(width),
        )
        self.attention = nn.Sequential(
            Hourglass(width, inner, 2), nn.Conv2d(inner, 1, 3, 1, 1, padding_mode="reflect"), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        change = self.change(x)
        attention = self.attention(change)
        self.seen = attention.detach() if self.training else None
        return torch.add(x, change * attention)


class SARGAN(StarGAN):
    """US-GAN with spatial attention in its one residual block."""

    card: ClassVar[MethodCard] = MethodCard(
        id="sargan",
        title="SARGAN",
        citation="Akram and Khan, IEEE TCSVT 33(10), 2023, arXiv 2303.17212: "
        "SARGAN: Spatial Attention-based Residuals for Facial Expression Manipulation",
        year=2023,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "compound"}),
        notes="compound: both labels' planes set, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": SARGANHyper(),
        "tiny": SARGANHyper(
            native="32-color-bicubic-aa",
            width=16,
            learning_rate=1e-3,
            generator_class_weight=0.2,
            critic_depth="side",
            critic_he=True,
        ),
    }
    release: ClassVar[Release | None] = Release(
        "sargan_*_G.ckpt", ("fear", "anger", "disgust", "happiness", "neutral", "sadness", "surprise")
    )

    def make_generator(self) -> nn.Module:
        """The generator with the skip and the gated residual."""
        width = self.hyper.width
        return SkipGenerator(self.classes, width, [AttentionResidual(4 * width, width)])

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' generator, without its second attention network, which it never calls."""
        block = r"main\.9\.att_func\.b{}_{}\."
        places = {r"main\.9\.conv1\.": "change.0", r"main\.9\.conv2\.": "change.3"}
        for level, inside in (("2", ""), ("1", "inner.")):
            parts = {"1": "skip.0", "2": "down.0", "3": "up.0"}
            parts |= {"2_plus": "inner.0"} if level == "1" else {}
            places |= {block.format(k, level): f"attention.0.{inside}{part}" for k, part in parts.items()}
        names = {r"main\.9\.att_func\.out_block\.0\.conv2d": "generator.body.9.attention.1"}
        for theirs, ours in places.items():
            at, _, number = ours.rpartition(".")
            names[f"{theirs}conv2d"] = f"generator.body.9.{ours}"
            names[rf"{theirs}norm\.norm"] = f"generator.body.9.{at}.{int(number) + 1}"
        gate = {name: tensor for name, tensor in tensors.items() if name.startswith("main.9.")}
        trunk = {k: t for k, t in tensors.items() if k not in gate and not k.startswith("att_func.")}
        return convert_trunk(trunk, {"": "generator.last"}) | renamed(gate, names)

    @property
    def residual(self) -> AttentionResidual:
        """The generator's residual block."""
        return next(part for part in self.generator.modules() if isinstance(part, AttentionResidual))

    def _critic_step(self, batch: ImageBatch, wanted: Tensor) -> dict[str, Tensor]:
        """StarGAN's; with the edit's attention, its mean and spread: 0 everywhere copies and 1 is US-GAN.

        It is told here, since the generator's step ends with the cycle's way back, on images made.
        """
        losses = super()._critic_step(batch, wanted)
        if self.residual.seen is not None:
            losses |= {
                "attention_mean": self.residual.seen.mean(),
                "attention_spread": self.residual.seen.std(),
            }
        return losses
