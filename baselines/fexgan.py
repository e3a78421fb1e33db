"""FExGAN (2022): a variational encoder-decoder with an affect, against an AC-GAN critic. Networks of the
code.

Open in paper and code, chosen here: weights 1 (adversarial), 0.01 (KL, per latent number) and 100 (mean
absolute error); the adversarial term on real or generated falls to a tenth after epoch 50, where Adam's
moments start anew; betas (0.5, 0.999); 143 px cut to 128 at one place in both images; the decoder's affect is
scaled by clip(1 + 0.3 n, 0.5, 1.5), n normal. ``s`` is a log variance as in the printed KL (code: z = mu +
exp(s) noise). The encoder sees the target's affect as in the code (paper: the source's). Answers use mu,
without noise.

Sizes are powers of two from 32 on: of 128 px one inner layer of encoder and decoder falls away at each
halving. Preset ``tiny``, for a minute on two CPU cores: width 32, batches of 16, rate 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis
from fesbench.methods.task_kinds import TASKS

from ._adam import adam
from ._blocks import frozen, one_hot, seeded
from ._losses import said
from .pix2pix import jitter


@dataclass(frozen=True)
class FExGANHyper:
    """The paper's values, and those chosen; ``width`` is that of the latent code."""

    width: int = 128
    batch_size: int = 32
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    adversarial_weight: float = 1.0
    kl_weight: float = 0.01
    target_weight: float = 100.0
    late_realism: float = 0.1
    spread: float = 0.3
    jitter: float = 143 / 128
    source_affect: bool = False
    full_epochs: float = 50
    late_epochs: float = 50
    full_steps: int = 300
    late_steps: int = 300


class AffectEncoder(nn.Module):
    """Image and a learned plane of the affect -> mean and log variance of a code.

    Args:
        size: side of the images, 2 ** depth.
        classes: K.
        width: of the code.
    """

    def __init__(self, size: int, classes: int, width: int) -> None:
        super().__init__()
        depth = size.bit_length() - 1
        self.plane = nn.Linear(classes, size * size)
        widths = [4, width, 2 * width, *[4 * width] * (depth - 3), width]
        layers: list[nn.Module] = []
        for level in range(depth):
            layers += [nn.Conv2d(widths[level], widths[level + 1], 4, 2, 1, bias=False)]
            layers += [_norm(widths[level + 1])] if level else []
            layers += [nn.LeakyReLU(0.3, inplace=True)] if level < depth - 1 else []
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.mean, self.log_variance = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, image: Tensor, affect: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) and (N, K) -> twice (N, width)."""
        plane = F.relu(self.plane(affect)).unflatten(1, (1, *image.shape[2:]))
        hidden = self.body(torch.cat([image, plane], dim=1))
        return self.mean(hidden), self.log_variance(hidden)


class AffectDecoder(nn.Module):
    """Code and affect -> image."""

    def __init__(self, size: int, classes: int, width: int) -> None:
        super().__init__()
        depth = size.bit_length() - 1
        self.affect = nn.Sequential(
            nn.Linear(classes, width // 2), nn.Linear(width // 2, 2 * width), nn.ReLU(inplace=True)
        )
        self.code = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(inplace=True))
        widths = [4 * width, *[4 * width] * (depth - 3), 2 * width, width]
        layers: list[nn.Module] = []
        for level in range(depth - 1):
            out = widths[level + 1]
            layers += [nn.ConvTranspose2d(widths[level], out, 4, 2, 1, bias=False), _norm(out)]
            layers += [nn.Dropout(0.5)] if level < 3 else []
            layers += [nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())

    def forward(self, code: Tensor, affect: Tensor) -> Tensor:
        """(N, width) and (N, K) -> (N, 3, S, S) in [-1, 1]."""
        found: Tensor = self.body(torch.cat([self.code(code), self.affect(affect)], dim=1)[:, :, None, None])
        return found


class AffectCritic(nn.Module):
    """Three convolutions, then whether an image is real and which affect it has; logits."""

    def __init__(self, size: int, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out in ((3, width // 2), (width // 2, width), (width, 4 * width)):
            layers += [nn.Conv2d(channels, out, 4, 2, 1, bias=False), *([_norm(out)] if channels > 3 else [])]
            layers += [nn.LeakyReLU(0.3, inplace=True)]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.realism = nn.Linear(4 * width * (size // 8) ** 2, 1)
        self.condition = nn.Linear(4 * width * (size // 8) ** 2, classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) -> logits (N,) of being real and (N, K)."""
        hidden = self.body(image)
        return self.realism(hidden).flatten(), self.condition(hidden)


