"""MotionGAN and TextureGAN (TPAMI 2022): a label's landmark motion out of noise, painted frame by frame.

Their code was not found. MotionGAN's networks, losses and motion encoding are those of the first author's
released successor for 3D landmarks, with 136 rows for the 68 points, its defects mended: what the generator
makes is projected onto the tangent space, and arcs are cut at a cosine of 1 - 1e-6, not .98. Open, and
chosen: rate 1e-4 (the release's file says 1e-6, its checkpoints 1e-4); layer norm in the critic, whose
penalty is one of single samples; reconstruction by L1 alone, weight 10; one length of motion a label, the
mean of the training clips'; of TextureGAN all but the kinds of its losses: pix2pix's U-Net on the face and
the drawn landmarks of the frame, 70x70 PatchGAN, weights 1, 100 and 10, Light CNN as recognizer. Every
frame's landmarks are centered and scaled, so heads neither move nor come nearer, and they are spaced evenly
along their way, so that a motion forgets its pace. Another subject's clip is painted along that subject's
own motion; MotionGAN has no part in it.

Preset ``released-norm`` has the release's batch norm in the critic; ``paper-noid`` leaves out the recognizer.

Preset ``tiny``, for a minute on two CPU cores: networks a sixteenth to a quarter as wide, batches
of 8, He weights on the U-Net's way down, rates 1e-3 and 5e-4 for the few steps, reconstruction with weight
100, which the release tried too, no recognizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.extractors.lightcnn import light_cnn_29_v2
from fesbench.methods.base import Method
from fesbench.methods.batches import ClipBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.planes import landmark_planes
from fesbench.methods.training_set import TrainingSet

from . import _srvf as sphere
from ._adam import adam
from ._blocks import frozen, he_initialize, initialize, seeded, with_planes
from ._clips import category, moving
from ._losses import gradient_penalty, said
from ._unet import PatchCritic, UNet
from .g2gan import gray_crops

POINTS = 30
"""T of a motion."""
_ROWS = 136
_RECOGNIZER = "lightcnn-29-v2"


@dataclass(frozen=True)
class MotionGANHyper:
    """The successor's values, and choices; widths are of the generator's last, the critic's first layer."""

    generator_width: int = 128
    critic_width: int = 64
    noise: int = 128
    motion_batch: int = 64
    motion_rate: float = 1e-4
    motion_betas: tuple[float, float] = (0.5, 0.9)
    n_critic: int = 4
    penalty_weight: float = 10.0
    tangent_weight: float = 10.0
    arc_weight: float = 0.0
    critic_batch_norm: bool = False
    motion_epochs: float = 8000
    texture_width: int = 64
    texture_batch: int = 16
    texture_rate: float = 2e-4
    texture_betas: tuple[float, float] = (0.5, 0.999)
    he: bool = False
    target_weight: float = 100.0
    identity_weight: float = 10.0
    texture_epochs: float = 100
    motion_smoke_steps: int = 300
    texture_smoke_steps: int = 400


