"""GANmut (CVPR 2021), its linear model, after the authors' code and the abstract; the paper's text was not
read. Choices: 200,000 critic steps as StarGAN has them (the code: 2,000,000), the rate falling in the last
twentieth as there; images are mirrored and not turned, moved or enlarged; RGB; instance norm per image; the
axes have no bias (theirs never acts). A third of each batch, as 5 of the code's 16, asks for points at
random angles.

A code of this space is a point of the plane: neutral is its center, each other label a learned direction,
the distance from the center the strength. ``expression`` asks for strength 0.9, as its samples do; a
compound for strength 0.9 between its labels' directions. There is always a face to change, so nothing is
made out of noise.

Preset ``tiny``, for minutes on two CPU cores: images of 32 px, width 16, two residual blocks, batches of 8,
He weights and log2(side) - 1 layers in the critic, and initial axes that so few steps do not turn onto each
other. Label losses count 0.2 in the generator and the cycle 20; the generator begins with weights that return
its face at any point and has the rate 3e-4, the critic 1e-3: all for the reasons of StarGAN's ``tiny``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis
from fesbench.methods.task_kinds import TASKS

from ._adam import adam
from ._blocks import Critic, Depth, frozen, he_initialize
from ._losses import gradient_penalty
from .stargan import StarGAN, StarGenerator

EXPRESSED = 0.9
"""Strength of an expression, where none is asked for."""


@dataclass(frozen=True)
class GANmutHyper:
    """The code's values."""

    width: int = 64
    blocks: int = 6
    batch_size: int = 16
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    class_weight: float = 1.0
    point_weight: float = 1.0
    strength_weight: float = 1.0
    generator_label_weight: float = 1.0
    cycle_weight: float = 10.0
    penalty_weight: float = 10.0
    random_share: float = 5 / 16
    weakest: float = 0.2
    noise: float = 0.075
    axes_scale: float = 1e-4
    critic_rate: float | None = None
    start_steps: int = 0
    steps: int = 200_000
    native: str = ""
    smoke_steps: int = 1500
    short_steps: int | None = None
    critic_depth: Depth = "published"
    critic_he: bool = False


