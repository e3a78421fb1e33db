"""MoCoGAN (CVPR 2018), after the released code by description: its license allows no derivative files.

A clip has one content code and a motion code a frame, from a recurrent network; one critic judges frames,
another one clips. Both category terms are on, as a labelled set wants. Built with the patch image critic and
without the optional noise before convolutions. Chosen: 16 frames at equal times from neutral to the peak;
other lengths take motion codes between them. A step draws one frame of each clip of the batch for the image
critic, and its first clips go to the other.

Preset ``paper`` is the published network: out of noise, so the face is anybody's, whatever the source shows.
Preset ``image`` (our variant, as comparators of an image-to-clip method need it) takes the content code from
the source by a mirrored encoder, and holds the first frame to the source with 10 |frame - source|.

Preset ``tiny``, for a minute on two CPU cores: ``image`` on images of 32 px, layers a quarter as wide, 8
images and 4 clips a batch, rate 1e-3 for the few steps.
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

from ._blocks import check_side, frozen
from ._clips import answered, category, moving
from ._losses import said

LENGTH = 16


@dataclass(frozen=True)
class MoCoGANHyper:
    """The code's values; ``first_weight`` > 0 makes the variant that starts from the source."""

    native: str = ""
    width: int = 64
    content: int = 50
    motion: int = 10
    image_batch: int = 10
    clip_batch: int = 3
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-5
    first_weight: float = 0.0
    steps: int = 100_000
    smoke_steps: int = 560


def levels_of(size: int) -> int:
    """How often 4 px are doubled to an image: four times to the published 64."""
    check_side("MoCoGAN", size, 32)
    return size.bit_length() - 3


class Encoder(nn.Sequential):
    """A face's content code: (N, 3, S, S) -> (N, outputs)."""

    def __init__(self, size: int, width: int, outputs: int) -> None:
        widths = [3, *(width << level for level in range(levels_of(size)))]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            norm = [nn.BatchNorm2d(o)] if i > 3 else []
            layers += [nn.Conv2d(i, o, 4, 2, 1, bias=False), *norm, nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(widths[-1], outputs, 4, bias=False), nn.Flatten())


