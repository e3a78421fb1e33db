"""TGAN (ICCV 2017), after the released Chainer code: a slow code becomes 16 frame codes, these become frames.

Built: the configuration for 16 frames of 64 px with singular value clipping. The label is our option, which
an expression needs: one-hot behind the slow code where that becomes frame codes, and a logit a label beside
the critic's score, which learns it from real clips as the generators do from their own. The slow code alone
says whose face it is, so that of one code all labels move one face. With planes of the label before the
critic in place of logits, all labels had one motion, wherever the generators were told: a face differs more
from another than by its expression, and a critic of bounded slope looks there first. Left out: one scale
that the release registers and never uses. The singular values of a layer come from its smaller Gram matrix.
The face is anybody's, whatever the source shows. Clips of another length show the nearest frames.

Preset ``weight-clip`` clips the critic's parameters to 0.01, ``vanilla`` has log-loss and noise before the
critic's activations. Preset ``unlabelled`` is the published network, which knows no label.

Preset ``tiny``, for a minute on two CPU cores: images of 32 px, layers a quarter as wide (of the image
generator an eighth), codes of 16 numbers, batches of 8. One rate for all leaves noise that flickers: the
critic learns at 1e-3, the generators at 2e-4, and frame codes start at a tenth of their weight. On eight
subjects 600 steps make rough faces that differ as real ones do, flicker four times as much and take the
label's mouth. They do not teach when a face moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import ClipBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase

from ._blocks import check_side, frozen, seeded
from ._clips import answered, category, moving
from ._losses import said

LENGTH = 16
_EPS, _MOMENTUM = 2e-5, 0.1


@dataclass(frozen=True)
class TGANHyper:
    """The code's values.

    Attributes:
        width, image_width: of the critic's first layer, and of the image generator's last at 64 px.
        critic_rate: None = that of the generators.
        fast_start: where the scales of the norm behind the frame codes start.
    """

    native: str = ""
    width: int = 64
    image_width: int = 32
    code: int = 100
    labels: bool = True
    bound: Literal["singular", "weight", "none"] = "singular"
    clip_every: int = 5
    batch_size: int = 32
    learning_rate: float = 5e-5
    critic_rate: float | None = None
    fast_start: float = 1.0
    steps: int = 100_000
    smoke_steps: int = 300


class Scale(nn.Module):
    """Batch norm that scales and does not shift."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.norm = nn.BatchNorm1d(width, _EPS, _MOMENTUM, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, ...) -> the same shape."""
        found: Tensor = self.norm(x.flatten(2) if x.ndim > 2 else x)
        return found.reshape(x.shape) * self.weight.reshape(-1, *[1] * (x.ndim - 2))

    @torch.no_grad()
    def clip(self) -> None:
        """Let scale over running spread lie in [0.01, 1]."""
        variance = self.norm.running_var
        assert variance is not None
        spread = (variance + _EPS).sqrt()
        self.weight.copy_(torch.minimum(torch.maximum(self.weight, 0.01 * spread), spread))


class TemporalGenerator(nn.Sequential):
    """A slow code (N, inputs, 1) -> frame codes (N, code, 16) in (-1, 1)."""

    def __init__(self, inputs: int, width: int, code: int) -> None:
        widths = (inputs, 8 * width, 4 * width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for level, (i, o) in enumerate(pairwise(widths)):
            up = nn.ConvTranspose1d(i, o, 4, 2, 1) if level else nn.ConvTranspose1d(i, o, 1)
            layers += [up, Scale(o), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.ConvTranspose1d(widths[-1], code, 4, 2, 1), nn.Tanh())


class ImageGenerator(nn.Module):
    """Slow and frame codes, each through a dense layer of its own, to frames."""

    def __init__(self, size: int, hyper: TGANHyper) -> None:
        super().__init__()
        self.first = 8 * hyper.image_width
        self.slow, self.fast = (_dense(hyper.code, 16 * self.first) for _ in range(2))
        levels = range(levels_of(size))
        widths = [2 * self.first, *(max(hyper.image_width, self.first >> level) for level in levels)]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(o, _EPS, _MOMENTUM), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 3, 1, 1), nn.Tanh())
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.uniform_(parameter, -0.01, 0.01)
        nn.init.constant_(self.fast.get_parameter("1.weight"), hyper.fast_start)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """(N, code) and (N, code, T) -> (N, T, 3, S, S) in (-1, 1); norms run over all frames."""
        count, length = len(fast), fast.shape[2]
        # The slow part is the same for all frames of a clip, and its statistics with it.
        fixed = self.slow(slow).repeat_interleave(length, dim=0)
        each = self.fast(fast.transpose(1, 2).flatten(0, 1))
        maps = torch.cat([x.unflatten(1, (self.first, 4, 4)) for x in (fixed, each)], dim=1)
        made: Tensor = self.body(maps)
        return made.unflatten(0, (count, length))


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    norm = nn.BatchNorm1d(outputs, _EPS, _MOMENTUM)
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), norm, nn.ReLU(inplace=True))


