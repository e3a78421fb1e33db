"""GANimation (ECCV 2018, arXiv v2). Choices: losses as in the released code, that is smoothness weight 1e-5
(the paper says 1e-4), the condition loss divided by the batch once more, and a separate step on the penalty.

Unlike the code: targets are the batch's own action units in a random order (there: those of any training
image), each epoch is a permutation (there: drawn with replacement), the rate falls every step (there: epoch).

Preset ``tiny``, for minutes on two CPU cores: it works on 32 px, with width 16, two residual blocks, batches
of 16 and rate 1e-3, the critic's depth and initial weights as StarGAN's ``tiny``. The condition weight's real
value (160 in ``paper``, after the division) is 80 for the critic and 20 for the generator, since a score of
slope 1 grows with the image's side and a squared error does not. ``short`` is longer than other methods',
21,600 calls or 13 minutes of one core: at 5,400 the change does not yet point to the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis, Release

from ._blocks import (
    Critic,
    Depth,
    Residual,
    convert_trunk,
    frozen,
    he_initialize,
    head,
    initialize,
    trunk,
    with_planes,
)
from ._losses import gradient_penalty, total_variation


@dataclass(frozen=True)
class GANimationHyper:
    """The released code's values; 30 epochs of 200,000 images make 240,000 steps.

    Condition weights are those before the division by the batch: the critic's and, apart, the generator's.
    """

    width: int = 64
    blocks: int = 6
    batch_size: int = 25
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    condition_weight: float = 4000.0
    generator_condition_weight: float = 4000.0
    cycle_weight: float = 10.0
    penalty_weight: float = 10.0
    mask_weight: float = 0.1
    smooth_weight: float = 1e-5
    noise: float = 0.1
    steps: int = 240_000
    native: str = ""
    critic_depth: Depth = "published"
    critic_he: bool = False
    smoke_steps: int = 400
    short_steps: int | None = None


class AttentionGenerator(nn.Module):
    """Image and action-unit planes -> colors and an attention map that keeps the input where it is 1."""

    def __init__(self, units: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = trunk(3 + units, width, [Residual(4 * width) for _ in range(blocks)])
        self.color, self.attention = head(width, 3), head(width, 1)

    def forward(self, image: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) and (N, A) -> blended image (N, 3, H, W) and attention (N, 1, H, W)."""
        hidden = self.body(with_planes(image, units))
        attention = torch.sigmoid(self.attention(hidden))
        return attention * image + (1 - attention) * torch.tanh(self.color(hidden)), attention


class GANimation(Method):
    """Moves the action units of a face to a target vector, continuously."""

    card: ClassVar[MethodCard] = MethodCard(
        id="ganimation",
        title="GANimation",
        citation="Pumarola et al., ECCV 2018, arXiv 1807.09251: "
        "GANimation: Anatomically-aware Facial Animation from a Single Image",
        year=2018,
        needs=frozenset({"action_units"}),
        controls=frozenset({"expression", "action-unit", "intensity", "compound"}),
        notes="labels become their mean action units; a compound the stronger of its two labels'",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": GANimationHyper(),
        "tiny": GANimationHyper(
            native="32-color-bicubic-aa",
            width=16,
            blocks=2,
            batch_size=16,
            learning_rate=1e-3,
            condition_weight=80.0 * 16,
            generator_condition_weight=20.0 * 16,
            critic_depth="side",
            critic_he=True,
            smoke_steps=900,
            short_steps=21_600,
        ),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    release: ClassVar[Release | None] = Release(
        "net_epoch_*_id_G.pth",
        action_units=(1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45),
    )
    hyper: GANimationHyper

    def build(self) -> None:
        """Create generator and critic with the code's initial weights."""
        units = len(self.problem.action_units)
        self.generator = AttentionGenerator(units, self.hyper.width, self.hyper.blocks)
        self.critic = Critic(self.problem.size, self.hyper.width, units, depth=self.hyper.critic_depth)
        self.apply(initialize)
        if self.hyper.critic_he:
            self.critic.apply(he_initialize)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The action-unit planes behind the image, and the critic's estimates."""
        return {
            "generator.body.0.weight": ConditionAxis("action_units", axis=1, start=3),
            "critic.condition.weight": ConditionAxis("action_units", axis=0),
        }

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' ``net_epoch_*_id_G.pth``; the misspelt name is theirs."""
        heads = {"img_reg.0": "generator.color", "attetion_reg.0": "generator.attention"}
        return convert_trunk(tensors, heads)

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase, constant for two thirds, then linear to zero."""
        return (
            Phase(
                "adversarial",
                "image",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
                short_steps=self.hyper.short_steps,
                calls_per_update=self.hyper.n_critic,
                learning_rate=decay_after(2 / 3),
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network."""
        rate, betas = self.hyper.learning_rate, self.hyper.betas
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "critic": torch.optim.Adam(self.critic.parameters(), rate, betas),
        }

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """Two critic steps (score, then penalty), and every ``n_critic``-th time a generator step.

        Targets are the batch's own action units in a random order, with noise; some keep their own.
        """
        other = torch.randperm(len(batch), device=batch.image.device)
        noise = (2 * torch.rand_like(batch.action_units) - 1) * self.hyper.noise
        target = batch.action_units[other] + noise
        losses = self._critic_step(batch, target)
        if (step + 1) % self.hyper.n_critic == 0:
            losses |= self._generator_step(batch, target)
        return losses

    def _condition(self, weight: float, found: Tensor, wanted: Tensor) -> Tensor:
        """The code divides the mean once more by the batch."""
        return weight * (found - wanted).square().mean() / len(found)

    def _critic_step(self, batch: ImageBatch, target: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake, _ = self.generator(batch.image, target)
        real_score, units = self.critic(batch.image)
        fake_score, _ = self.critic(fake)
        gap = real_score.mean() - fake_score.mean()
        condition = self._condition(self.hyper.condition_weight, units, batch.action_units)
        error = (units - batch.action_units).square().mean()
        spread = batch.action_units.var(dim=0, correction=0).mean()
        self.descend("critic", condition - gap)
        penalty = gradient_penalty(lambda image: self.critic(image)[0], batch.image, fake)
        self.descend("critic", self.hyper.penalty_weight * penalty)
        return {
            "critic_gap": gap.detach(),
            "critic_units": condition.detach(),
            "critic_unit_error": (error / spread.clamp(min=1e-6)).detach(),
            "critic_penalty": penalty.detach(),
        }

    def _generator_step(self, batch: ImageBatch, target: Tensor) -> dict[str, Tensor]:
        with frozen(self.critic):
            fake, attention = self.generator(batch.image, target)
            back, attention_back = self.generator(fake, batch.action_units)
            score, units = self.critic(fake)
            weight = self.hyper.generator_condition_weight
            realism, condition = -score.mean(), self._condition(weight, units, target)
            cycle = (back - batch.image).abs().mean()
            mask = attention.mean() + attention_back.mean()
            smooth = total_variation(attention) + total_variation(attention_back)
            loss = realism + condition + self.hyper.cycle_weight * cycle
            loss = loss + self.hyper.mask_weight * mask + self.hyper.smooth_weight * smooth
            self.descend("generator", loss)
        return {
            "generator_realism": realism.detach(),
            "generator_units": condition.detach(),
            "generator_cycle": cycle.detach(),
            "attention": attention.mean().detach(),
        }

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target action units, whose intensity is already in the vector."""
        found: Tensor = self.generator(requests.source, requests.target_action_units)[0]
        return found.clamp(-1, 1)