class MotionGenerator(nn.Module):
    """Noise and a label's code -> a function of 30 points; no norm, and a bias in the first layer alone."""

    def __init__(self, noise: int, codes: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.dense = nn.Linear(noise + 2 * codes, 8 * width * 34 * 7)
        widths = (8 * width, 4 * width, 2 * width, width, 1)
        self.convs = nn.ModuleList(nn.Conv2d(i + codes, o, 3, 1, 1, bias=False) for i, o in pairwise(widths))
        self.apply(_initialize)

    def forward(self, noise: Tensor, code: Tensor) -> Tensor:
        """(N, noise) and (N, codes) -> (N, 30, 136) in (-1, 1)."""
        x = F.relu(self.dense(torch.cat([noise, code, code], dim=1))).unflatten(1, (8 * self.width, 34, 7))
        for size, conv in zip(((68, 14), (136, 28), (_ROWS, POINTS)), self.convs, strict=False):
            x = F.relu(conv(F.interpolate(with_planes(x, code), size=size, mode="nearest")))
        return torch.tanh(self.convs[-1](with_planes(x, code)))[:, 0].transpose(1, 2)


class ShiftNorm(nn.Module):
    """Batch norm, or layer norm, that shifts its channels and does not scale them."""

    def __init__(self, width: int, batch: bool) -> None:
        super().__init__()
        self.batch, self.shift = batch, nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, ...) -> the same shape."""
        over = [axis for axis in range(x.ndim) if axis != (1 if self.batch else 0)]
        middle, spread = x.mean(over, keepdim=True), x.var(over, keepdim=True, unbiased=False)
        return (x - middle) * (spread + 1e-5).rsqrt() + self.shift.reshape(-1, *[1] * (x.ndim - 2))


class MotionCritic(nn.Module):
    """Scores a tangent vector, as an image of 136 x 30, under a label's code."""

    def __init__(self, codes: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        widths = (1, width, width // 2, width // 4)
        self.convs = nn.ModuleList(nn.Conv2d(i + codes, o, 5, 2, 2) for i, o in pairwise(widths))
        hidden = 16 * width
        self.dense = nn.Linear((widths[-1] + codes) * 17 * 4, hidden)
        self.last = nn.Linear(hidden + codes, 1)
        self.norms = nn.ModuleList(ShiftNorm(o, batch_norm) for o in (*widths[1:], hidden))
        self.apply(_initialize)

    def forward(self, motion: Tensor, code: Tensor) -> Tensor:
        """(N, 30, 136) and (N, codes) -> (N,)."""
        x = with_planes(motion.transpose(1, 2)[:, None], code)
        for conv, norm in zip(self.convs, self.norms, strict=False):
            x = with_planes(F.relu(norm(conv(x))), code)
        x = F.leaky_relu(self.norms[-1](self.dense(x.flatten(1))), 0.2)
        found: Tensor = self.last(torch.cat([x, code], dim=1))
        return found[:, 0]


class MotionGAN(Method):
    """A point of the motions' sphere by label, its length given back, and a U-Net that paints the frames."""

    card: ClassVar[MethodCard] = MethodCard(
        id="motiongan",
        title="MotionGAN",
        citation="Otberdout et al., IEEE TPAMI 44(2), 2022: Dynamic Facial Expression Generation on Hilbert "
        "Hypersphere With Conditional Wasserstein Generative Adversarial Nets",
        year=2022,
        needs=frozenset({"labels", "sequences", "landmarks"}),
        controls=frozenset({"expression", "sequence", "motion-transfer"}),
        dynamic=True,
        notes="with TextureGAN; built from a successor's code; an image is a clip's last frame",
        helpers=("lightcnn-29-v2",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": MotionGANHyper(),
        "paper-noid": MotionGANHyper(identity_weight=0.0),
        "released-norm": MotionGANHyper(critic_batch_norm=True),
        "tiny": MotionGANHyper(
            generator_width=8,
            critic_width=16,
            motion_batch=8,
            motion_rate=1e-3,
            tangent_weight=100.0,
            texture_width=16,
            texture_batch=8,
            texture_rate=5e-4,
            he=True,
            identity_weight=0.0,
        ),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("reference", "lengths", "motion.", "texture.")
    hyper: MotionGANHyper
    reference: Tensor
    lengths: Tensor

    def build(self) -> None:
        """Create both generators and critics; the sphere's reference point is fitted."""
        hyper, count = self.hyper, len(moving(self.problem))
        self.register_buffer("reference", torch.full((POINTS, _ROWS), _ROWS**-0.5))
        self.register_buffer("lengths", torch.zeros(len(self.problem.labels)))
        self.motion = MotionGenerator(hyper.noise, 3 * count, hyper.generator_width)
        self.critic = MotionCritic(3 * count, hyper.critic_width, hyper.critic_batch_norm)
        self.texture = UNet(self.problem.size, 6, hyper.texture_width)
        self.painting = PatchCritic(9, hyper.texture_width)
        for network in (self.texture, self.painting):
            network.apply(initialize)
        if hyper.he:
            self.texture.encoders.apply(he_initialize)

    @classmethod
    def helpers_of(cls, hyper: MotionGANHyper) -> tuple[str, ...]:
        """The recognizer, unless its loss has no weight."""
        return cls.card.helpers if hyper.identity_weight else ()

    def build_helper(self, name: str) -> nn.Module:
        """Light CNN as its authors' file holds it."""
        network: nn.Module = light_cnn_29_v2()
        return network

    def phases(self) -> tuple[Phase, ...]:
        """The sphere's reference point, MotionGAN on it, and TextureGAN, which knows nothing of either."""
        hyper = self.hyper
        return (
            Phase("sphere", "clip", 1, 1, paper_steps=1, closed_form=True, length=POINTS),
            Phase(
                "motion",
                "clip",
                hyper.motion_batch,
                hyper.motion_smoke_steps,
                paper_epochs=hyper.motion_epochs,
                length=POINTS,
                probed=False,
            ),
            Phase(
                "texture",
                "clip",
                hyper.texture_batch,
                hyper.texture_smoke_steps,
                paper_epochs=hyper.texture_epochs,
                length=POINTS,
            ),
        )

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """The Karcher mean of the training clips' motions, and each label's mean length."""
        clips = (
            view.batch("clip", 1, step, flip=False, needs=self.card.needs, length=phase.length)
            for step in range(view.examples(phase, self.card.needs))
        )
        found = [(clip.label, *encoded(clip.landmarks)) for clip in clips if isinstance(clip, ClipBatch)]
        labels, motions, lengths = (torch.cat(part) for part in zip(*found, strict=True))
        self.reference.copy_(sphere.karcher_mean(motions))
        for label in labels.unique().tolist():
            self.lengths[label] = lengths[labels == label].mean()

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the phase's generator and critic."""
        hyper, motion = self.hyper, phase.name == "motion"
        rate = hyper.motion_rate if motion else hyper.texture_rate
        betas = hyper.motion_betas if motion else hyper.texture_betas
        generator, critic = (self.motion, self.critic) if motion else (self.texture, self.painting)
        return adam(rate, betas, generator=generator, critic=critic)

    def training_step(self, phase: Phase, batch: ClipBatch, step: int) -> dict[str, Tensor]:
        """One generator step and four critic steps on motions; or one step each of TextureGAN."""
        return self._motion_step(batch) if phase.name == "motion" else self._texture_step(batch)

    def _motion_step(self, batch: ClipBatch) -> dict[str, Tensor]:
        hyper, motion = self.hyper, encoded(batch.landmarks)[0]
        real = sphere.log(motion, self.reference)
        noise = torch.randn(len(batch), hyper.noise, device=real.device)
        code = self.code(batch.label, torch.rand(len(batch), 3, device=real.device))
        with frozen(self.critic):
            made = self._point(noise, code)
            fake = sphere.log(made, self.reference)
            realism, apart = -self.critic(fake, code).mean(), (real - fake).abs().mean()
            arc = sphere.distance(made, motion).mean()
            self.descend("generator", realism + hyper.tangent_weight * apart + hyper.arc_weight * arc)
        with torch.no_grad():
            fake = sphere.log(self._point(noise, code), self.reference)
        for _ in range(hyper.n_critic):
            gap = self.critic(real, code).mean() - self.critic(fake, code).mean()
            # A plane in front, since the penalty takes images.
            penalty = gradient_penalty(lambda w: self.critic(w[:, 0], code), real[:, None], fake[:, None])
            self.descend("critic", -gap + hyper.penalty_weight * penalty)
        return {
            "critic_gap": gap.detach(),
            "critic_penalty": penalty.detach(),
            "generator_realism": realism.detach(),
            "generator_tangent": apart.detach(),
            "generator_arc": arc.detach(),
        }

    def _texture_step(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Of each clip one frame, drawn at random, from the first."""
        hyper, rows = self.hyper, torch.arange(len(batch), device=batch.video.device)
        chosen = torch.randint(batch.video.shape[1], (len(batch),), device=rows.device)
        face, target, marks = batch.video[:, 0], batch.video[rows, chosen], batch.landmarks[rows, chosen]
        planes = torch.cat([landmark_planes(marks, self.problem.size), face], dim=1)
        made = self.texture(planes)
        real, fake = self.painting(planes, target), self.painting(planes, made.detach())
        wrong = (said(real, True) + said(fake, False)) / 2
        self.descend("critic", wrong)
        with frozen(self.painting):
            realism, apart = said(self.painting(planes, made), True), (made - target).abs().mean()
            loss = realism + hyper.target_weight * apart
            losses = {"generator_realism": realism.detach(), "generator_target": apart.detach()}
            if hyper.identity_weight:
                other = self._otherness(made, marks, face, batch.landmarks[:, 0])
                losses["generator_identity"] = other.detach()
                loss = loss + hyper.identity_weight * other
            self.descend("generator", loss)
        return {
            "critic_loss": wrong.detach(),
            "probability_gap": (real.sigmoid().mean() - fake.sigmoid().mean()).detach(),
            **losses,
        }

    def _otherness(self, made: Tensor, marks: Tensor, face: Tensor, own: Tensor) -> Tensor:
        """1 - cosine of the recognizer's embeddings, mean."""
        recognizer = self.helper(_RECOGNIZER)
        with torch.no_grad():
            known = recognizer(gray_crops(face, own))
        found: Tensor = 1 - F.cosine_similarity(recognizer(gray_crops(made, marks)), known).mean()
        return found

    def code(self, label: Tensor, magnitude: Tensor) -> Tensor:
        """Three numbers a label that moves: a magnitude (N, 3) in [0, 1], negative for all but the own label.

        Returns:
            (N, 3 labels); of neutral or no label all are negative.
        """
        own = category(label, self.problem)
        return torch.where(own[:, :, None], magnitude[:, None], -magnitude[:, None]).flatten(1)

    def _point(self, noise: Tensor, code: Tensor) -> Tensor:
        """Of the sphere: (N, 30, 136)."""
        return sphere.exp(sphere.tangent(self.motion(noise, code), self.reference), self.reference)

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Every frame painted from the source and its landmarks on their way; an image is the last frame.

        Raises:
            MethodError: landmarks of the source or of the driver are not known.
        """
        driven = requests.clip_landmarks if requests.given == "driver" else None
        frames = self._moved(requests) if driven is None else driven
        if not bool(torch.isfinite(frames).all()):
            raise MethodError("motiongan was asked for a face whose landmarks are not known")
        painted = torch.stack([self._painted(requests.source, marks) for marks in frames.unbind(1)], dim=1)
        return painted[:, 0] if requests.length == 1 else painted

    def _moved(self, requests: RequestBatch) -> Tensor:
        """The source's landmarks along a motion of the label's: (N, T, 68, 2) pixels."""
        drawn = seeded(requests.noise_seed, self.hyper.noise)
        magnitude = seeded(requests.noise_seed, 3, torch.rand)
        motion = self._point(drawn, self.code(requests.target_label, magnitude))
        length = requests.intensity * self.lengths[requests.target_label.clamp(min=0)]
        return moved(requests.source_landmarks, motion, length, requests.length)

    def _painted(self, face: Tensor, landmarks: Tensor) -> Tensor:
        found: Tensor = self.texture(torch.cat([landmark_planes(landmarks, self.problem.size), face], dim=1))
        return found


def centered(landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Landmarks (..., 68, 2) about their middle, divided by their norm; and middle (..., 1, 2) and norm."""
    middle = landmarks.mean(-2, keepdim=True)
    size = (landmarks - middle).flatten(-2).norm(dim=-1)[..., None, None].clamp(min=1e-6)
    return (landmarks - middle) / size, middle, size


def encoded(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Clips of landmarks (N, F, 68, 2) in pixels -> motions (N, 30, 136) of the sphere, and lengths (N,)."""
    curve = centered(landmarks)[0].flatten(2)
    return sphere.to_sphere(sphere.at_equal_lengths(curve, POINTS))


def moved(landmarks: Tensor, motion: Tensor, length: Tensor, frames: int) -> Tensor:
    """A face's landmarks along a motion.

    Args:
        landmarks: (N, 68, 2) pixels, of the first frame.
        motion: (N, 30, 136) of the sphere.
        length: (N,), of the motions.
        frames: how many, at equal times; 1 = the last alone.

    Returns:
        (N, frames, 68, 2) pixels.
    """
    start, middle, size = centered(landmarks)
    curve = sphere.from_sphere(motion, start.flatten(1), length)
    curve = curve[:, -1:] if frames == 1 else sphere.at_equal_times(curve, frames)
    return curve.unflatten(2, (68, 2)) * size[:, None] + middle[:, None]


def _initialize(module: nn.Module) -> None:
    """Convolutions N(0, 0.02) within two deviations, dense layers N(0, (in * out)^(-1/4)), biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, 0.0, 0.02, -0.04, 0.04)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, (module.in_features * module.out_features) ** -0.25)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
