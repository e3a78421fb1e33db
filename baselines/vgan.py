"""VGAN, Generating Videos with Scene Dynamics (NIPS 2016), after the released Torch code.

A moving foreground, a still background and a mask between them. Built: the code's image-conditioned form,
which continues a first frame, and its form out of noise. The label is our option, which an expression needs:
planes behind the image or one-hot behind the noise, and planes behind what the critic sees. The generator's
step makes its clips anew and asks the critic after that has moved, where the code reuses both. At 64 px a
clip has 32 frames at equal times from neutral to the peak, half as many as pixels at other sizes; clips of
another length show the nearest frames.

Preset ``unlabelled`` is the published image-conditioned network; ``unconditional`` makes clips out of noise
and the label, so the face is anybody's.

Preset ``tiny``, for a minute on two CPU cores: images of 32 px, so 16 frames, layers a quarter as wide,
batches of 8, rate 5e-4 for the few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import ClipBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase

from ._adam import adam
from ._blocks import check_side, frozen, seeded, with_planes
from ._clips import answered, category, moving

_REAL = 1


@dataclass(frozen=True)
class VGANHyper:
    """The code's values; ``width`` is the critic's first layer's."""

    native: str = ""
    image: bool = True
    labels: bool = True
    width: int = 128
    noise: int = 100
    batch_size: int = 32
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    mask_weight: float = 0.1
    first_weight: float = 10.0
    epochs: float = 100
    smoke_steps: int = 250


def _widths(size: int, width: int) -> list[int]:
    """Channels of maps from 4 px to half the side: at the published 64 px eight times the width to one."""
    check_side("VGAN", size, 32)
    return [width << level for level in reversed(range(size.bit_length() - 3))]


