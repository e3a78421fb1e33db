"""First Order Motion Model (NeurIPS 2019), after the released code's vox-256 configuration.

Key points and affine maps about them, learned from clips without labels, give a flow and what it hides; the
source's features are warped by it. Left out: the discriminator, which that configuration never trains, and
the hue of the color jitter. The detector and the flow see at most 64 px, as in the release at 256. Two frames
of a clip, at least three of sixteen apart, make a pair, in either order. Motion is relative: the driver's
change since its first frame is put on the source's key points.

Where a label and no driver is granted (our choice), the driver is a training clip: the one whose key points
move most like the label's mean, kept as key points.

Preset ``paper-noperc`` has, in place of VGG-19, L1 of images and of their gradients on the same four scales.

Preset ``tiny``, for a minute on two CPU cores: an hourglass of three levels and a generator of two blocks,
a quarter or less as wide, batches of 8, rate 2e-3 for the few steps, no jitter, no VGG-19.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method, evaluating
from fesbench.methods.batches import ClipBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.training_set import TrainingSet

from ._adam import adam
from ._blocks import check_side
from ._clips import answered
from ._vgg import VGG19Levels

LENGTH = 16
_APART = 3
_SEEN = 64
"""Pixels that the detector and the flow see at most."""


@dataclass(frozen=True)
class FOMMHyper:
    """The code's values for vox-256; ``width``, ``levels`` and ``most`` are the detector's hourglass's."""

    points: int = 10
    width: int = 32
    flow_width: int = 64
    levels: int = 5
    most: int = 1024
    generator_width: int = 64
    generator_most: int = 512
    blocks: int = 6
    temperature: float = 0.1
    variance: float = 0.01
    perceptual: Literal["vgg19", "pyramid-l1"] = "vgg19"
    perceptual_weight: float = 10.0
    equivariance_weight: float = 10.0
    affine: float = 0.05
    spline: float = 0.005
    jitter: float = 0.1
    batch_size: int = 40
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    epochs: float = 7500
    smoke_steps: int = 300


class Motion(NamedTuple):
    """Key points (..., K, 2), x and y in [-1, 1] of the image, and affine maps about them (..., K, 2, 2)."""

    points: Tensor
    maps: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Hourglass(nn.Module):
    """Down by averages and up by neighbors, the maps on the way down kept beside those on the way up."""

    def __init__(self, inputs: int, width: int, levels: int, most: int) -> None:
        super().__init__()
        widths = [min(most, width << level) for level in range(levels + 1)]
        self.down = nn.ModuleList(_conv(i, o) for i, o in pairwise([inputs, *widths[1:]]))
        self.up = nn.ModuleList(
            _conv(widths[k + 1] * (1 if k == levels - 1 else 2), widths[k] if k else width)
            for k in reversed(range(levels))
        )
        self.outputs = width + inputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        kept = [x]
        for layer in self.down:
            kept.append(F.avg_pool2d(layer(kept[-1]), 2))
        x = kept.pop()
        for layer in self.up:
            x = torch.cat([layer(F.interpolate(x, scale_factor=2.0)), kept.pop()], dim=1)
        return x


class KeyPoints(nn.Module):
    """The key points of images, and how the image is turned and stretched about each."""

    def __init__(self, hyper: FOMMHyper) -> None:
        super().__init__()
        self.temperature = hyper.temperature
        self.body = Hourglass(3, hyper.width, hyper.levels, hyper.most)
        self.heat = nn.Conv2d(self.body.outputs, hyper.points, 7)
        self.maps = nn.Conv2d(self.body.outputs, 4 * hyper.points, 7)
        nn.init.zeros_(self.maps.weight)
        self.maps.bias = nn.Parameter(torch.tensor([1.0, 0, 0, 1]).repeat(hyper.points))

    def forward(self, images: Tensor) -> Motion:
        """(N, 3, s, s) in [0, 1] -> key points."""
        x = self.body(images)
        heat = (self.heat(x).flatten(2) / self.temperature).softmax(2).unflatten(2, (x.shape[-1] - 6, -1))
        points = (heat[..., None] * places(heat.shape[-1], heat)).sum((2, 3))
        maps = (heat[:, :, None] * self.maps(x).unflatten(1, (-1, 4))).sum((3, 4))
        return Motion(points, maps.unflatten(2, (2, 2)))