class Critic(nn.Module):
    """Scores clips; with noise before its activations in training under the "vanilla" loss."""

    def __init__(self, size: int, labels: int, width: int, noise: float) -> None:
        super().__init__()
        widths = [3, *(width << level for level in range(levels_of(size)))]
        self.convs = nn.ModuleList(nn.Conv3d(i, o, 4, 2, 1) for i, o in pairwise(widths))
        self.scales = nn.ModuleList(Scale(o) for o in widths[2:])
        self.last = nn.Conv2d(widths[-1], 1 + labels, 4)
        self.noise = noise

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, 3, S, S) -> scores (N,) and logits of labels (N, K), the means over what time is left."""
        x = clips.transpose(1, 2)
        for level, conv in enumerate(self.convs):
            x = self.scales[level - 1](conv(x)) if level else conv(x)
            if self.noise and self.training:
                x = x + self.noise * torch.randn_like(x)
            x = F.leaky_relu(x, 0.2)
        found = self.last(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(clips), -1)).mean((1, 3, 4))
        return found[:, 0], found[:, 1:]

    @torch.no_grad()
    def clip(self) -> None:
        """Make every layer's largest singular value at most 1, and scales over spreads lie in [0.01, 1]."""
        for layer in (*self.convs, self.last):
            layer.weight.copy_(clipped(layer.weight.flatten(1)).reshape(layer.weight.shape))
        for scale in self.scales:
            assert isinstance(scale, Scale)
            scale.clip()


