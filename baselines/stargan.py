"""StarGAN (CVPR 2018). Choices: the paper's learning rate (constant for half, then linear to zero), since the
released decay is a plain defect (it falls by 0.1 % in all); losses, weights and wiring of the released code.

Preset ``tiny``, for minutes on two CPU cores: it works on 32 px, with width 24, two residual blocks and
batches of 8. The critic has the four layers that fit (log2 of the side less one, as the code offers) and He
initial weights, without which a narrow one learns nothing in that time. The generator's class weight is 0.1:
a score of slope 1 grows with the image's side and cross-entropy does not, so at a quarter of 128 px the
published weight of 1 would make it paint what the class head alone reads (at 0.2 it loses more faces). The
cycle's weight is 20, not 10: the fewer its updates, the more of a face is lost. The generator's initial
weights are those of a phase of its own, to return its face whatever the label (L1; 8,000 steps, under
``smoke`` 533), and its rate then is 3e-4, the critic's 1e-3: instance norm takes the level of each color out,
a narrow generator learns it slowly, from the borders, and the cycle is content with foreign colors, since
they come back as well. ``short`` is longer than other methods', 28,000 calls after the start, 20 minutes of
one core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis, Release

from ._blocks import Critic, Depth, Residual, convert_trunk, frozen, head, one_hot, trunk, with_planes
from ._losses import gradient_penalty


@dataclass(frozen=True)
class StarGANHyper:
    """The paper's and its code's values; the critic's class weight and, apart, the generator's."""

    width: int = 64
    blocks: int = 6
    batch_size: int = 16
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    class_weight: float = 1.0
    generator_class_weight: float = 1.0
    cycle_weight: float = 10.0
    penalty_weight: float = 10.0
    steps: int = 200_000
    native: str = ""
    critic_depth: Depth = "published"
    critic_he: bool = False
    critic_rate: float | None = None
    start_steps: int = 0
    smoke_steps: int = 600
    short_steps: int | None = None


class StarGenerator(nn.Module):
    """Image and label planes -> image."""

    def __init__(self, classes: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = trunk(3 + classes, width, [Residual(4 * width) for _ in range(blocks)])
        self.last = head(width, 3)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] and (N, K) -> (N, 3, H, W) in [-1, 1]."""
        return torch.tanh(self.last(self.body(with_planes(image, condition))))