class DenseMotion(nn.Module):
    """Key points of two images -> for every place of the driving image where it lies in the source."""

    def __init__(self, hyper: FOMMHyper) -> None:
        super().__init__()
        count, self.variance = hyper.points + 1, hyper.variance
        self.body = Hourglass(4 * count, hyper.flow_width, hyper.levels, hyper.most)
        self.mask = nn.Conv2d(self.body.outputs, count, 7, padding=3)
        self.seen = nn.Conv2d(self.body.outputs, 1, 7, padding=3)

    def forward(self, source: Tensor, own: Motion, driving: Motion) -> tuple[Tensor, Tensor]:
        """Where the driving image lies in the source.

        Args:
            source: (N, 3, s, s) in [0, 1].
            own, driving: key points of both.

        Returns:
            Places (N, s, s, 2) in [-1, 1], and how far they can be seen, (N, 1, s, s) in (0, 1).
        """
        grid = places(source.shape[-1], source)
        heat = self._heat(driving.points, grid) - self._heat(own.points, grid)
        heat = F.pad(heat, (0, 0, 0, 0, 1, 0))  # the background has no key point and stays where it is
        turn = (own.maps @ torch.linalg.inv(driving.maps))[:, :, None, None]
        away = (grid - driving.points[:, :, None, None])[..., None]
        moved = (turn @ away)[..., 0] + own.points[:, :, None, None]
        ways = torch.cat([grid.expand(len(source), 1, -1, -1, -1), moved], dim=1)
        count, side = ways.shape[1], source.shape[-1]
        warped = warp(source.repeat_interleave(count, dim=0), ways.flatten(0, 1)).unflatten(0, (-1, count))
        x = self.body(torch.cat([heat[:, :, None], warped], dim=2).reshape(-1, 4 * count, side, side))
        mask = self.mask(x).softmax(1)
        return (ways * mask[..., None]).sum(1), self.seen(x).sigmoid()

    def _heat(self, points: Tensor, grid: Tensor) -> Tensor:
        apart = (grid - points[:, :, None, None]).square().sum(-1)
        return torch.exp(-0.5 * apart / self.variance)


class Residual(nn.Module):
    """Two times norm, ReLU and convolution, beside the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)) for _ in range(2)]
        self.body = nn.Sequential(*layers[0], *layers[1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        return x + self.body(x)


class Generator(nn.Module):
    """The source's features, warped and hidden, painted."""

    def __init__(self, hyper: FOMMHyper) -> None:
        super().__init__()
        widths = [min(hyper.generator_most, hyper.generator_width << level) for level in range(3)]
        self.first = _conv(3, widths[0], 7)
        self.down = nn.ModuleList(_conv(i, o) for i, o in pairwise(widths))
        self.middle = nn.Sequential(*(Residual(widths[-1]) for _ in range(hyper.blocks)))
        self.up = nn.ModuleList(_conv(i, o) for i, o in pairwise(widths[::-1]))
        self.last = nn.Conv2d(widths[0], 3, 7, padding=3)

    def forward(self, source: Tensor, flow: Tensor, seen: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1], flow (N, s, s, 2) and visibility (N, 1, s, s) -> (N, 3, S, S) in (0, 1)."""
        x = self.first(source)
        for layer in self.down:
            x = F.avg_pool2d(layer(x), 2)
        size = (x.shape[-1], x.shape[-1])
        flow = F.interpolate(flow.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)
        seen = F.interpolate(seen, size=size, mode="bilinear", align_corners=False)
        x = self.middle(warp(x, flow.permute(0, 2, 3, 1)) * seen)
        for layer in self.up:
            x = layer(F.interpolate(x, scale_factor=2.0))
        painted: Tensor = self.last(x).sigmoid()
        return painted


class Levels(VGG19Levels):
    """VGG-19's relu1_1 to relu5_1."""

    LEVELS: ClassVar[tuple[int, ...]] = (1, 6, 11, 20, 29)