class Axes(nn.Module):
    """A direction of the plane for every label, none for neutral.

    Args:
        labels: K, neutral included.
        neutral: its index.
        scale: of the initial weights; where it is small, as the code's, Adam's first steps turn them about.
    """

    def __init__(self, labels: int, neutral: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Linear(2, labels - 1, bias=False)
        with torch.no_grad():
            self.directions.weight.mul_(scale)
        self.neutral = neutral

    def forward(self) -> Tensor:
        """(K, 2), of length 1, and 0 at neutral."""
        units = F.normalize(self.directions.weight, dim=1)
        parts = [units[: self.neutral], torch.zeros_like(units[:1]), units[self.neutral :]]
        return torch.cat(parts)


class PointCritic(nn.Module):
    """StarGAN's critic with a third head, which reads off the point that an image was made with."""

    def __init__(self, size: int, classes: int, hyper: GANmutHyper) -> None:
        super().__init__()
        depth, he = hyper.critic_depth, hyper.critic_he
        self.star = Critic(size, hyper.width, classes, depth=depth, he=he)
        last = hyper.width << (self.star.depth - 1)
        self.point = nn.Conv2d(last, 2, size >> self.star.depth, bias=False)
        if he:
            self.point.apply(he_initialize)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> realism (N, 1, h, w), class logits (N, K) and points (N, 2)."""
        hidden = self.star.body(image)
        logits, points = (head(hidden).flatten(1) for head in (self.star.condition, self.point))
        return self.star.realism(hidden), logits, points


class GANmut(StarGAN):
    """StarGAN whose condition is a point of a learned plane, found from labels alone."""

    card: ClassVar[MethodCard] = MethodCard(
        id="ganmut",
        title="GANmut",
        citation="d'Apolito et al., CVPR 2021: "
        "GANmut: Learning Interpretable Conditional Space for Gamut of Emotions",
        year=2021,
        needs=frozenset({"labels", "neutral"}),
        controls=frozenset({"expression", "intensity", "compound"}),
        notes="linear model; a label is a direction of a plane, intensity the distance from neutral",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": GANmutHyper(),
        "tiny": GANmutHyper(
            width=16,
            blocks=2,
            batch_size=8,
            learning_rate=3e-4,
            critic_rate=1e-3,
            generator_label_weight=0.2,
            cycle_weight=20.0,
            axes_scale=1.0,
            start_steps=6000,
            smoke_steps=1500,
            critic_depth="side",
            critic_he=True,
            native="32-color-bicubic-aa",
        ),
    }
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn expressions in it: faces are blurred and hardly change"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.", "axes.")
    hyper: Any
    critic: Any

    def build(self) -> None:
        """Create generator, axes and critic; framework's default initial weights, as in the code."""
        self.classes = len(self.problem.labels)
        self.generator = StarGenerator(2, self.hyper.width, self.hyper.blocks)
        self.axes = Axes(self.classes, self.problem.neutral, self.hyper.axes_scale)
        self.critic = PointCritic(self.problem.size, self.classes, self.hyper)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The labels' directions, and the critic's classes."""
        return {
            "axes.directions.weight": ConditionAxis("labels", axis=0, neutral=False),
            "critic.star.condition.weight": ConditionAxis("labels", axis=0),
        }

    def phases(self) -> tuple[Phase, ...]:
        """StarGAN's; the rate of the adversarial one falls in its last twentieth."""
        *start, adversarial = super().phases()
        return (*start, replace(adversarial, learning_rate=decay_after(0.95)))

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the generator with its axes, and for the critic."""
        rate, betas = self.hyper.learning_rate, self.hyper.betas
        if phase.name == "start":
            return super().optimizers(phase)
        moved = adam(rate, betas, generator=[self.generator, self.axes])
        return moved | adam(self.hyper.critic_rate or rate, betas, critic=self.critic)

    def draw(self, label: Tensor) -> tuple[Tensor, Tensor, int]:
        """Points to ask for, by their labels.

        Args:
            label: int64 (N,).

        Returns:
            Points (N, 2), strengths (N,), and how many of the first have a random angle in place of their
            label's direction.
        """
        count = round(self.hyper.random_share * len(label))
        least = self.hyper.weakest
        drawn = torch.rand(len(label), device=label.device)
        neutral = label == self.problem.neutral
        strength = torch.where(neutral, least * drawn, least + (1 - least) * drawn)
        noise = self.hyper.noise * torch.randn(len(label), 2, device=label.device)
        points = strength[:, None] * self.axes()[label] + noise
        angle = 2 * math.pi * torch.rand(count, device=label.device)
        anywhere = strength[:count, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
        return torch.cat([anywhere, points[count:]]), strength, count

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """One critic step, and after every ``n_critic``-th of them a generator step for the same points.

        Target labels are the batch's own in a random order.
        """
        target = batch.label[torch.randperm(len(batch), device=batch.label.device)]
        points, strength, count = self.draw(target)
        if phase.name == "start":
            return self._start_step(batch, points.detach())
        losses = self._critic_on(batch, points.detach())
        if (step + 1) % self.hyper.n_critic == 0:
            losses |= self._generator_on(batch, target, points, strength, count)
        return losses

    def _critic_on(self, batch: ImageBatch, points: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generator(batch.image, points)
        real_score, logits, _ = self.critic(batch.image)
        fake_score, _, read = self.critic(fake)
        gap = real_score.mean() - fake_score.mean()
        classes, point = F.cross_entropy(logits, batch.label), F.mse_loss(read, points)
        penalty = gradient_penalty(lambda image: self.critic(image)[0], batch.image, fake)
        loss = -gap + self.hyper.class_weight * classes + self.hyper.penalty_weight * penalty
        self.descend("critic", loss + self.hyper.point_weight * point)
        return {
            "critic_gap": gap.detach(),
            "critic_class": classes.detach(),
            "critic_point": point.detach(),
            "critic_penalty": penalty.detach(),
        }

    def _generator_on(
        self, batch: ImageBatch, target: Tensor, points: Tensor, strength: Tensor, count: int
    ) -> dict[str, Tensor]:
        with frozen(self.critic):
            fake = self.generator(batch.image, points)
            score, logits, read = self.critic(fake)
            realism, point = -score.mean(), F.mse_loss(read, points)
            classes = F.cross_entropy(logits[count:], target[count:])
            felt = confidence_loss(logits, strength, target != self.problem.neutral)
            cycle = (batch.image - self.generator(fake, self.own_points(batch))).abs().mean()
            told = self.hyper.class_weight * classes + self.hyper.strength_weight * felt
            told = told + self.hyper.point_weight * point
            loss = realism + self.hyper.cycle_weight * cycle + self.hyper.generator_label_weight * told
            self.descend("generator", loss)
        return {
            "generator_realism": realism.detach(),
            "generator_class": classes.detach(),
            "generator_strength": felt.detach(),
            "generator_point": point.detach(),
            "generator_cycle": cycle.detach(),
        }

    def own_points(self, batch: ImageBatch) -> Tensor:
        """Where the images themselves lie: in their labels' directions, as far out as the critic is sure."""
        with torch.no_grad():
            sure = self.critic(batch.image)[1].softmax(dim=1).amax(dim=1)
        return sure[:, None] * self.axes()[batch.label]

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The critic's class head."""
        logits: Tensor = self.critic(images)[1]
        return logits

    def wanted(self, requests: RequestBatch) -> Tensor:
        """The points of requests, (N, 2)."""
        axes = self.axes()
        direction, second = axes[requests.target_label], requests.second_label
        mixed = F.normalize(direction + axes[second.clamp(min=0)], dim=1)
        direction = torch.where((second >= 0)[:, None], mixed, direction)
        strength = requests.intensity.to(direction)
        levels = (second < 0) & (not TASKS.get(requests.task).one_label)
        return torch.where(levels, strength, EXPRESSED * strength)[:, None] * direction

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images at the label's point; an intensity is its distance from neutral."""
        found: Tensor = self.generator(requests.source, self.wanted(requests))
        return found.clamp(-1, 1)


def confidence_loss(logits: Tensor, strength: Tensor, counted: Tensor) -> Tensor:
    """Mean of (largest probability of a class - strength)^2 over the images that are counted; 0 for none.

    Args:
        logits: (N, K).
        strength: (N,) in [0, 1].
        counted: bool (N,).
    """
    sure = logits.softmax(dim=1).amax(dim=1)
    return ((sure - strength).square() * counted).sum() / counted.sum().clamp(min=1)
