"""Li, Qi, Sun (IEEE Access 2021): face, heat maps of the target landmarks and target label; no public code.
Chosen where the paper is open: encoders conv7-64, conv3-128, conv3-256 with batch norm; nine migration blocks
of 256 channels, dropout 0.5; heat maps of 2 px at 128; the losses of both discriminators are summed, the
generator's form does not saturate; rate constant for half of 200 epochs, then linear to zero; conv1_2 of
VGG-19 before its rectifier. Real and made images go through a discriminator in one batch: the batch norm that
the paper puts last gives two batches of their own one mean, which leaves nothing to tell apart. The pixel
loss is L1, as in the paper's equation.

Presets ``no-init`` and ``no-smooth`` are for the paper's table 7: a strided convolution in place of each
encoder, and label planes of 0 and 1 in place of -1 and 1. The second is doubtful: the row (FID 69.48) has
been read as "w/o expression label smooth", which we follow, and as "without label maps", which would be no
planes at all. ``paper-noperc`` has no VGG-19 loss.

Preset ``tiny``, for a minute on two CPU cores: width 16, four blocks, batches of 8, rate 1e-3 for the few
steps, no VGG-19 loss, and for want of it 0.5, not 5, as the weight of the two adversaries, which outweigh L1
alone. No dropout: ahead of batch norm it makes the blocks' output in training another than in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.planes import heat_maps
from fesbench.methods.state_import import ConditionAxis
from fesbench.vocabulary import N_LANDMARKS

from ._adam import adam
from ._blocks import check_side, frozen, one_hot
from ._vgg import VGG19


@dataclass(frozen=True)
class Li2021Hyper:
    """The paper's values and, where it has none, ours; ``sigma`` is in pixels at 128."""

    width: int = 64
    blocks: int = 9
    dropout: float = 0.5
    sigma: float = 2.0
    encoders: bool = True
    label_low: float = -1.0
    last_norm: bool = True
    gan_weight: float = 5.0
    perceptual_weight: float = 10.0
    pixel_weight: float = 10.0
    batch_size: int = 16
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    epochs: float = 200.0
    smoke_steps: int = 170


def encoder(channels: int, width: int) -> nn.Sequential:
    """One of the feature initializing network: (N, channels, H, W) -> (N, 4 width, H/4, W/4)."""
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(channels, width, 7),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(inplace=True),
        nn.Conv2d(2 * width, 4 * width, 3, 2, 1),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(inplace=True),
    )