class FOMM(Method):
    """A driver's motion on another face, by key points that nobody named."""

    card: ClassVar[MethodCard] = MethodCard(
        id="fomm",
        title="FOMM",
        citation="Siarohin, Lathuilière, Tulyakov, Ricci, Sebe, NeurIPS 2019: "
        "First Order Motion Model for Image Animation",
        year=2019,
        needs=frozenset({"labels", "sequences"}),
        controls=frozenset({"expression", "sequence", "motion-transfer"}),
        dynamic=True,
        notes="under a label, a training clip of it drives; an image is the clip's last frame",
        helpers=("vgg19",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": FOMMHyper(),
        "paper-noperc": FOMMHyper(perceptual="pyramid-l1"),
        "tiny": FOMMHyper(
            width=8,
            flow_width=8,
            levels=3,
            most=64,
            generator_width=16,
            generator_most=64,
            blocks=2,
            perceptual="pyramid-l1",
            jitter=0.0,
            batch_size=8,
            learning_rate=2e-3,
        ),
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "a minute leaves faces blurred; at 64 px its key points have not parted, and nothing moves"
    }
    preset_notes: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("paper-noperc", "tiny"), "without VGG-19, L1 of images and gradients on four scales in its place"
    )
    hyper: FOMMHyper
    driving_points: Tensor
    driving_maps: Tensor

    def build(self) -> None:
        """Create the three networks; no label has a driver yet, so none moves anything."""
        check_side("FOMM", self.problem.size, 32)
        hyper, labels = self.hyper, len(self.problem.labels)
        self.key_points, self.flow = KeyPoints(hyper), DenseMotion(hyper)
        self.generator = Generator(hyper)
        self.register_buffer("driving_points", torch.zeros(labels, LENGTH, hyper.points, 2))
        self.register_buffer("driving_maps", torch.eye(2).repeat(labels, LENGTH, hyper.points, 1, 1))

    @classmethod
    def helpers_of(cls, hyper: FOMMHyper) -> tuple[str, ...]:
        """VGG-19, where it gives the loss."""
        return cls.card.helpers if hyper.perceptual == "vgg19" else ()

    def build_helper(self, name: str) -> nn.Module:
        """VGG-19 up to the first convolution of its fifth stage."""
        return Levels()

    def phases(self) -> tuple[Phase, ...]:
        """Learning to put frames on frames of one clip, and then the choice of a driver a label."""
        hyper = self.hyper
        return (
            Phase(
                "reconstruction",
                "clip",
                hyper.batch_size,
                hyper.smoke_steps,
                paper_epochs=hyper.epochs,
                learning_rate=lambda step, progress: (
                    1.0 if progress < 0.6 else 0.1 if progress < 0.9 else 0.01
                ),
                length=LENGTH,
                probed=False,
            ),
            Phase("drivers", "clip", 1, 1, paper_steps=1, closed_form=True, length=LENGTH),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the detector, and for the rest."""
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            key_points=self.key_points,
            generator=[self.flow, self.generator],
        )

    def training_step(self, phase: Phase, batch: ClipBatch, step: int) -> dict[str, Tensor]:
        """One step of all networks on two frames of each clip."""
        hyper = self.hyper
        source, driving = jittered(two_frames((batch.video + 1) / 2), hyper.jitter)
        own, led = self._found(source), self._found(driving)
        made = self._painted(source, own, led)
        likeness = hyper.perceptual_weight * self._unlikeness(made, driving)
        turn = Bend.drawn(len(source), hyper.affine, hyper.spline, source)
        bent = self._found(turn.image(driving))
        place = (led.points - turn.points(bent.points)).abs().mean()
        back = torch.linalg.inv(led.maps) @ turn.slope(bent.points) @ bent.maps
        map_ = (torch.eye(2, device=back.device) - back).abs().mean()
        self.descend("generator", likeness + hyper.equivariance_weight * (place + map_), "key_points")
        return {"likeness": likeness.detach(), "points": place.detach(), "maps": map_.detach()}

    def _unlikeness(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Over four scales: L1 of VGG-19's levels, or of the images and their gradients."""
        losses = []
        for level in range(4):
            if self.hyper.perceptual == "vgg19":
                see = self.helper("vgg19")
                pairs = zip(see(2 * made - 1), see(2 * wanted - 1), strict=True)
            else:
                pairs = zip(*[(x, x.diff(dim=-1), x.diff(dim=-2)) for x in (made, wanted)], strict=True)
            losses += [(a - b.detach()).abs().mean() for a, b in pairs]
            if level < 3:
                made, wanted = (F.avg_pool2d(x, 2) for x in (made, wanted))
        return torch.stack(losses).sum()

    def _found(self, images: Tensor) -> Motion:
        """The key points of images (N, 3, S, S) in [0, 1]."""
        found: Motion = self.key_points(smaller(images))
        return found

    def _painted(self, source: Tensor, own: Motion, driving: Motion) -> Tensor:
        """The source (N, 3, S, S) in [0, 1] where its key points become others."""
        made: Tensor = self.generator(source, *self.flow(smaller(source), own, driving))
        return made

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Of each label the clip whose key points come nearest to their mean way from first to last frame."""
        found: dict[int, list[Motion]] = {}
        with evaluating(self), torch.no_grad():
            for step in range(view.examples(phase, self.card.needs)):
                clip = view.batch("clip", 1, step, flip=False, needs=self.card.needs, length=phase.length)
                assert isinstance(clip, ClipBatch)
                motion = self._found((clip.video[0].to(self.device) + 1) / 2)
                found.setdefault(int(clip.label), []).append(motion)
        for label, motions in found.items():
            ways = torch.stack([motion.points[-1] - motion.points[0] for motion in motions])
            best = motions[int((ways - ways.mean(0)).square().sum((1, 2)).argmin())]
            self.driving_points[label], self.driving_maps[label] = best

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Clips driven by the granted clip, or by the label's; relative to the driver's first frame."""
        source = (requests.source + 1) / 2
        own = self._found(source)
        if requests.driver is not None:
            frames = requests.driver
            seen = self._found((frames.flatten(0, 1) + 1) / 2)
            driver = Motion(*(part.unflatten(0, frames.shape[:2]) for part in seen))
        else:
            label = requests.target_label.clamp(min=0)
            driver = Motion(self.driving_points[label], self.driving_maps[label])
            driver = Motion(*(between(part, requests.length) for part in driver))
        clips = [
            self._painted(source, own, relative(own, driver, frame, requests.intensity))
            for frame in range(driver.points.shape[1])
        ]
        return answered(2 * torch.stack(clips, dim=1) - 1, requests.length)


def relative(own: Motion, driver: Motion, frame: int, strength: Tensor) -> Motion:
    """The source's key points after what the driver's have done since its first frame.

    Args:
        own: of the sources, (N, K, ...).
        driver: of clips, (N, T, K, ...).
        frame: of the clips.
        strength: (N,), share of the driver's change.
    """
    share = strength[:, None, None]
    moved = driver.points[:, frame] - driver.points[:, 0]
    turned = driver.maps[:, frame] @ torch.linalg.inv(driver.maps[:, 0])
    still = torch.eye(2, device=turned.device)
    turned = torch.lerp(still.expand_as(turned), turned, share[..., None])
    return Motion(own.points + share * moved, turned @ own.maps)


def between(motion: Tensor, length: int) -> Tensor:
    """(N, T, ...) at ``length`` equal times, linearly between its own; 1 = the first and the last."""
    flat = motion.flatten(2).transpose(1, 2)
    found = F.interpolate(flat, size=max(2, length), mode="linear", align_corners=True)
    return found.transpose(1, 2).unflatten(2, motion.shape[2:])


def places(side: int, like: Tensor) -> Tensor:
    """The places of pixels (side, side, 2), x and y, the outer ones at -1 and 1."""
    axis = torch.linspace(-1, 1, side, device=like.device, dtype=like.dtype)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], dim=-1)


