"""ExprGAN (AAAI 2018), as released: controller, reconstruction, refining. The code is followed throughout:
TensorFlow's padding, batch norm without scale and on the batch's own statistics, all optimizers on one
forward pass, and the identity term divided by the area of its maps a second time, which leaves next to
nothing of it (preset ``id-mean``: divided once).

Choices: neutral is a class like the others; at synthesis every dimension of the wanted class is the intensity
and of the others its negative, as in the PyTorch port; VGG-Face's weights are deepface's. ``paper-noid`` has
no identity term.

Preset ``tiny``, for a minute on two CPU cores: it works on 32 px, with a quarter of all widths, batches of
16, 0.02 as the code's weight after the controller, for the few steps, and no identity term. Its rate is 3e-4:
at 1e-3 the identity code's tanh saturates within a hundred steps (mean slope 0.36, then 0.01), and what the
decoder draws is the label alone. It has other initial weights: by the published ones a face moves the
decoder's image 2000 times less than the label does. Its controller is also short, 20 of 880 steps and not
62 %: 150 of 430 taught expressions no better than 30 of 490 and blurred the faces more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.task_kinds import TASKS

from ._adam import adam
from ._blocks import check_side, frozen, one_hot, with_planes
from ._vgg import VGGFace

CODE = 5
"""Dimensions of the expression code a class."""
FACE = 50
"""Dimensions of the identity code."""


@dataclass(frozen=True)
class ExprGANHyper:
    """The code's values; ``epochs`` and ``smoke_steps`` are those of the three stages.

    ``code_weight`` weighs the expression code in the last two; in the controller it is always 1.
    """

    width: int = 64
    critic_width: int = 16
    hidden: int = 1024
    controller_batch: int = 60
    batch_size: int = 48
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    identity_weight: float = 1.0
    identity_per_area: bool = True
    code_weight: float = 1.0
    adversarial_weight: float = 0.01
    prior_weight: float = 0.01
    smoothness_weight: float = 0.001
    clear_start: bool = False
    native: str = ""
    epochs: tuple[float, float, float] = (200.0, 50.0, 50.0)
    smoke_steps: tuple[int, int, int] = (20, 170, 30)


class Down(nn.Conv2d):
    """A 5x5 convolution with stride 2, padded as TensorFlow's SAME: one row before, two behind."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, 2)
        spread = math.sqrt(2 / (math.sqrt(inputs * outputs) * 25))
        nn.init.trunc_normal_(self.weight, 0.0, spread, -2 * spread, 2 * spread)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H/2, W/2)."""
        return super().forward(F.pad(x, (1, 2, 1, 2)))


class Full(nn.Linear):
    """A fully connected layer with the release's initial weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.normal_(self.weight, 0.0, (inputs * outputs) ** -0.25)
        nn.init.zeros_(self.bias)


class ShiftNorm(nn.Module):
    """Batch norm without a scale, always on the batch's own statistics."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, ...) -> the same shape; N > 1."""
        return F.batch_norm(x, None, None, None, self.bias, training=True, eps=1e-3)