def clipped(matrix: Tensor) -> Tensor:
    """The matrix (rows, columns) with every singular value above 1 set to 1."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squared, left = torch.linalg.eigh((wide @ wide.T).double())
    factor = squared.clamp(min=1).rsqrt()
    found = (left * factor) @ left.T @ wide.double()
    return (found if wide is matrix else found.T).to(matrix)


def levels_of(size: int) -> int:
    """How often 4 px are doubled to an image: four times to the published 64."""
    check_side("TGAN", size, 32)
    return size.bit_length() - 3


class TGAN(Method):
    """Clips out of noise and a label."""

    card: ClassVar[MethodCard] = MethodCard(
        id="tgan",
        title="TGAN",
        citation="Saito, Matsumoto, Saito, ICCV 2017: "
        "Temporal Generative Adversarial Nets with Singular Value Clipping",
        year=2017,
        needs=frozenset({"labels", "sequences"}),
        controls=frozenset({"sequence"}),
        dynamic=True,
        notes="makes faces out of noise: it keeps nobody's identity; labels are our option",
        native="64-color-bicubic-aa",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": TGANHyper(),
        "weight-clip": TGANHyper(bound="weight"),
        "vanilla": TGANHyper(bound="none"),
        "unlabelled": TGANHyper(labels=False),
        "tiny": TGANHyper(
            native="32-color-bicubic-aa",
            width=16,
            image_width=4,
            code=16,
            batch_size=8,
            learning_rate=2e-4,
            critic_rate=1e-3,
            fast_start=0.1,
            smoke_steps=600,
        ),
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "a minute leaves rough faces, in half of whose frames a detector finds none; of many "
        "subjects it does not learn the label, and they move too early"
    }
    preset_notes: ClassVar[Mapping[str, str]] = {"unlabelled": "it knows no label: what it shows is chance"}
    synthesis_state: ClassVar[tuple[str, ...]] = ("temporal.", "frames.")
    hyper: TGANHyper

    def build(self) -> None:
        """Create both generators and the critic; LeCun's weights but for the frames' generator."""
        size, hyper = self.problem.size, self.hyper
        count = len(moving(self.problem)) if hyper.labels else 0
        self.temporal = TemporalGenerator(hyper.code + count, hyper.width, hyper.code)
        self.frames = ImageGenerator(size, hyper)
        self.critic = Critic(size, count, hyper.width, 0.3 if hyper.bound == "none" else 0.0)
        for network in (self.temporal, self.critic):
            network.apply(_lecun)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, a step of the generators and one of the critic a call."""
        batch, smoke, steps = self.hyper.batch_size, self.hyper.smoke_steps, self.hyper.steps
        return (Phase("adversarial", "clip", batch, smoke, paper_steps=steps, length=LENGTH),)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """RMSprop for each of the three networks."""
        rate = self.hyper.learning_rate
        rates = {"temporal": rate, "frames": rate, "critic": self.hyper.critic_rate or rate}
        return {
            name: torch.optim.RMSprop(self.get_submodule(name).parameters(), own, alpha=0.99, eps=1e-8)
            for name, own in rates.items()
        }

    def training_step(self, phase: Phase, batch: ClipBatch, step: int) -> dict[str, Tensor]:
        """The generators, then the critic on the same clips, which every fifth time is clipped first."""
        hyper, where = self.hyper, batch.video.device
        code = 2 * torch.rand(len(batch), hyper.code, device=where) - 1
        wanted = category(batch.label, self.problem)
        if hyper.bound == "singular" and step % hyper.clip_every == 0:
            self.critic.clip()
        made = self._made(code, wanted)
        with frozen(self.critic):
            score, seen = self.critic(made)
            realism, told = self._believed(score), self._mistaken(seen, wanted)
            self.descend("temporal", realism + told, "frames")
        (real, seen), (fake, _) = self.critic(batch.video), self.critic(made.detach())
        entropy = said(real, True) + said(fake, False)
        loss = entropy if hyper.bound == "none" else fake.mean() - real.mean()
        classes = self._mistaken(seen, wanted)
        self.descend("critic", loss + classes)
        if hyper.bound == "weight":
            with torch.no_grad():
                for parameter in self.critic.parameters():
                    parameter.clamp_(-0.01, 0.01)
        return {
            "critic_loss": loss.detach(),
            "critic_gap": (real.mean() - fake.mean()).detach(),
            "critic_class": classes.detach(),
            "generator_realism": realism.detach(),
            "generator_class": told.detach(),
        }

    def _believed(self, score: Tensor) -> Tensor:
        return said(score, True) if self.hyper.bound == "none" else -score.mean()

    def _mistaken(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of the labels (N, K) that are known; 0 without labels."""
        if not self.hyper.labels:
            return logits.new_zeros(())
        return F.cross_entropy(logits, wanted.float().argmax(1))

    def _made(self, code: Tensor, wanted: Tensor) -> Tensor:
        """Uniform codes (N, code) in [-1, 1] and categories (N, K) -> clips of 16 frames."""
        told = torch.cat([code, wanted.to(code)], dim=1) if self.hyper.labels else code
        made: Tensor = self.frames(code, self.temporal(told[:, :, None]))
        return made

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Clips of the label out of the request's noise."""
        code = 2 * seeded(requests.noise_seed, self.hyper.code, torch.rand) - 1
        clips = self._made(code, category(requests.target_label, self.problem))
        return answered(clips, requests.length)


def _lecun(module: nn.Module) -> None:
    """Weights N(0, 1 / fan), biases 0, as Chainer draws them: a transposed layer's fan counts its outputs."""
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d):
        nn.init.normal_(module.weight, 0.0, module.weight[0].numel() ** -0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