def warp(images: Tensor, where: Tensor) -> Tensor:
    """Images (N, C, H, W) read at places (N, h, w, 2); black beyond their border."""
    return F.grid_sample(images, where, align_corners=True)


def smaller(images: Tensor) -> Tensor:
    """Images as the detector and the flow see them: at most 64 px, antialiased."""
    if images.shape[-1] <= _SEEN:
        return images
    return F.interpolate(images, size=(_SEEN, _SEEN), mode="bilinear", antialias=True, align_corners=False)


def two_frames(clips: Tensor) -> tuple[Tensor, Tensor]:
    """Two frames of each clip (N, T, ...), at least three apart, in either order."""
    count, length = clips.shape[:2]
    first = torch.randint(length, (count, 1), device=clips.device)
    fits = (torch.arange(length, device=clips.device) - first).abs() >= _APART
    second = (torch.rand(fits.shape, device=clips.device) * fits).argmax(1)
    rows = torch.arange(count, device=clips.device)
    return clips[rows, first[:, 0]], clips[rows, second]


def jittered(pair: tuple[Tensor, Tensor], most: float) -> tuple[Tensor, Tensor]:
    """Brightness, contrast and saturation of both images changed by factors within 1 +- ``most``."""
    if not most:
        return pair
    light, contrast, color = 1 + most * (2 * torch.rand(3, len(pair[0]), 1, 1, 1, device=pair[0].device) - 1)

    def change(image: Tensor) -> Tensor:
        image = image * light
        image = torch.lerp(image.mean((1, 2, 3), keepdim=True), image, contrast)
        return torch.lerp(image.mean(1, keepdim=True), image, color).clamp(0, 1)

    return change(pair[0]), change(pair[1])