class MigrationBlock(nn.Module):
    """Table 1: the landmarks' path masks what the image's path adds.

    Args:
        width: channels of both paths' results.
        marks: channels of the landmarks' input.
        dropout: probability.
    """

    def __init__(self, width: int, marks: int, dropout: float) -> None:
        super().__init__()
        self.image = nn.Sequential(*self._path(width, width, dropout), nn.BatchNorm2d(width))
        self.landmarks = nn.Sequential(*self._path(marks, width, dropout))

    @staticmethod
    def _path(channels: int, width: int, dropout: float) -> list[nn.Module]:
        return [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
        ]

    def forward(self, image: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """(N, width, h, w) and (N, marks, h, w) -> the next (N, width, h, w) and (N, 2 width, h, w)."""
        shown = self.landmarks(marks)
        image = shown.sigmoid() * self.image(image) + image
        return image, torch.cat([shown, image], dim=1)


class Generator(nn.Module):
    """Encoders, migration blocks, label planes and decoder (tables 1 and 2)."""

    def __init__(self, labels: int, hyper: Li2021Hyper) -> None:
        super().__init__()
        width = 4 * hyper.width
        self.initial = nn.ModuleList(
            encoder(channels, hyper.width) if hyper.encoders else nn.Conv2d(channels, width, 4, 4)
            for channels in (3, N_LANDMARKS)
        )
        self.blocks = nn.ModuleList(
            MigrationBlock(width, 2 * width if number else width, hyper.dropout)
            for number in range(hyper.blocks)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(width + labels, width // 2, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width // 2, width // 4, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(width // 4),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width // 4, 3, 7),
        )

    def forward(self, image: Tensor, maps: Tensor, condition: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1], heat maps (N, 68, S, S), (N, labels) -> (N, 3, S, S) in [-1, 1]."""
        check_side("li2021's generator", image.shape[-1], 4)
        x, marks = (part(planes) for part, planes in zip(self.initial, (image, maps), strict=True))
        for block in self.blocks:
            x, marks = block(x, marks)
        planes = condition[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.tanh(self.decoder(torch.cat([x, planes], dim=1)))


class Discriminator(nn.Sequential):
    """Table 3: (N, channels, S, S) -> logits (N, 1, S/8 - 2, S/8 - 2), batch norm on the logits as well."""

    def __init__(self, channels: int, width: int, last_norm: bool) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level, stride in ((1, 2), (2, 2), (3, 1)):
            layers += [
                nn.Conv2d(width << (level - 1), width << level, 4, stride, 1),
                nn.BatchNorm2d(width << level),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(nn.Conv2d(width << 3, 1, 4, 1, 1))
        super().__init__(*layers, *([nn.BatchNorm2d(1)] if last_norm else []))


class Li2021(Method):
    """A face redrawn along target landmarks, block by block, with the expression's label."""

    card: ClassVar[MethodCard] = MethodCard(
        id="li2021",
        title="Li 2021",
        citation="Li, Qi, Sun, IEEE Access 2021, doi 10.1109/ACCESS.2021.3072057: Facial Landmarks and "
        "Expression Label Guided Photorealistic Facial Expression Synthesis",
        year=2021,
        needs=frozenset({"pairs", "neutral", "labels", "landmarks"}),
        controls=frozenset({"expression", "transfer"}),
        notes="input: face, heat maps of the target landmarks, label; transfer: no label's plane is set",
        helpers=("vgg19",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": Li2021Hyper(),
        "tiny": Li2021Hyper(
            width=16,
            blocks=4,
            dropout=0.0,
            gan_weight=0.5,
            perceptual_weight=0.0,
            batch_size=8,
            learning_rate=1e-3,
        ),
        "paper-noperc": Li2021Hyper(perceptual_weight=0.0),
        "no-init": Li2021Hyper(encoders=False),
        "no-smooth": Li2021Hyper(label_low=0.0),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "tiny": "without the perceptual loss (VGG-19)",
        "paper-noperc": "without the perceptual loss (VGG-19)",
        "no-init": "the paper's ablation: without the feature initializing network",
        "no-smooth": "label planes of 0 and 1, not -1 and 1: our reading of a row of the paper's ablation "
        "that may instead mean no label planes",
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: Li2021Hyper

    @classmethod
    def helpers_of(cls, hyper: Li2021Hyper) -> tuple[str, ...]:
        """VGG-19 where its loss has weight."""
        return cls.card.helpers if hyper.perceptual_weight else ()

    def build_helper(self, name: str) -> nn.Module:
        """VGG-19 up to conv1_2."""
        return VGG19("conv1_2")

    def build(self) -> None:
        """Create the generator and both discriminators, all weights N(0, 0.02)."""
        self.expressions = [k for k in range(len(self.problem.labels)) if k != self.problem.neutral]
        self.generator = Generator(len(self.expressions), self.hyper)
        width, last = self.hyper.width, self.hyper.last_norm
        self.critic = nn.ModuleDict(
            {"image": Discriminator(6, width, last), "geometry": Discriminator(3 + N_LANDMARKS, width, last)}
        )
        self.apply(_initialize)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """Places for all labels but neutral in the decoder's first weights."""
        start = 4 * self.hyper.width
        return {"generator.decoder.0.weight": ConditionAxis("labels", axis=0, start=start, neutral=False)}

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase."""
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
        """Adam for the generator and for both discriminators."""
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=self.generator, critic=self.critic)

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of both discriminators, then one of the generator."""
        source, target = batch.source.image, batch.target.image
        maps = self._maps(batch.target.landmarks)
        fake = self.generator(source, maps, self._condition(batch.target.label))
        losses = self._critic_step(source, maps, target, fake.detach())
        with frozen(self.critic):
            answers = self._judge(source, maps, target, fake)
            realism = torch.stack([F.softplus(-made).mean() for _, made in answers]).sum()
            pixel = (target - fake).abs().mean()
            loss = self.hyper.gan_weight * realism + self.hyper.pixel_weight * pixel
            if self.hyper.perceptual_weight:
                see = self.helper("vgg19")
                perceptual = (see(target) - see(fake)).abs().mean()
                loss = loss + self.hyper.perceptual_weight * perceptual
                losses["generator_perceptual"] = perceptual.detach()
            self.descend("generator", loss)
        return {**losses, "generator_realism": realism.detach(), "generator_pixel": pixel.detach()}

    def _critic_step(self, source: Tensor, maps: Tensor, target: Tensor, fake: Tensor) -> dict[str, Tensor]:
        answers = self._judge(source, maps, target, fake)
        each = [F.softplus(-real).mean() + F.softplus(made).mean() for real, made in answers]
        loss = torch.stack(each).sum()
        self.descend("critic", loss)
        gaps = [real.sigmoid().mean() - made.sigmoid().mean() for real, made in answers]
        return {"critic_loss": loss.detach(), "probability_gap": torch.stack(gaps).mean().detach()}

    def _judge(self, source: Tensor, maps: Tensor, real: Tensor, fake: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Logits of the real and of the made images, by each discriminator."""
        both = torch.cat([real, fake])
        inputs = {"image": [torch.cat([source, source]), both], "geometry": [both, torch.cat([maps, maps])]}
        answers = [self.critic[name](torch.cat(parts, dim=1)).chunk(2) for name, parts in inputs.items()]
        return [(real_answer, made) for real_answer, made in answers]

    def _maps(self, landmarks: Tensor) -> Tensor:
        return heat_maps(landmarks, self.problem.size, self.hyper.sigma * self.problem.size / 128)

    def _condition(self, label: Tensor) -> Tensor:
        """(N, labels but neutral): 1 at the label, ``label_low`` elsewhere and throughout for no label."""
        set_ = one_hot(label, len(self.problem.labels))[:, self.expressions]
        return self.hyper.label_low + (1 - self.hyper.label_low) * set_

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks and label.

        Raises:
            MethodError: a request whose target landmarks are not known.
        """
        if not bool(torch.isfinite(requests.target_landmarks).all()):
            raise MethodError("li2021 was asked for an image whose landmarks are not known")
        condition = self._condition(requests.target_label)
        found: Tensor = self.generator(requests.source, self._maps(requests.target_landmarks), condition)
        return found


def _initialize(module: nn.Module) -> None:
    """Weights N(0, 0.02), of batch norm N(1, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