class Generator(nn.Module):
    """Codes to frames, and the motion codes' recurrent network."""

    def __init__(self, size: int, width: int, codes: int, motion: int) -> None:
        super().__init__()
        self.recurrent = nn.GRUCell(motion, motion)
        widths = [width << level for level in reversed(range(levels_of(size)))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(codes, widths[0], 4, 1, 0, bias=False)]
        for i, o in pairwise([*widths, 3]):
            layers += [
                nn.BatchNorm2d(i),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False),
            ]
        self.frames = nn.Sequential(*layers, nn.Tanh())

    def motion(self, start: Tensor, draws: Tensor) -> Tensor:
        """First state (N, m) and a draw a frame (N, T, m) -> motion codes (N, T, m)."""
        codes = []
        for draw in draws.unbind(1):
            start = self.recurrent(draw, start)
            codes.append(start)
        return torch.stack(codes, dim=1)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (..., K) -> frames (..., 3, S, S) in [-1, 1]."""
        made: Tensor = self.frames(codes.reshape(-1, codes.shape[-1], 1, 1))
        return made.reshape(*codes.shape[:-1], *made.shape[1:])


class ImageCritic(nn.Sequential):
    """Whether patches of a frame are real: (N, 3, S, S) -> logits (N, 1, S / 16, S / 16)."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for i, o in ((width, 2 * width), (2 * width, 4 * width)):
            norm = nn.BatchNorm2d(o)
            layers += [nn.Conv2d(i, o, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(4 * width, 1, 4, 2, 1, bias=False))


class VideoCritic(nn.Module):
    """Whether a clip is real, and of which category."""

    def __init__(self, size: int, width: int, categories: int) -> None:
        super().__init__()
        widths = [3, *(width << level for level in range(levels_of(size)))]
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            norm = [nn.BatchNorm3d(o)] if i > 3 else []
            layers += [nn.Conv3d(i, o, 4, (1, 2, 2), (0, 1, 1), bias=False), *norm]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv3d(widths[-1], 1 + categories, 4, bias=False))

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, 3, S, S) -> logits of realism (N,) and categories (N, K), means over what time is left."""
        found = self.body(clips.transpose(1, 2)).mean((2, 3, 4))
        return found[:, 0], found[:, 1:]


class MoCoGAN(Method):
    """Content and motion apart: one code a clip, one code a frame."""

    card: ClassVar[MethodCard] = MethodCard(
        id="mocogan",
        title="MoCoGAN",
        citation="Tulyakov, Liu, Yang, Kautz, CVPR 2018, pp. 1526-1535: "
        "MoCoGAN: Decomposing Motion and Content for Video Generation",
        year=2018,
        needs=frozenset({"labels", "sequences"}),
        controls=frozenset({"sequence"}),
        dynamic=True,
        notes="preset paper makes faces out of noise; image starts from the source",
        native="64-color-bicubic-aa",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": MoCoGANHyper(),
        "image": MoCoGANHyper(first_weight=10.0),
        "tiny": MoCoGANHyper(
            native="32-color-bicubic-aa",
            width=16,
            image_batch=8,
            clip_batch=4,
            learning_rate=1e-3,
            first_weight=10.0,
        ),
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "a minute brings it to the look of faces, not yet to whose face it was given"
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "paper": "the published network draws faces out of noise: it keeps nobody's identity"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "generator.")
    hyper: MoCoGANHyper

    def build(self) -> None:
        """Create the generator, both critics and, for ``image``, the encoder; the framework's weights."""
        size, hyper = self.problem.size, self.hyper
        categories = self.classes = len(moving(self.problem))
        codes = hyper.content + categories + hyper.motion
        self.generator = Generator(size, hyper.width, codes, hyper.motion)
        self.image_critic = ImageCritic(hyper.width)
        self.video_critic = VideoCritic(size, hyper.width, categories)
        if hyper.first_weight:
            self.encoder = Encoder(size, hyper.width, hyper.content)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, a step of each network a call."""
        batch = max(self.hyper.image_batch, self.hyper.clip_batch)
        smoke, steps = self.hyper.smoke_steps, self.hyper.steps
        return (Phase("adversarial", "clip", batch, smoke, paper_steps=steps, length=LENGTH),)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam with weight decay, one a network; the encoder moves with the generator."""
        hyper = self.hyper
        makers = [self.generator, self.encoder] if hyper.first_weight else [self.generator]
        moved = {
            "generator": makers,
            "image_critic": [self.image_critic],
            "video_critic": [self.video_critic],
        }
        return {
            name: torch.optim.Adam(
                nn.ModuleList(parts).parameters(),
                hyper.learning_rate,
                hyper.betas,
                weight_decay=hyper.weight_decay,
            )
            for name, parts in moved.items()
        }

    def training_step(self, phase: Phase, batch: ClipBatch, step: int) -> dict[str, Tensor]:
        """One step of the image critic, of the video critic and of the generator."""
        hyper = self.hyper
        clips, frames = batch[: hyper.clip_batch], batch[: hyper.image_batch]
        label = category(clips.label, self.problem).float().argmax(1)
        wanted = self._any(clips)
        with torch.no_grad():
            image, clip = self._frame(frames), self.generator(self._codes(clips, wanted))
        real = self.image_critic(_one_of(frames.video)), self.video_critic(clips.video)
        fake = self.image_critic(image), self.video_critic(clip)
        seen = said(real[0], True) + said(fake[0], False)
        self.descend("image_critic", seen)
        classes = F.cross_entropy(real[1][1], label)
        watched = said(real[1][0], True) + said(fake[1][0], False)
        self.descend("video_critic", watched + classes)
        losses = self._generator_step(frames, clips, wanted)
        return {
            "image_critic": seen.detach(),
            "video_critic": watched.detach(),
            "critic_class": classes.detach(),
            "probability_gap": (real[1][0].sigmoid().mean() - fake[1][0].sigmoid().mean()).detach(),
            **losses,
        }

    def _generator_step(self, frames: ClipBatch, clips: ClipBatch, wanted: Tensor) -> dict[str, Tensor]:
        with frozen(self.image_critic), frozen(self.video_critic):
            image, clip = self._frame(frames), self.generator(self._codes(clips, wanted))
            realism, predicted = self.video_critic(clip)
            losses = {
                "image": said(self.image_critic(image), True),
                "video": said(realism, True),
                "class": F.cross_entropy(predicted, wanted.float().argmax(1)),
            }
            loss = torch.stack(list(losses.values())).sum()
            if self.hyper.first_weight:
                losses["first"] = (clip[:, 0] - clips.video[:, 0]).abs().mean()
                loss = loss + self.hyper.first_weight * losses["first"]
            self.descend("generator", loss)
        return {f"generator_{name}": value.detach() for name, value in losses.items()}

    def _any(self, clips: ClipBatch) -> Tensor:
        """A category for each clip, all as likely: bool (N, K)."""
        drawn = torch.randint(len(moving(self.problem)), (len(clips),), device=clips.video.device)
        return drawn[:, None] == torch.arange(len(moving(self.problem)), device=drawn.device)

    def _frame(self, clips: ClipBatch) -> Tensor:
        """A made frame for each clip, of any category: a batch of its own for the norms."""
        made: Tensor = self.generator(_one_of(self._codes(clips, self._any(clips))))
        return made

    def _codes(self, clips: ClipBatch, wanted: Tensor) -> Tensor:
        """Codes (N, 16, K) of clips of some categories, noise drawn here."""
        count, where = len(clips), wanted.device
        first = clips.video[:, 0]
        content = self._content(first, lambda: torch.randn(count, self.hyper.content, device=where))
        start = torch.randn(count, self.hyper.motion, device=where)
        draws = torch.randn(count, LENGTH, self.hyper.motion, device=where)
        return _joined(content, wanted, self.generator.motion(start, draws))

    def _content(self, source: Tensor, draw: Any) -> Tensor:
        found: Tensor = self.encoder(source) if self.hyper.first_weight else draw()
        return found

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Clips of the label; all codes follow the request's seed, but for the content code of ``image``."""
        draws = [torch.Generator().manual_seed(int(seed)) for seed in requests.noise_seed]
        where, hyper = requests.source.device, self.hyper

        def noise(*shape: int) -> Tensor:
            return torch.stack([torch.randn(shape, generator=draw) for draw in draws]).to(where)

        content = self._content(requests.source, lambda: noise(hyper.content))
        motion = self.generator.motion(noise(hyper.motion), noise(LENGTH, hyper.motion))
        if requests.length not in (1, LENGTH):
            motion = F.interpolate(
                motion.transpose(1, 2), size=requests.length, mode="linear", align_corners=True
            ).transpose(1, 2)
        codes = _joined(content, category(requests.target_label, self.problem), motion)
        return answered(self.generator(codes[:, -1:] if requests.length == 1 else codes), requests.length)


def _one_of(clips: Tensor) -> Tensor:
    """One frame of each clip (N, T, ...), drawn at random."""
    rows = torch.arange(len(clips), device=clips.device)
    return clips[rows, torch.randint(clips.shape[1], (len(clips),), device=clips.device)]


def _joined(content: Tensor, wanted: Tensor, motion: Tensor) -> Tensor:
    """(N, c), (N, K) and (N, T, m) -> codes (N, T, c + K + m)."""
    fixed = torch.cat([content, wanted.to(content)], dim=1)
    return torch.cat([fixed[:, None].expand(-1, motion.shape[1], -1), motion], dim=2)