class Encoder(nn.Sequential):
    """(N, 3, S, S) -> identity codes (N, 50) in [-1, 1]."""

    def __init__(self, size: int, width: int) -> None:
        check_side("exprgan", size, 32)
        layers: list[nn.Module] = []
        channels = 3
        for level in range(5):
            layers += [Down(channels, width << level), nn.ReLU(inplace=True)]
            channels = width << level
        super().__init__(*layers, nn.Flatten(), Full(channels * (size // 32) ** 2, FACE), nn.Tanh())

    @property
    def last(self) -> Full:
        """The layer before the codes."""
        found: Full = self[-2]  # type: ignore[assignment]
        return found


class Decoder(nn.Module):
    """Identity and expression codes -> an image; the expression's planes enter every layer.

    Args:
        size: side of the images.
        classes: K; codes have 5 dimensions each.
        width: a sixteenth of the first layer's channels.
    """

    def __init__(self, size: int, classes: int, width: int) -> None:
        super().__init__()
        self.copies, self.side, self.planes, first = FACE // classes, size // 32, CODE * classes, 16 * width
        self.first = Full(FACE + self.copies * self.planes, first * self.side**2)
        widths = [first >> level for level in range(7)]
        layers = [
            nn.Conv2d(i + self.planes, o, 3, padding=1, bias=False)
            for i, o in zip(widths, [*widths[1:], 3], strict=True)
        ]
        for layer in layers:
            nn.init.trunc_normal_(layer.weight, 0.0, 0.02, -0.04, 0.04)
        self.up = nn.ModuleList(layers)

    def forward(self, face: Tensor, code: Tensor) -> Tensor:
        """(N, 50) and (N, 5 K) -> (N, 3, S, S) in [-1, 1]."""
        x = F.relu(self.first(torch.cat([face, code.repeat(1, self.copies)], dim=1)))
        x = x.unflatten(1, (-1, self.side, self.side))
        for level, layer in enumerate(self.up):
            x = with_planes(x, code)
            if level < 5:
                # the planes are constant, so they may be enlarged with the rest
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = layer(x)
            x = torch.tanh(x) if level == len(self.up) - 1 else F.relu(x)
        return x


def clear_start(encoder: Encoder, decoder: Decoder) -> None:
    """Initial weights by which narrow networks show a face: codes apart, and the label's planes less loud.

    Both networks have He weights, the decoder as if there were no planes; the encoder's codes are spread, and
    the decoder begins with twice the face's and a twentieth of the label's weights. At 32 px faces then move
    the image by 0.07 and labels by 0.10.
    """
    for layer in encoder:
        if isinstance(layer, Down):
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / (25 * layer.in_channels)))
    encoder.last.weight.data *= 20.0
    decoder.first.weight.data[:, :FACE] *= 2.0
    decoder.first.weight.data[:, FACE:] *= 0.05
    for weight in decoder.up.parameters():
        faces = weight.shape[1] - decoder.planes
        nn.init.normal_(weight, 0.0, math.sqrt(2 / (9 * faces)))
        weight.data[:, faces:] *= 0.05


class ImageCritic(nn.Module):
    """The image discriminator, told the label, and the network Q that reads the code off an image."""

    def __init__(self, size: int, classes: int, width: int, hidden: int) -> None:
        super().__init__()
        widths = [width << level for level in range(4)]
        self.down = nn.ModuleList(
            Down(i + classes, o) for i, o in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.norms = nn.ModuleList(ShiftNorm(o) for o in widths)
        self.full = Full((widths[-1] + classes) * (size // 16) ** 2, hidden)
        self.norm = ShiftNorm(hidden)
        self.realism = Full(hidden + classes, 1)
        reader = hidden // 8
        self.trunk = nn.Sequential(Full(hidden + classes, reader), ShiftNorm(reader), nn.LeakyReLU(0.2))
        self.readers = nn.ModuleList(
            nn.Sequential(
                Full(reader, reader // 2),
                ShiftNorm(reader // 2),
                nn.LeakyReLU(0.2),
                Full(reader // 2, CODE),
                nn.Tanh(),
            )
            for _ in range(classes)
        )

    def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) and one-hot (N, K) -> realism logits (N, 1) and expression codes (N, 5 K)."""
        x = with_planes(image, label)
        for layer, norm in zip(self.down, self.norms, strict=True):
            x = with_planes(F.relu(norm(layer(x))), label)
        x = F.leaky_relu(self.norm(self.full(x.flatten(1))), 0.2)
        seen = torch.cat([x, label], dim=1)
        shared = self.trunk(seen)
        return self.realism(seen), torch.cat([reader(shared) for reader in self.readers], dim=1)


class CodeCritic(nn.Sequential):
    """Identity codes (N, 50) -> logits (N, 1): drawn from the prior or encoded."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for i, o in ((FACE, 64), (64, 32), (32, 16)):
            layers += [Full(i, o), ShiftNorm(o), nn.ReLU(inplace=True)]
        super().__init__(*layers, Full(16, 1))


class ExprGAN(Method):
    """An autoencoder of faces whose decoder is told the expression and its strength."""

    card: ClassVar[MethodCard] = MethodCard(
        id="exprgan",
        title="ExprGAN",
        citation="Ding et al., AAAI 2018, arXiv 1709.03842: "
        "ExprGAN: Facial Expression Editing with Controllable Expression Intensity",
        year=2018,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "intensity", "random"}),
        notes="redraws the face from 50 numbers",
        helpers=("vgg-face",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": ExprGANHyper(),
        "tiny": ExprGANHyper(
            width=16,
            critic_width=4,
            hidden=256,
            controller_batch=16,
            batch_size=16,
            learning_rate=3e-4,
            identity_weight=0.0,
            clear_start=True,
            code_weight=0.02,
            native="32-color-bicubic-aa",
            smoke_steps=(20, 800, 60),
        ),
        "paper-noid": ExprGANHyper(identity_weight=0.0),
        "id-mean": ExprGANHyper(identity_per_area=False),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "tiny": "without the identity loss (VGG-Face)",
        "paper-noid": "without the identity loss (VGG-Face)",
        "id-mean": "the identity loss is a mean over its maps, not divided by their area again",
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "known not to learn expressions in it: it makes the source's skin, hair and shape, blurred"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "decoder.")
    hyper: ExprGANHyper

    @classmethod
    def helpers_of(cls, hyper: ExprGANHyper) -> tuple[str, ...]:
        """VGG-Face where its loss has weight."""
        return cls.card.helpers if hyper.identity_weight else ()

    def build_helper(self, name: str) -> nn.Module:
        """VGG-Face up to conv5_2."""
        return VGGFace()

    def build(self) -> None:
        """Create encoder, decoder and both discriminators with the code's initial weights."""
        hyper, size = self.hyper, self.problem.size
        self.classes = len(self.problem.labels)
        self.encoder = Encoder(size, hyper.width)
        self.decoder = Decoder(size, self.classes, hyper.width)
        if hyper.clear_start:
            clear_start(self.encoder, self.decoder)
        self.critic = ImageCritic(size, self.classes, hyper.critic_width, hyper.hidden)
        self.code_critic = CodeCritic()

    def phases(self) -> tuple[Phase, ...]:
        """The controller from drawn faces, the autoencoder, and both with all adversaries."""
        sizes = (self.hyper.controller_batch, self.hyper.batch_size, self.hyper.batch_size)
        named = zip(("controller", "reconstruction", "refining"), sizes, strict=True)
        return tuple(
            Phase(name, "image", batch, paper_epochs=epochs, smoke_steps=steps)
            for (name, batch), epochs, steps in zip(
                named, self.hyper.epochs, self.hyper.smoke_steps, strict=True
            )
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for all that a stage trains."""
        parts: dict[str, list[nn.Module]] = {"generator": [self.decoder], "critic": [self.critic]}
        if phase.name != "controller":
            parts["generator"] = [self.encoder, self.decoder]
            parts["code_critic"] = [self.code_critic]
        return adam(self.hyper.learning_rate, self.hyper.betas, **parts)

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """One step of everything on one forward pass: the generator through the critics as they were."""
        label = one_hot(batch.label, self.classes)
        strength = torch.rand(len(label), CODE).to(label)  # |u| of u ~ U(-1, 1)
        wanted = expression_code(label, strength)
        drawn = (2 * torch.rand(len(label), FACE) - 1).to(label)
        face = drawn if phase.name == "controller" else self.encoder(batch.image)
        fake = self.decoder(face, wanted)
        with frozen(self.critic), frozen(self.code_critic):
            losses = self._generator_losses(phase.name, batch.image, label, wanted, face, fake)
            self.descend("generator", torch.stack(list(losses.values())).sum())
        told = {f"generator_{name}": value.detach() for name, value in losses.items()}
        told |= self._critic_step(batch.image, fake.detach(), label, wanted)
        return told if phase.name == "controller" else told | self._code_step(drawn, face.detach())

    def _generator_losses(
        self, stage: str, image: Tensor, label: Tensor, wanted: Tensor, face: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """The weighted terms of a stage by name."""
        hyper = self.hyper
        logits, code = self.critic(fake, label)
        read = code_loss(code, wanted)
        if stage == "controller":
            return {"code": read, "realism": _says(logits, real=True)}
        found = {"code": hyper.code_weight * read, "reconstruction": (fake - image).abs().mean()}
        if hyper.identity_weight:
            found["identity"] = hyper.identity_weight * self._identity(image, fake)
        if stage == "refining":
            found["realism"] = hyper.adversarial_weight * _says(logits, real=True)
            found["prior"] = hyper.prior_weight * _says(self.code_critic(face), real=True)
            found["smoothness"] = hyper.smoothness_weight * total_variation(fake)
        return found

    def _identity(self, image: Tensor, fake: Tensor) -> Tensor:
        see = self.helper("vgg-face")
        each = [
            (a - b).abs().mean() / (a.shape[-1] * a.shape[-2] if self.hyper.identity_per_area else 1)
            for a, b in zip(see(image), see(fake), strict=True)
        ]
        return torch.stack(each).sum()

    def _critic_step(self, image: Tensor, fake: Tensor, label: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        real, _ = self.critic(image, label)
        made, code = self.critic(fake, label)
        read = code_loss(code, wanted)
        self.descend("critic", _says(real, real=True) + _says(made, real=False) + read)
        gap = real.sigmoid().mean() - made.sigmoid().mean()
        return {"critic_code": read.detach(), "probability_gap": gap.detach()}

    def _code_step(self, drawn: Tensor, face: Tensor) -> dict[str, Tensor]:
        loss = _says(self.code_critic(drawn), real=True) + _says(self.code_critic(face), real=False)
        self.descend("code_critic", loss)
        return {"code_critic": loss.detach()}

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """The source's face, or under ``random`` a drawn one, with the label as strong as asked for."""
        if not TASKS.get(requests.task).has_source:
            draws = [
                torch.rand(FACE, generator=torch.Generator().manual_seed(int(n))) for n in requests.noise_seed
            ]
            face = (2 * torch.stack(draws) - 1).to(requests.source)
        else:
            face = self.encoder(requests.source)
        label = one_hot(requests.target_label, self.classes)
        found: Tensor = self.decoder(
            face, expression_code(label, requests.intensity[:, None].expand(-1, CODE))
        )
        return found


def expression_code(label: Tensor, strength: Tensor) -> Tensor:
    """The controller: one-hot (N, K), (N, 5) in [0, 1] -> (N, 5 K), negative but for the label's five."""
    return ((2 * label - 1)[:, :, None] * strength[:, None]).flatten(1)


def code_loss(code: Tensor, wanted: Tensor) -> Tensor:
    """Sum over the classes of the mean squared difference: (N, 5 K) twice -> ()."""
    return (code - wanted).square().mean() * (code.shape[1] // CODE)


def total_variation(image: Tensor) -> Tensor:
    """Half the squared steps between neighbors, summed, over the side of the image, an image."""
    down = (image[:, :, 1:] - image[:, :, :-1]).square().sum()
    across = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().sum()
    return (down + across) / 2 / image.shape[-1] / len(image)


def _says(logits: Tensor, *, real: bool) -> Tensor:
    """Cross entropy of logits that should say real, or made."""
    return F.softplus(-logits if real else logits).mean()
