"""RegGAN (arXiv 2603.15648). Expression layer and the two stages are the paper's. The networks' details are
not public: trunk, critic and schedule are those of US-GAN; conditioning, EAB, losses and weights are ours.

The regression layer is position-wise, one map a pixel, and fitted on unflipped pairs alone. The refiner sees
flipped pairs too, whose regression images come from the same layer.

Preset ``tiny``, for a minute on two CPU cores: width 16 and rate 4e-4 for the few steps; batch and regression
layer are those of ``paper``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis

from ._adam import adam
from ._blocks import Critic, frozen, norm, one_hot
from ._losses import gradient_penalty
from .mr import LocalLinear, MRHyper
from .usgan import SkipGenerator

if TYPE_CHECKING:
    from fesbench.methods.training_set import TrainingSet


@dataclass(frozen=True)
class RegGANHyper:
    """Our values, after the authors' other releases; ``joint`` goes on fitting the layer by gradient."""

    ridge: MRHyper = field(default_factory=MRHyper)
    width: int = 64
    batch_size: int = 8
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    class_weight: float = 1.0
    target_weight: float = 10.0
    penalty_weight: float = 10.0
    joint: bool = False
    joint_weight: float = 1.0
    steps: int = 200_000
    smoke_steps: int = 750


class AttentionBlock(nn.Module):
    """EAB as we read the name: a residual branch behind a channel gate and a spatial gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            norm(width),
        )
        self.channel = nn.Conv1d(1, 1, 5, padding=2, bias=False)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        branch = self.branch(x)
        # Means over an instance norm's output are its shifts, whatever the image: take the maxima instead.
        pooled = branch.amax(dim=(2, 3))
        gated = branch * torch.sigmoid(self.channel(pooled[:, None]))[:, 0, :, None, None]
        summary = torch.cat([gated.mean(1, keepdim=True), gated.amax(1, keepdim=True)], dim=1)
        return x + gated * torch.sigmoid(self.spatial(summary))


class RegGAN(Method):
    """A ridge-regression layer puts the expression in; an adversarial network makes it sharp."""

    card: ClassVar[MethodCard] = MethodCard(
        id="reggan",
        title="RegGAN",
        citation="Akram, Khan and Mahmood, arXiv 2603.15648: "
        "Improving Generative Adversarial Network Generalization for Facial Expression Synthesis",
        year=2026,
        needs=frozenset({"pairs", "neutral", "labels"}),
        controls=frozenset({"expression", "compound"}),
        notes="network details are ours; compound: mean of two regression images, both planes set",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": RegGANHyper(),
        "tiny": RegGANHyper(width=16, learning_rate=4e-4),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("layer.", "refiner.")
    hyper: RegGANHyper

    def build(self) -> None:
        """Expression layer, refinement network and critic."""
        problem, width = self.problem, self.hyper.width
        self.layer = LocalLinear(len(problem.labels), problem.neutral, problem.size, self.hyper.ridge.window)
        self.classes = len(self.layer.targets)
        self.refiner = SkipGenerator(self.classes, width, [AttentionBlock(4 * width)])
        self.critic = Critic(problem.size, width, self.classes)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The layer's maps, the refiner's label planes and the critic's classes."""
        return {
            **self.layer.condition_axes("layer."),
            "refiner.body.0.weight": ConditionAxis("labels", axis=1, start=3, neutral=False),
            "critic.condition.weight": ConditionAxis("labels", axis=0, neutral=False),
        }

    def phases(self) -> tuple[Phase, ...]:
        """The layer's closed form, then the adversary, counted in critic steps."""
        return (
            Phase("expression-layer", "pair", 1, paper_steps=1, smoke_steps=1, closed_form=True),
            Phase(
                "refinement",
                "pair",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
                calls_per_update=self.hyper.n_critic,
                learning_rate=decay_after(0.5),
            ),
        )

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Solve the expression layer for every label."""
        self.layer.fit(view, self.hyper.ridge)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network; the layer joins the refiner's under ``joint``."""
        self.layer.requires_grad_(self.hyper.joint)
        learned = [self.refiner, self.layer] if self.hyper.joint else [self.refiner]
        return adam(self.hyper.learning_rate, self.hyper.betas, refiner=learned, critic=self.critic)

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One critic step, and after every ``n_critic``-th of them a refiner step on the same pairs."""
        label = self.layer.row_of[batch.target.label]
        losses = self._critic_step(batch, label)
        if (step + 1) % self.hyper.n_critic == 0:
            losses |= self._refiner_step(batch, label)
        return losses

    def _critic_step(self, batch: PairBatch, label: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            coarse = self.layer(batch.source.image, batch.target.label)
            fake = self.refiner(coarse, one_hot(label, self.classes))
        real_score, logits = self.critic(batch.target.image)
        fake_score, _ = self.critic(fake)
        gap, classes = real_score.mean() - fake_score.mean(), F.cross_entropy(logits, label)
        penalty = gradient_penalty(lambda image: self.critic(image)[0], batch.target.image, fake)
        self.descend("critic", -gap + classes + self.hyper.penalty_weight * penalty)
        return {
            "critic_gap": gap.detach(),
            "critic_class": classes.detach(),
            "critic_penalty": penalty.detach(),
        }

    def _refiner_step(self, batch: PairBatch, label: Tensor) -> dict[str, Tensor]:
        with frozen(self.critic):
            coarse = self.layer(batch.source.image, batch.target.label)
            fake = self.refiner(coarse, one_hot(label, self.classes))
            score, logits = self.critic(fake)
            realism, classes = -score.mean(), F.cross_entropy(logits, label)
            distance = (fake - batch.target.image).abs().mean()
            loss = realism + self.hyper.class_weight * classes + self.hyper.target_weight * distance
            if self.hyper.joint:
                loss = loss + self.hyper.joint_weight * self._ridge(coarse, batch.target.image)
            self.descend("refiner", loss)
        return {
            "refiner_realism": realism.detach(),
            "refiner_class": classes.detach(),
            "refiner_target": distance.detach(),
        }

    def _ridge(self, coarse: Tensor, target: Tensor) -> Tensor:
        """Mean squared error on [0, 1] pixels plus the penalty on the weights, both per pixel."""
        error = ((coarse - target) / 2).square().mean()
        weights = self.layer.weight.square().sum() + self.layer.bias.square().sum()
        return error + self.hyper.ridge.penalty * weights / (len(self.layer.targets) * target[0].numel())

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Refined regression images."""
        coarse = self.layer.mixed(requests)
        rows = self.layer.row_of
        first = torch.where(requests.target_label >= 0, rows[requests.target_label], -1)
        second = torch.where(requests.second_label >= 0, rows[requests.second_label], -1)
        found: Tensor = self.refiner(coarse, one_hot(first, self.classes, second))
        return found.clamp(-1, 1)
