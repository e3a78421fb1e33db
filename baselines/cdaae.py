"""CDAAE (ACII 2017), a reference build: no code is public and the paper could be read in part alone. Networks
are those of the model that it extends (CAAE, CVPR 2017, official code); the feed-forward path adds the first
encoder layer to the decoder layer of its size, before its activation, since the abstract speaks of a
difference.

Chosen here: mean absolute error, weights 1, code 0.01, image 0.01, total variation 0.001 (ExprGAN's, on the
same base); 200 epochs of batches of 48; pairs of one recording, neutral and expressive, taken in either
direction. Labels are +1 and -1; an intensity goes from the source's label to the target's, a compound sets
both to +1. Without a known source label an intensity starts at neutral.

Preset ``caae`` is without the path. Preset ``tiny``, for a minute on two CPU cores: width 32, dense width 64,
code 50 as published, batches of 16, rate 1e-3, which falls over the second half, and He weights on encoder
and decoder, which have no norms: untrained, the images of two labels differ by 0.03 on average, and by 5e-5
with the base's N(0, 0.02). Sizes are powers of two from 32 on: each halving of 128 px takes the innermost
layer of encoder and decoder away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, constant, decay_after

from ._adam import adam
from ._blocks import frozen, he_initialize, one_hot, with_planes
from ._losses import said
from ._same import SameConv, SameTransposed


@dataclass(frozen=True)
class CDAAEHyper:
    """The base's values, and those chosen; ``path`` counts the encoder layers that reach the decoder.

    ``he``: encoder and decoder start with He weights; ``falling``: the rate falls over the second half.
    """

    width: int = 64
    code: int = 50
    critic_width: int = 16
    dense: int = 1024
    path: int = 1
    he: bool = False
    falling: bool = False
    batch_size: int = 48
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    code_weight: float = 0.01
    image_weight: float = 0.01
    smooth_weight: float = 0.001
    epochs: float = 200
    smoke_steps: int = 600


class ShiftNorm(nn.BatchNorm1d):
    """Batch norm that learns a shift and no gain; of (N, C) or (N, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-5, momentum=0.1, affine=False)
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        found = super().forward(x.flatten(2) if x.ndim == 4 else x).view_as(x)
        return found + self.shift.view(-1, *[1] * (x.ndim - 2))

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected (N, C) or (N, C, L), got {tuple(input.shape)}")


class Encoder(nn.Module):
    """Strided convolutions down to 4x4, and a code in (-1, 1).

    Args:
        size: side of the images, 4 * 2 ** levels.
        width: of the first layer, doubled in each following one.
        code: length of the code.
    """

    def __init__(self, size: int, width: int, code: int) -> None:
        super().__init__()
        levels = (size // 4).bit_length() - 1
        widths = [3, *(width << level for level in range(levels))]
        self.layers = nn.ModuleList(SameConv(i, o) for i, o in pairwise(widths))
        self.last = nn.Linear(16 * widths[-1], code)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, S, S) -> code (N, code), and each layer's output, the largest first."""
        hidden = []
        for layer in self.layers:
            image = F.relu(layer(image))
            hidden.append(image)
        return torch.tanh(self.last(image.flatten(1))), hidden


