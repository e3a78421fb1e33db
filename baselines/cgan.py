"""Image-conditional GAN, the "CGAN" of Fan et al. 2023 and Li et al. 2021: pix2pix without its distance to
the target and without skip connections. What those papers ran is not said. The other readings are other rows:
noise and label alone are what `acgan` takes, and a distance to the target makes `pix2pix`.

Choices: the generator is the encoder-decoder of pix2pix's Torch code, the condition a drawing of the target
landmarks; batches of 16 pairs, and batch norm with running statistics at test (there: one pair, whose own
statistics serve at test too); dropout, the only noise, is off at test. 100 epochs at the full rate, 100
falling.

Preset ``unet`` keeps the skips: the missing distance is then the difference to pix2pix, beside batch and
norm. Preset ``tiny``, for a minute on two CPU cores: images of 32 px, width 24, batches of 8, rate 5e-4 for
the few steps, no dropout, which would reach half of the decoders, and a discriminator that does not win at
once. It sees patches of 16 pixels in place of 70, at rate 2e-4; and since it is shown the face beside the
image, colors that are not the face's give an image away before anything else can be learned. The generator's
initial weights are therefore those of 900 steps towards returning a face with its own landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.planes import landmark_planes

from ._blocks import frozen, initialize
from ._unet import PatchCritic, UNet, batch_norm
from .pix2pix import jitter


@dataclass(frozen=True)
class CGANHyper:
    """The Torch code's values, at a batch that has statistics."""

    width: int = 64
    skips: bool = False
    batch_size: int = 16
    learning_rate: float = 2e-4
    critic_rate: float = 2e-4
    patch_depth: int = 3
    betas: tuple[float, float] = (0.5, 0.999)
    jitter: float = 286 / 256
    dropout: float = 0.5
    native: str = ""
    start_steps: int = 0
    epochs: float = 200
    smoke_steps: int = 900


class CGAN(Method):
    """A face and a drawing of the wanted landmarks become an image that a discriminator believes of both."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cgan",
        title="cGAN",
        citation="Mirza and Osindero, 2014, arXiv 1411.1784: Conditional Generative Adversarial Nets; "
        "in the image-conditional form of Isola et al., CVPR 2017, arXiv 1611.07004",
        year=2014,
        needs=frozenset({"pairs", "neutral", "landmarks"}),
        controls=frozenset({"expression", "transfer"}),
        notes="comparator: no distance to the target, no skips; identity is held by the discriminator alone",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CGANHyper(),
        "unet": CGANHyper(skips=True),
        "tiny": CGANHyper(
            width=24,
            patch_depth=1,
            batch_size=8,
            learning_rate=5e-4,
            critic_rate=2e-4,
            dropout=0.0,
            native="32-color-bicubic-aa",
            start_steps=900,
            smoke_steps=1500,
        ),
    }
    preset_notes: ClassVar[dict[str, str]] = {"unet": "with skip connections"}
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn expressions in it: faces are blurred, with a grid, and hardly change"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: CGANHyper

    def build(self) -> None:
        """Create generator and discriminator with the code's initial weights."""
        size, width = self.problem.size, self.hyper.width
        self.generator = UNet(
            size,
            6,
            width,
            self.hyper.dropout,
            skips=self.hyper.skips,
            norm=batch_norm,
        )
        self.critic = PatchCritic(9, width, norm=batch_norm, depth=self.hyper.patch_depth)
        self.apply(initialize)

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase; the rate falls over the second half."""
        return (
            Phase(
                "adversarial",
                "pair",
                self.hyper.batch_size,
                paper_epochs=self.hyper.epochs,
                smoke_steps=self.hyper.smoke_steps,
                learning_rate=decay_after(0.5),
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network."""
        rate, betas = self.hyper.learning_rate, self.hyper.betas
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "critic": torch.optim.Adam(self.critic.parameters(), self.hyper.critic_rate, betas),
        }

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One discriminator step, then one generator step."""
        if step < self.hyper.start_steps:
            return self._start(batch)
        source, target, landmarks = jitter(
            batch.source.image, batch.target.image, batch.target.landmarks, self.hyper.jitter
        )
        planes = torch.cat([source, landmark_planes(landmarks, source.shape[-1])], dim=1)
        fake = self.generator(planes)
        losses = self._critic_step(planes, target, fake.detach())
        with frozen(self.critic):
            logits = self.critic(planes, fake)
            realism = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            self.descend("generator", realism)
        distance = (target - fake).abs().mean()
        return {**losses, "generator_realism": realism.detach(), "distance": distance.detach()}

    def _start(self, batch: PairBatch) -> dict[str, Tensor]:
        """Towards initial weights that return a face with its own landmarks."""
        face, _, landmarks = jitter(
            batch.target.image, batch.target.image, batch.target.landmarks, self.hyper.jitter
        )
        made = self.generator(torch.cat([face, landmark_planes(landmarks, face.shape[-1])], dim=1))
        same = (made - face).abs().mean()
        self.descend("generator", same)
        return {"generator_start": same.detach()}

    def _critic_step(self, planes: Tensor, target: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Both see the condition; each batch is normalized by itself."""
        real, made = self.critic(planes, target), self.critic(planes, fake)
        right = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        wrong = F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
        self.descend("critic", (right + wrong) / 2)
        gap = real.sigmoid().mean() - made.sigmoid().mean()
        return {"critic_loss": (right + wrong).detach() / 2, "probability_gap": gap.detach()}

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks; nothing is drawn."""
        landmarks = requests.target_landmarks
        if not bool(torch.isfinite(landmarks).all()):
            raise MethodError("cgan was asked for an image whose landmarks are not known")
        found: Tensor = self.generator(
            torch.cat([requests.source, landmark_planes(landmarks, self.problem.size)], dim=1)
        )
        return found