class Encoder(nn.Sequential):
    """An image and its label's planes -> maps of 4 px."""

    def __init__(self, size: int, channels: int, width: int) -> None:
        layers: list[nn.Module] = []
        for i, o in pairwise([channels, *_widths(size, width)[::-1]]):
            norm = [nn.BatchNorm2d(o)] if layers else []
            layers += [nn.Conv2d(i, o, 4, 2, 1), *norm, nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Background(nn.Sequential):
    """Maps of 4 px, or a code (N, K, 1, 1) -> one picture (N, 3, S, S) in [-1, 1]."""

    def __init__(self, size: int, codes: int, width: int) -> None:
        widths = _widths(size, width)
        layers: list[nn.Module] = []
        if codes:
            layers += [
                nn.ConvTranspose2d(codes, widths[0], 4),
                nn.BatchNorm2d(widths[0]),
                nn.ReLU(inplace=True),
            ]
        for i, o in pairwise(widths):
            layers += [nn.ConvTranspose2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh())


class Foreground(nn.Module):
    """Maps of 4 px, or a code (N, K, 1, 1) -> moving pictures, and where they are seen."""

    def __init__(self, size: int, codes: int, width: int) -> None:
        super().__init__()
        widths = _widths(size, width)
        first = nn.ConvTranspose3d(codes or widths[0], widths[0], (2, 4, 4) if codes else (2, 1, 1))
        layers: list[nn.Module] = [first, nn.BatchNorm3d(widths[0]), nn.ReLU(inplace=True)]
        for i, o in pairwise(widths):
            layers += [nn.ConvTranspose3d(i, o, 4, 2, 1), nn.BatchNorm3d(o), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers)
        self.pictures = nn.ConvTranspose3d(widths[-1], 3, 4, 2, 1)
        self.mask = nn.ConvTranspose3d(widths[-1], 1, 4, 2, 1)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """-> (N, T, 3, S, S) in [-1, 1] and (N, T, 1, S, S) in [0, 1], T = S / 2."""
        x = self.trunk(code[:, :, None])
        return torch.tanh(self.pictures(x)).transpose(1, 2), self.mask(x).sigmoid().transpose(1, 2)


class Critic(nn.Module):
    """Whether a clip is real: two logits, the second for yes."""

    def __init__(self, size: int, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = _widths(size, width)[::-1]
        for i, o in pairwise([channels, *widths]):
            norm = [nn.BatchNorm3d(o, eps=1e-3)] if layers else []
            layers += [nn.Conv3d(i, o, 4, 2, 1), *norm, nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv3d(widths[-1], 2, (2, 4, 4)))

    def forward(self, clips: Tensor) -> Tensor:
        """(N, S / 2, channels, S, S) -> (N, 2)."""
        logits: Tensor = self.body(clips.transpose(1, 2))
        return logits.flatten(1)


class VGAN(Method):
    """What moves in front of what stays: f m + b (1 - m)."""

    card: ClassVar[MethodCard] = MethodCard(
        id="vgan",
        title="VGAN",
        citation="Vondrick, Pirsiavash, Torralba, NIPS 2016: Generating Videos with Scene Dynamics",
        year=2016,
        needs=frozenset({"labels", "sequences"}),
        controls=frozenset({"sequence"}),
        dynamic=True,
        notes="continues the source as its first frame; labels are our option",
        native="64-color-bicubic-aa",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": VGANHyper(),
        "unlabelled": VGANHyper(labels=False),
        "unconditional": VGANHyper(image=False, width=64, batch_size=64),
        "tiny": VGANHyper(native="32-color-bicubic-aa", width=32, batch_size=8, learning_rate=5e-4),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "unlabelled": "it knows no label, so it gives all of them one clip",
        "unconditional": "it draws faces out of noise: it keeps nobody's identity",
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "background.", "foreground.")
    hyper: VGANHyper

    def build(self) -> None:
        """Create encoder, both streams and critic, with the code's small weights."""
        size, hyper = self.problem.size, self.hyper
        count = len(moving(self.problem)) if hyper.labels else 0
        codes = 0 if hyper.image else hyper.noise + count
        if hyper.image:
            self.encoder = Encoder(size, 3 + count, hyper.width)
        self.background = Background(size, codes, hyper.width)
        self.foreground = Foreground(size, codes, hyper.width)
        self.critic = Critic(size, 3 + count, hyper.width)
        self.apply(_initialize)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, a step of the critic and one of the generator a call."""
        hyper = self.hyper
        return (
            Phase(
                "adversarial",
                "clip",
                hyper.batch_size,
                hyper.smoke_steps,
                paper_epochs=hyper.epochs,
                length=self.problem.size // 2,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the generator's parts together, and for the critic."""
        makers = [self.background, self.foreground, *([self.encoder] if self.hyper.image else [])]
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=makers, critic=self.critic)

    def training_step(self, phase: Phase, batch: ClipBatch, step: int) -> dict[str, Tensor]:
        """One step of the critic, then one of the generator."""
        hyper, source = self.hyper, batch.video[:, 0]
        wanted = category(batch.label, self.problem)
        code = self._code(source, wanted, torch.randn(len(batch), hyper.noise, device=source.device))
        with torch.no_grad():
            fake = self._made(*code)[0]
        real, made = self._judged(batch.video, wanted), self._judged(fake, wanted)
        wrong = (_entropy(real, _REAL) + _entropy(made, 1 - _REAL)) / 2
        self.descend("critic", wrong)
        with frozen(self.critic):
            clips, mask = self._made(*code)
            realism = _entropy(self._judged(clips, wanted), _REAL)
            first = (clips[:, 0] - source).abs().mean()
            added = hyper.first_weight * first if hyper.image else hyper.mask_weight * mask.mean()
            self.descend("generator", realism + added)
        return {
            "critic_loss": wrong.detach(),
            "probability_gap": (real.softmax(1)[:, _REAL].mean() - made.softmax(1)[:, _REAL].mean()).detach(),
            "generator_realism": realism.detach(),
            "generator_first": first.detach(),
            "mask": mask.detach().mean(),
        }

    def _code(self, source: Tensor, wanted: Tensor, noise: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the generator starts from: the image or noise, and its label where it is told."""
        return source if self.hyper.image else noise, wanted if self.hyper.labels else None

    def _made(self, start: Tensor, wanted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Clips (N, T, 3, S, S) and their masks (N, T, 1, S, S)."""
        if self.hyper.image:
            code = self.encoder(start if wanted is None else with_planes(start, wanted))
        else:
            code = (start if wanted is None else torch.cat([start, wanted.to(start)], dim=1))[
                :, :, None, None
            ]
        still = self.background(code)[:, None]
        pictures, mask = self.foreground(code)
        return mask * pictures + (1 - mask) * still, mask

    def _judged(self, clips: Tensor, wanted: Tensor) -> Tensor:
        if self.hyper.labels:
            planes = wanted.to(clips)[:, None, :, None, None].expand(-1, clips.shape[1], -1, *clips.shape[3:])
            clips = torch.cat([clips, planes], dim=2)
        logits: Tensor = self.critic(clips)
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Clips that go on from the source, or out of the request's noise."""
        wanted = category(requests.target_label, self.problem)
        noise = seeded(requests.noise_seed, self.hyper.noise)
        return answered(self._made(*self._code(requests.source, wanted, noise))[0], requests.length)


def _entropy(logits: Tensor, truth: int) -> Tensor:
    """Cross-entropy of two logits with one answer for all."""
    return F.cross_entropy(logits, torch.full((len(logits),), truth, device=logits.device))


def _initialize(module: nn.Module) -> None:
    """Weights N(0, 0.01), of norms N(1, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        nn.init.normal_(module.weight, 0.0, 0.01)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