class Decoder(nn.Module):
    """Code and tiled label -> image, with the encoder's first layers added to those of their size."""

    def __init__(self, size: int, width: int, inputs: int, path: int) -> None:
        super().__init__()
        levels = (size // 4).bit_length() - 1
        self.start = width << (levels - 1)
        self.dense = nn.Linear(inputs, 16 * self.start)
        widths = [self.start, *(width << level for level in range(levels - 2, -1, -1)), width // 2]
        self.layers = nn.ModuleList(SameTransposed(i, o) for i, o in pairwise(widths))
        self.last = nn.Sequential(
            SameTransposed(width // 2, width // 4, stride=1),
            nn.ReLU(inplace=True),
            SameTransposed(width // 4, 3, stride=1),
            nn.Tanh(),
        )
        self.path = path

    def forward(self, code: Tensor, label: Tensor, hidden: list[Tensor]) -> Tensor:
        """(N, code), (N, m * K) and the encoder's layers -> (N, 3, S, S) in [-1, 1]."""
        x = F.relu(self.dense(torch.cat([code, label], dim=1))).unflatten(1, (self.start, 4, 4))
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            x = layer(x)
            # The layer before the last has the size of the encoder's first.
            mirrored = last - 1 - place
            x = F.relu(x + hidden[mirrored] if 0 <= mirrored < self.path else x)
        found: Tensor = self.last(x)
        return found


class CodeCritic(nn.Sequential):
    """Code -> logit of being drawn from the prior."""

    def __init__(self, code: int) -> None:
        layers: list[nn.Module] = []
        widths = (code, 64, 32, 16)
        for i, o in pairwise(widths):
            layers += [nn.Linear(i, o), ShiftNorm(o), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Linear(16, 1))


class LabelledCritic(nn.Module):
    """Image, and label planes behind the first layer -> logit of being real and of that label."""

    def __init__(self, size: int, classes: int, width: int, dense: int) -> None:
        super().__init__()
        self.first = nn.Sequential(SameConv(3, width), ShiftNorm(width), nn.ReLU(inplace=True))
        layers: list[nn.Module] = []
        for i, o in ((width + classes, 2 * width), (2 * width, 4 * width), (4 * width, 8 * width)):
            layers += [SameConv(i, o), ShiftNorm(o), nn.ReLU(inplace=True)]
        layers += [
            nn.Flatten(),
            nn.Linear(8 * width * (size // 16) ** 2, dense),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        self.body = nn.Sequential(*layers, nn.Linear(dense, 1))

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """(N, 3, S, S) and (N, K) -> (N, 1)."""
        found: Tensor = self.body(with_planes(self.first(image), label))
        return found


class CDAAE(Method):
    """The decoder learns a subject's difference between two expressions; the path brings the subject."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cdaae",
        title="CDAAE",
        citation="Zhou and Shi, ACII 2017, arXiv 1708.09126: Photorealistic Facial Expression Synthesis "
        "by the Conditional Difference Adversarial Autoencoder",
        year=2017,
        needs=frozenset({"pairs", "neutral", "labels"}),
        controls=frozenset({"expression", "compound", "intensity"}),
        notes="a reference build on CAAE; intensity and compound: labels in between, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CDAAEHyper(),
        "caae": CDAAEHyper(path=0),
        "tiny": CDAAEHyper(
            width=32,
            dense=64,
            critic_width=8,
            batch_size=16,
            learning_rate=1e-3,
            he=True,
            falling=True,
            smoke_steps=400,
        ),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "decoder.")
    hyper: CDAAEHyper

    def build(self) -> None:
        """Create the networks with the base's initial weights.

        Raises:
            MethodError: a size that is no power of two of at least 32, or no room for the labels.
        """
        size, hyper = self.problem.size, self.hyper
        if size < 32 or size & (size - 1):
            raise MethodError(f"cdaae needs a power of two of at least 32 as image size, not {size}")
        self.classes = len(self.problem.labels)
        self.copies = hyper.code // self.classes
        if not self.copies:
            raise MethodError(f"cdaae: {self.classes} labels do not fit beside a code of {hyper.code}")
        self.encoder = Encoder(size, hyper.width, hyper.code)
        inputs = hyper.code + self.copies * self.classes
        self.decoder = Decoder(size, hyper.width, inputs, hyper.path)
        self.code_critic = CodeCritic(hyper.code)
        self.critic = LabelledCritic(size, self.classes, hyper.critic_width, hyper.dense)
        self.apply(_initialize)
        if hyper.he:
            self.encoder.apply(he_initialize)
            self.decoder.apply(he_initialize)

    # No condition_axes: a label has several places in the decoder's input; other labels' weights are refused.

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase at a constant rate."""
        hyper = self.hyper
        return (
            Phase(
                "adversarial",
                "pair",
                hyper.batch_size,
                paper_epochs=hyper.epochs,
                smoke_steps=hyper.smoke_steps,
                learning_rate=decay_after(0.5) if hyper.falling else constant,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the autoencoder and each critic."""
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            generator=[self.encoder, self.decoder],
            code_critic=self.code_critic,
            critic=self.critic,
        )

    def make(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) and labels (N, K) in [-1, 1] -> images and codes."""
        code, hidden = self.encoder(image)
        return self.decoder(code, label.repeat(1, self.copies), hidden), code

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of each optimizer on one forward pass; half of the pairs are turned around."""
        hyper = self.hyper
        turned = torch.rand(len(batch), device=batch.source.image.device) < 0.5
        across = turned[:, None, None, None]
        source = torch.where(across, batch.target.image, batch.source.image)
        target = torch.where(across, batch.source.image, batch.target.image)
        label = self._signs(torch.where(turned, batch.source.label, batch.target.label))
        fake, code = self.make(source, label)
        with frozen(self.critic), frozen(self.code_critic):
            distance = (fake - target).abs().mean()
            prior, realism = said(self.code_critic(code), True), said(self.critic(fake, label), True)
            smooth = squared_variation(fake)
            loss = distance + hyper.code_weight * prior + hyper.image_weight * realism
            self.descend("generator", loss + hyper.smooth_weight * smooth)
        code_loss = said(self.code_critic(2 * torch.rand_like(code) - 1), True)
        code_loss = code_loss + said(self.code_critic(code.detach()), False)
        self.descend("code_critic", code_loss)
        real_score, fake_score = self.critic(target, label), self.critic(fake.detach(), label)
        critic_loss = said(real_score, True) + said(fake_score, False)
        self.descend("critic", critic_loss)
        gap = real_score.sigmoid().mean() - fake_score.sigmoid().mean()
        return {
            "generator_target": distance.detach(),
            "generator_prior": prior.detach(),
            "generator_realism": realism.detach(),
            "generator_smooth": smooth.detach(),
            "code_critic_loss": code_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "probability_gap": gap.detach(),
        }

    def _signs(self, label: Tensor, second: Tensor | None = None) -> Tensor:
        """(N,) -> (N, K): +1 for the label, or for both, and -1 elsewhere."""
        return 2 * one_hot(label, self.classes, second) - 1

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target label, or with labels between the source's and the target's."""
        known = torch.where(requests.source_label >= 0, requests.source_label, self.problem.neutral)
        start = self._signs(known)
        label = torch.lerp(
            start,
            self._signs(requests.target_label, requests.second_label),
            requests.intensity[:, None].to(start),
        )
        return self.make(requests.source, label)[0]


def squared_variation(images: Tensor) -> Tensor:
    """Half the squared neighbor differences, over the side of the images and their number."""
    across, down = images.diff(dim=-1).square().sum(), images.diff(dim=-2).square().sum()
    return (across + down) / 2 / images.shape[-1] / len(images)


def _initialize(module: nn.Module) -> None:
    """Weights N(0, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