class Bend(NamedTuple):
    """A random affine map and a thin-plate spline, of images and of points.

    Attributes:
        affine: (N, 2, 3).
        knots: (M, 2).
        weights: (N, M), of the spline, which moves x and y alike.
    """

    affine: Tensor
    knots: Tensor
    weights: Tensor

    @classmethod
    def drawn(cls, count: int, affine: float, spline: float, like: Tensor) -> Bend:
        """Maps with these standard deviations of their numbers; 5 x 5 knots."""
        turn = torch.eye(2, 3, device=like.device) + affine * torch.randn(count, 2, 3, device=like.device)
        return cls(turn, places(5, like).flatten(0, 1), spline * torch.randn(count, 25, device=like.device))

    def points(self, points: Tensor) -> Tensor:
        """(N, P, 2) -> (N, P, 2)."""
        turned = points @ self.affine[:, :, :2].transpose(1, 2) + self.affine[:, None, :, 2]
        r = (points[:, :, None] - self.knots).abs().sum(-1)
        pull = (r.square() * (r + 1e-6).log() * self.weights[:, None]).sum(-1, keepdim=True)
        return turned + pull

    def slope(self, points: Tensor) -> Tensor:
        """The derivatives of `points`: (N, P, 2) -> (N, P, 2, 2)."""
        away = points[:, :, None] - self.knots
        r = away.abs().sum(-1)
        steep = (2 * r * (r + 1e-6).log() + r.square() / (r + 1e-6)) * self.weights[:, None]
        pull = (steep[..., None] * away.sign()).sum(2)
        return self.affine[:, None, :, :2] + pull[:, :, None]

    def image(self, images: Tensor) -> Tensor:
        """Images read at the bent places, mirrored at the border."""
        grid = places(images.shape[-1], images).flatten(0, 1).expand(len(images), -1, -1)
        where = self.points(grid).unflatten(1, images.shape[-2:])
        return F.grid_sample(images, where, padding_mode="reflection", align_corners=True)
