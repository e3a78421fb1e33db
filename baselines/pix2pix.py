"""pix2pix (CVPR 2017) guided by drawn target landmarks: 6 input channels, one model for all expressions.
Choices: the authors' Torch code (constant rate, dropout in the three innermost decoders), without its biases,
which never act.

Preset ``tiny``, for a minute on two CPU cores: width 16, batches of 4 pairs in place of single ones (each is
still normalized by itself), and rate 5e-4 for the few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.planes import landmark_planes
from fesbench.methods.state_import import Release

from ._adam import adam
from ._augment import random_window
from ._blocks import frozen, initialize
from ._unet import PatchCritic, UNet, convert_unet


@dataclass(frozen=True)
class Pix2PixHyper:
    """The code's values; 200 epochs of the 400 facades make 80,000 steps of one pair."""

    width: int = 64
    batch_size: int = 1
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    target_weight: float = 100.0
    jitter: float = 286 / 256
    dropout: float = 0.5
    steps: int = 80_000
    smoke_steps: int = 1500


class Pix2Pix(Method):
    """Supervised translation of a neutral face and a drawing of the wanted landmarks."""

    card: ClassVar[MethodCard] = MethodCard(
        id="pix2pix",
        title="pix2pix",
        citation="Isola et al., CVPR 2017, arXiv 1611.07004: "
        "Image-to-Image Translation with Conditional Adversarial Networks",
        year=2017,
        needs=frozenset({"pairs", "neutral", "landmarks"}),
        controls=frozenset({"expression", "transfer"}),
        notes="input: face and drawn target landmarks; norm and dropout per image, in test as in training",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": Pix2PixHyper(),
        "tiny": Pix2PixHyper(width=16, batch_size=4, learning_rate=5e-4),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    release: ClassVar[Release | None] = Release("*_net_G.pth", size=256)
    hyper: Pix2PixHyper

    def build(self) -> None:
        """Create generator and discriminator with the code's initial weights."""
        self.generator = UNet(self.problem.size, 6, self.hyper.width, self.hyper.dropout)
        self.critic = PatchCritic(9, self.hyper.width)
        self.apply(initialize)

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' PyTorch ``*_net_G.pth``; ``--input_nc 6``: face and drawn landmarks."""
        return convert_unet(tensors, "generator.")

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase at a constant rate."""
        return (
            Phase(
                "adversarial",
                "pair",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network."""
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=self.generator, critic=self.critic)

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One discriminator step, then one generator step."""
        source, target, landmarks = jitter(
            batch.source.image, batch.target.image, batch.target.landmarks, self.hyper.jitter
        )
        planes = torch.cat([source, landmark_planes(landmarks, source.shape[-1])], dim=1)
        fake = self.generator(planes)
        losses = self._critic_step(planes, target, fake.detach())
        with frozen(self.critic):
            logits = self.critic(planes, fake)
            realism = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            distance = (target - fake).abs().mean()
            self.descend("generator", realism + self.hyper.target_weight * distance)
        return {**losses, "generator_realism": realism.detach(), "generator_target": distance.detach()}

    def _critic_step(self, planes: Tensor, target: Tensor, fake: Tensor) -> dict[str, Tensor]:
        real, made = self.critic(torch.cat([planes, planes]), torch.cat([target, fake])).chunk(2)
        right = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        wrong = F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
        self.descend("critic", (right + wrong) / 2)
        gap = real.sigmoid().mean() - made.sigmoid().mean()
        return {"critic_loss": (right + wrong).detach() / 2, "probability_gap": gap.detach()}

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks; dropout follows each request's seed."""
        landmarks = requests.target_landmarks
        if not bool(torch.isfinite(landmarks).all()):
            raise MethodError("pix2pix was asked for an image whose landmarks are not known")
        planes = torch.cat([requests.source, landmark_planes(landmarks, self.problem.size)], dim=1)
        noise = [torch.Generator().manual_seed(int(seed)) for seed in requests.noise_seed]
        found: Tensor = self.generator(planes, noise)
        return found


def jitter(source: Tensor, target: Tensor, landmarks: Tensor, factor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Enlarge a pair by ``factor`` and cut the same random window of the old size from both.

    Args:
        source, target: (N, 3, S, S).
        landmarks: (N, 68, 2) pixels; moved along.
        factor: >= 1.
    """
    size = source.shape[-1]
    large = round(size * factor)
    cut, offsets = random_window(torch.cat([source, target], dim=1), factor)
    moved = (landmarks + 0.5) * (large / size) - 0.5 - offsets[:, None].to(landmarks)
    return cut[:, :3], cut[:, 3:], moved