class FExGAN(Method):
    """Draws a subject anew with an affect; the decoder alone draws subjects that nobody knows."""

    card: ClassVar[MethodCard] = MethodCard(
        id="fexgan",
        title="FExGAN",
        citation="Siddiqui, 2022, arXiv 2201.09061: Explore the Expression: Facial Expression Generation "
        "using Auxiliary Classifier Generative Adversarial Network",
        year=2022,
        needs=frozenset({"any-pairs", "labels"}),
        controls=frozenset({"expression", "compound", "intensity", "random"}),
        notes="compound: both labels on, untrained; intensity: the affect scaled, trained from 0.5 on",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": FExGANHyper(),
        "tiny": FExGANHyper(width=32, batch_size=16, learning_rate=1e-3),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "decoder.")
    hyper: FExGANHyper

    def build(self) -> None:
        """Create the networks with the code's initial weights.

        Raises:
            MethodError: a size that is no power of two of at least 32.
        """
        size, width = self.problem.size, self.hyper.width
        if size < 32 or size & (size - 1):
            raise MethodError(f"fexgan needs a power of two of at least 32 as image size, not {size}")
        self.classes = len(self.problem.labels)
        self.encoder = AffectEncoder(size, self.classes, width)
        self.decoder = AffectDecoder(size, self.classes, width)
        self.critic = AffectCritic(size, self.classes, width)
        self.apply(_initialize)
        nn.init.zeros_(self.encoder.log_variance.weight)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The inputs of the affect's dense layers, and the critic's classes."""
        return {
            "encoder.plane.weight": ConditionAxis("labels", axis=1),
            "decoder.affect.0.weight": ConditionAxis("labels", axis=1),
            "critic.condition.weight": ConditionAxis("labels", axis=0),
            "critic.condition.bias": ConditionAxis("labels", axis=0),
        }

    def phases(self) -> tuple[Phase, ...]:
        """The same steps twice; in the second half realism counts less."""
        hyper = self.hyper
        lengths = (
            ("full", hyper.full_epochs, hyper.full_steps),
            ("late", hyper.late_epochs, hyper.late_steps),
        )
        return tuple(
            Phase(name, "any-pair", hyper.batch_size, paper_epochs=epochs, smoke_steps=steps)
            for name, epochs, steps in lengths
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each side."""
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            generator=[self.encoder, self.decoder],
            critic=self.critic,
        )

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One critic step and one generator step; the target is any image of the subject."""
        hyper, label = self.hyper, batch.target.label
        source, target, _ = jitter(
            batch.source.image, batch.target.image, batch.target.landmarks, hyper.jitter
        )
        wanted = one_hot(label, self.classes)
        strength = (1 + hyper.spread * torch.randn(len(label), 1, device=wanted.device)).clamp(0.5, 1.5)
        seen = one_hot(batch.source.label, self.classes) if hyper.source_affect else wanted
        mean, log_variance = self.encoder(source, seen)
        code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        fake = self.decoder(code, wanted * strength)
        losses = self._critic_step(source, batch.source.label, fake.detach(), label)
        with frozen(self.critic):
            score, logits = self.critic(fake)
            realism, classes = said(score, True), F.cross_entropy(logits, label)
            distance = (target - fake).abs().mean()
            divergence = kl_to_normal(mean, log_variance)
            faded = realism * (hyper.late_realism if phase.name == "late" else 1.0)
            loss = hyper.adversarial_weight * (faded + classes) + hyper.kl_weight * divergence
            self.descend("generator", loss + hyper.target_weight * distance)
        return {
            **losses,
            "generator_realism": realism.detach(),
            "generator_class": classes.detach(),
            "generator_target": distance.detach(),
            "generator_kl": divergence.detach(),
        }

    def _critic_step(
        self, real: Tensor, real_label: Tensor, fake: Tensor, fake_label: Tensor
    ) -> dict[str, Tensor]:
        """Real and generated images are both to be classified, as printed."""
        real_score, real_logits = self.critic(real)
        fake_score, fake_logits = self.critic(fake)
        classes = F.cross_entropy(real_logits, real_label)
        loss = said(real_score, True) + said(fake_score, False) + classes
        self.descend("critic", loss + F.cross_entropy(fake_logits, fake_label))
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
        """The subject with the affect; without a source, subjects out of noise."""
        wanted = one_hot(requests.target_label, self.classes, requests.second_label)
        scaled = wanted * requests.intensity[:, None].to(wanted)
        if not TASKS.get(requests.task).has_source:
            code = seeded(requests.noise_seed, self.hyper.width)
        else:
            own = one_hot(requests.source_label, self.classes)
            code = self.encoder(requests.source, own if self.hyper.source_affect else wanted)[0]
        found: Tensor = self.decoder(code, scaled)
        return found


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, exp(log_variance)) from N(0, 1), mean over all numbers (N, width)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


def _norm(width: int) -> nn.BatchNorm2d:
    """Batch norm with Keras' defaults."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


def _initialize(module: nn.Module) -> None:
    """Convolutions N(0, 0.02), dense layers Glorot uniform, no biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
