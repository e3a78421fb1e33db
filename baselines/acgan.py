"""AC-GAN (ICML 2017): faces of a label out of noise. The paper's body could not be had and no code is
official: networks and recipe are those of the common PyTorch re-implementation at 128 px, with the abstract's
and the quoted losses, that is cross-entropy on logits (there: the negative probability) for real and
generated images.

Other sizes, powers of two from 32 on, take its 32 px plan: kernels of 4 with padding and a dense layer of 6 *
``width`` there, twice that at each doubling up to 12 * ``width``; critic convolutions padded by one.

Preset ``real-classes`` classifies real images alone, which re-implementers found more varied. Preset
``tiny``, for a minute on two CPU cores: width 32, critic width 12, batches of 16, rate 4e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis

from ._adam import adam
from ._blocks import frozen, one_hot, seeded
from ._losses import said

PUBLISHED = 128


@dataclass(frozen=True)
class ACGANHyper:
    """The re-implementation's values and the paper's steps; ``classify_fakes`` is the paper's loss."""

    noise: int = 110
    width: int = 64
    critic_width: int = 16
    dropout: float = 0.5
    batch_size: int = 100
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    classify_fakes: bool = True
    steps: int = 50_000
    smoke_steps: int = 600


class NoiseGenerator(nn.Module):
    """Noise whose first entries are the label -> image.

    Args:
        size: side of the images, a power of two, at least 32.
        noise: length of the input.
        width: of the layer before the last at 128 px.

    Raises:
        MethodError: another ``size``.
    """

    def __init__(self, size: int, noise: int, width: int) -> None:
        super().__init__()
        depth = size.bit_length() - 1
        if size != 1 << depth or depth < 5:
            raise MethodError(f"acgan needs a power of two of at least 32 as image size, not {size}")
        if size == PUBLISHED:
            widths = [k * width for k in (12, 6, 4, 3, 1)]
            kernels = [(5, 2, 0)] * 4 + [(8, 2, 0)]
        else:
            widths = [min(12 * width, (3 * width << level) // 4) for level in range(depth - 2, -1, -1)]
            kernels = [(4, 1, 0), *[(4, 2, 1)] * (depth - 2)]
        self.dense = nn.Linear(noise, widths[0])
        layers: list[nn.Module] = []
        for level, (kernel, stride, padding) in enumerate(kernels):
            last = level == len(kernels) - 1
            out = 3 if last else widths[level + 1]
            layers += [nn.ConvTranspose2d(widths[level], out, kernel, stride, padding, bias=False)]
            layers += [nn.Tanh()] if last else [nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        """(N, noise) -> (N, 3, S, S) in [-1, 1]."""
        found: Tensor = self.body(self.dense(noise)[:, :, None, None])
        return found


class ClassCritic(nn.Module):
    """Six convolutions, then whether an image is real and which label it has; logits."""

    def __init__(self, size: int, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side = 3, size
        for level in range(6):
            stride = 2 - level % 2
            # Only the published size is without borders where the stride is 1.
            padding = 0 if size == PUBLISHED and stride == 1 else 1
            out = width << level
            layers += [nn.Conv2d(channels, out, 3, stride, padding, bias=False)]
            layers += [nn.BatchNorm2d(out)] if level else []
            layers += [nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout)]
            channels, side = out, (side + 2 * padding - 3) // stride + 1
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.realism = nn.Linear(channels * side**2, 1)
        self.condition = nn.Linear(channels * side**2, classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) -> logits (N,) of being real and (N, classes)."""
        hidden = self.body(image)
        return self.realism(hidden).flatten(), self.condition(hidden)


class ACGAN(Method):
    """A generator of labelled images against a critic that also names the label."""

    card: ClassVar[MethodCard] = MethodCard(
        id="acgan",
        title="AC-GAN",
        citation="Odena, Olah and Shlens, ICML 2017, arXiv 1610.09585: "
        "Conditional Image Synthesis with Auxiliary Classifier GANs",
        year=2017,
        needs=frozenset({"labels"}),
        controls=frozenset({"random"}),
        notes="draws new faces of a label; takes no source. Networks of a re-implementation",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": ACGANHyper(),
        "real-classes": ACGANHyper(classify_fakes=False),
        "tiny": ACGANHyper(width=32, critic_width=12, batch_size=16, learning_rate=4e-4, smoke_steps=300),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: ACGANHyper

    def build(self) -> None:
        """Create generator and critic with the re-implementation's initial weights.

        Raises:
            MethodError: more labels than noise entries.
        """
        self.classes, hyper = len(self.problem.labels), self.hyper
        if self.classes >= hyper.noise:
            raise MethodError(f"acgan: {self.classes} labels do not fit into {hyper.noise} noise entries")
        self.generator = NoiseGenerator(self.problem.size, hyper.noise, hyper.width)
        self.critic = ClassCritic(self.problem.size, hyper.critic_width, self.classes, hyper.dropout)
        self.apply(_initialize)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The first noise entries, and the critic's classes."""
        return {
            "generator.dense.weight": ConditionAxis("labels", axis=1),
            "critic.condition.weight": ConditionAxis("labels", axis=0),
            "critic.condition.bias": ConditionAxis("labels", axis=0),
        }

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase at a constant rate."""
        hyper = self.hyper
        return (
            Phase(
                "adversarial",
                "image",
                hyper.batch_size,
                paper_steps=hyper.steps,
                smoke_steps=hyper.smoke_steps,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network."""
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=self.generator, critic=self.critic)

    def make(self, noise: Tensor, label: Tensor) -> Tensor:
        """Noise (N, noise) and labels (N,) -> images; the label takes the first entries' place."""
        wanted = one_hot(label, self.classes).to(noise)
        found: Tensor = self.generator(torch.cat([wanted, noise[:, self.classes :]], dim=1))
        return found

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """One critic step on real and on new images of random labels, one generator step on the same."""
        count, device = len(batch), batch.image.device
        label = torch.randint(self.classes, (count,), device=device)
        fake = self.make(torch.randn(count, self.hyper.noise, device=device), label)
        losses = self._critic_step(batch, fake.detach(), label)
        with frozen(self.critic):
            score, logits = self.critic(fake)
            realism, classes = said(score, True), F.cross_entropy(logits, label)
            self.descend("generator", realism + classes)
        return {**losses, "generator_realism": realism.detach(), "generator_class": classes.detach()}

    def _critic_step(self, batch: ImageBatch, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        # Each kind by itself: batch norm would see through a batch of both.
        real_score, real_logits = self.critic(batch.image)
        fake_score, fake_logits = self.critic(fake)
        classes = F.cross_entropy(real_logits, batch.label)
        loss = said(real_score, True) + said(fake_score, False) + classes
        if self.hyper.classify_fakes:
            loss = loss + F.cross_entropy(fake_logits, label)
        self.descend("critic", loss)
        gap = real_score.sigmoid().mean() - fake_score.sigmoid().mean()
        return {
            "critic_loss": loss.detach(),
            "critic_class": classes.detach(),
            "probability_gap": gap.detach(),
        }

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The critic's class head."""
        logits: Tensor = self.critic(images)[1]
        return logits

    @torch.inference_mode()
    def realism_logits(self, images: Tensor) -> Tensor:
        """The critic's other head."""
        logits: Tensor = self.critic(images)[0]
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """New faces with the target label; the noise alone says whose."""
        return self.make(seeded(requests.noise_seed, self.hyper.noise), requests.target_label)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