class StarGAN(Method):
    """One generator for all labels; the critic also classifies, and a cycle keeps the subject."""

    card: ClassVar[MethodCard] = MethodCard(
        id="stargan",
        title="StarGAN",
        citation="Choi et al., CVPR 2018, arXiv 1711.09020: "
        "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
        year=2018,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "compound"}),
        notes="compound: both labels' planes set, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": StarGANHyper(),
        "tiny": StarGANHyper(
            native="32-color-bicubic-aa",
            width=24,
            blocks=2,
            batch_size=8,
            learning_rate=3e-4,
            critic_rate=1e-3,
            start_steps=8000,
            generator_class_weight=0.1,
            cycle_weight=20.0,
            critic_depth="side",
            critic_he=True,
            smoke_steps=1000,
            short_steps=28_000,
        ),
    }
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn expressions in it: it returns its face, blurred, and in an eighth of "
        "them a detector finds no face"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    release: ClassVar[Release | None] = Release("*-G.ckpt")
    hyper: Any

    def build(self) -> None:
        """Create generator and critic; framework's default initial weights, as in the code."""
        self.classes = len(self.problem.labels)
        self.generator = self.make_generator()
        self.critic = Critic(
            self.problem.size,
            self.hyper.width,
            self.classes,
            depth=self.hyper.critic_depth,
            he=self.hyper.critic_he,
        )

    def make_generator(self) -> nn.Module:
        """The generator: (image, condition) -> image."""
        return StarGenerator(self.classes, self.hyper.width, self.hyper.blocks)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The label planes behind the image, and the critic's classes."""
        return {
            "generator.body.0.weight": ConditionAxis("labels", axis=1, start=3),
            "critic.condition.weight": ConditionAxis("labels", axis=0),
        }

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' ``*-G.ckpt``."""
        return convert_trunk(tensors, {"": "generator.last"})

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase, counted in critic steps; before it, what a preset's initial weights need."""
        start = Phase(
            "start",
            "image",
            self.hyper.batch_size,
            paper_steps=self.hyper.start_steps,
            smoke_steps=self.hyper.start_steps // 15,
            short_steps=self.hyper.start_steps,
            learning_rate=decay_after(0.5),
            probed=False,
        )
        adversarial = Phase(
            "adversarial",
            "image",
            self.hyper.batch_size,
            paper_steps=self.hyper.steps,
            smoke_steps=self.hyper.smoke_steps,
            short_steps=self.hyper.short_steps,
            calls_per_update=self.hyper.n_critic,
            learning_rate=decay_after(0.5),
        )
        return (start, adversarial) if self.hyper.start_steps else (adversarial,)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network; in the start the generator has the critic's rate."""
        rate, betas = self.hyper.learning_rate, self.hyper.betas
        fast = self.hyper.critic_rate or rate
        if phase.name == "start":
            return {"generator": torch.optim.Adam(self.generator.parameters(), fast, betas)}
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "critic": torch.optim.Adam(self.critic.parameters(), fast, betas),
        }

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """One critic step, and after every ``n_critic``-th of them a generator step on the same images.

        Target labels are the batch's own in a random order.
        """
        target = batch.label[torch.randperm(len(batch), device=batch.label.device)]
        wanted = one_hot(target, self.classes)
        if phase.name == "start":
            return self._start_step(batch, wanted)
        losses = self._critic_step(batch, wanted)
        if (step + 1) % self.hyper.n_critic == 0:
            losses |= self._generator_step(batch, target, wanted)
        return losses

    def _start_step(self, batch: ImageBatch, wanted: Tensor) -> dict[str, Tensor]:
        """Towards initial weights that return a face whatever the label."""
        same = (batch.image - self.generator(batch.image, wanted)).abs().mean()
        self.descend("generator", same)
        return {"generator_start": same.detach()}

    def _critic_step(self, batch: ImageBatch, wanted: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generator(batch.image, wanted)
        real_score, logits = self.critic(batch.image)
        fake_score, _ = self.critic(fake)
        gap = real_score.mean() - fake_score.mean()
        classes = F.cross_entropy(logits, batch.label)
        penalty = gradient_penalty(lambda image: self.critic(image)[0], batch.image, fake)
        loss = -gap + self.hyper.class_weight * classes + self.hyper.penalty_weight * penalty
        self.descend("critic", loss)
        return {
            "critic_gap": gap.detach(),
            "critic_class": classes.detach(),
            "critic_penalty": penalty.detach(),
        }

    def _generator_step(self, batch: ImageBatch, target: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        own = one_hot(batch.label, self.classes)
        with frozen(self.critic):
            fake = self.generator(batch.image, wanted)
            score, logits = self.critic(fake)
            realism, classes = -score.mean(), F.cross_entropy(logits, target)
            cycle = (batch.image - self.generator(fake, own)).abs().mean()
            loss = realism + self.hyper.generator_class_weight * classes + self.hyper.cycle_weight * cycle
            self.descend("generator", loss)
        return {
            "generator_realism": realism.detach(),
            "generator_class": classes.detach(),
            "generator_cycle": cycle.detach(),
        }

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The critic's class head."""
        logits: Tensor = self.critic(images)[1]
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target label; a compound sets both labels' planes."""
        wanted = one_hot(requests.target_label, self.classes, requests.second_label)
        found: Tensor = self.generator(requests.source, wanted)
        return found.clamp(-1, 1)
