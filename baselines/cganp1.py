"""cGAN-P1 (IEEE Access 2023): the source's landmarks fused with those of the target face, drawn for a U-Net.

Only the abstract and a report on the paper could be read; sizes, weights and schedule are open there. Built:
landmarks as 136 numbers about their middle, in eye distances; L1 to the landmarks of the target face's
subject in the source's expression; the 70x70 PatchGAN with spectral norm in place of batch norm, trained by
log-loss. Pairs are two expressions of one subject in one take. Drivers are other subjects of the same batch
with that expression, or the subject itself where the batch has none; a driver that shows the face's own
expression must move nothing. Module 2 ends with ten epochs on fused landmarks, at a tenth of the rate, while
module 1 stays as it is. Below 128 px the U-Net has fewer levels, down to the same 2x2.

Preset ``tiny``, for a minute on two CPU cores: width 16, batches of 8, He weights on the U-Net's way down,
and rates 5e-4 and, for the fusion, 3e-4 for the few steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.planes import landmark_planes

from ._adam import adam
from ._blocks import check_side, frozen, he_initialize, initialize
from ._unet import batch_norm


@dataclass(frozen=True)
class CGANP1Hyper:
    """Values of this file's choice; nothing but the landmarks' number and the spectral norm is published."""

    width: int = 64
    he: bool = False
    codes: int = 128
    hidden: int = 256
    batch_size: int = 16
    fusion_batch_size: int = 64
    learning_rate: float = 2e-4
    fusion_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)
    dropout: float = 0.5
    target_weight: float = 100.0
    same_weight: float = 0.1
    fusion_epochs: float = 100
    epochs: float = 200
    fused_epochs: float = 10
    fusion_smoke_steps: int = 300
    smoke_steps: int = 600
    fused_smoke_steps: int = 50


class LandmarkFusion(nn.Module):
    """Module 1: landmarks of a driver and of a face -> the face's landmarks in the driver's expression."""

    def __init__(self, hidden: int, codes: int) -> None:
        super().__init__()
        self.driver, self.face = _encoder(hidden, codes), _encoder(hidden, codes)
        last = nn.Linear(hidden, 136)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.decoder = nn.Sequential(
            nn.Linear(2 * codes + 136, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            last,
        )

    def deviation(self, driver: Tensor, face: Tensor) -> Tensor:
        """Pixels (N, 68, 2) twice -> how the face's landmarks move (N, 68, 2), in eye distances."""
        own = normalized(face)
        seen = torch.cat([self.driver(normalized(driver)), self.face(own), own], dim=1)
        found: Tensor = self.decoder(seen)
        return found.unflatten(1, (68, 2))

    def forward(self, driver: Tensor, face: Tensor) -> Tensor:
        """Pixels (N, 68, 2) twice -> fused landmarks (N, 68, 2) in pixels."""
        return face + self.deviation(driver, face) * between_eyes(face)


def _encoder(hidden: int, codes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(136, hidden),
        nn.LayerNorm(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, codes),
        nn.LayerNorm(codes),
        nn.ReLU(inplace=True),
    )


def between_eyes(landmarks: Tensor) -> Tensor:
    """Distance between the middles of the eyes: (N, 68, 2) -> (N, 1, 1)."""
    left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    return (right - left).norm(dim=1)[:, None, None].clamp(min=1e-3)


def normalized(landmarks: Tensor) -> Tensor:
    """About their middle, in distances between the eyes: (N, 68, 2) -> (N, 136)."""
    return ((landmarks - landmarks.mean(1, keepdim=True)) / between_eyes(landmarks)).flatten(1)


def drawn(landmarks: Tensor, size: int) -> Tensor:
    """The lines of the whole face in one plane (N, 1, size, size) in [-1, 1], about two pixels at 128."""
    return landmark_planes(landmarks, size).amax(dim=1, keepdim=True)


class ModifiedUNet(nn.Module):
    """Module 2's generator: strided convolutions down, and enlarged maps convolved up, against checkerboards.

    Args:
        size: side of the images: a multiple of 64 from 128 on, of 32 from 64 on, of 16 below.
        channels: of the input.
        width: of the first level, doubled up to eight times itself.
        dropout: probability in the first two levels up.
    """

    def __init__(self, size: int, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        depth = 6 if size >= 128 else size.bit_length() - 2
        check_side("the modified U-Net", size, 1 << max(4, depth))
        widths = [width * min(8, 1 << level) for level in range(depth)]
        self.down = nn.ModuleList()
        for level, (i, o) in enumerate(zip([channels, *widths[:-1]], widths, strict=True)):
            norm = [batch_norm(o)] if level else []
            self.down.append(
                nn.Sequential(nn.Conv2d(i, o, 4, 2, 1, bias=not level), *norm, nn.LeakyReLU(0.2))
            )
        deepest = widths[-1]
        self.bottleneck = nn.Sequential(*_convolved(deepest, deepest), *_convolved(deepest, deepest))
        self.up = nn.ModuleList()
        channels = deepest
        for level, wide in enumerate(reversed(widths[:-1])):
            drop = [nn.Dropout(dropout)] if level < 2 else []
            self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), *_convolved(channels, wide), *drop))
            channels = 2 * wide
        self.last = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, 3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S) -> (N, 3, S, S) in [-1, 1]."""
        mirror = []
        for layer in self.down:
            x = layer(x)
            mirror.append(x)
        x = self.bottleneck(x)
        for layer, same in zip(self.up, mirror[-2::-1], strict=True):
            x = torch.cat([layer(x), same], dim=1)
        return torch.tanh(self.last(x))


def _convolved(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, 1, 1, bias=False), batch_norm(width), nn.ReLU(inplace=True)]


class SpectralPatchCritic(nn.Module):
    """70x70 PatchGAN whose convolutions have spectral norm, and no other; logits."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        ins, outs = (
            (channels, width, 2 * width, 4 * width, 8 * width),
            (width, 2 * width, 4 * width, 8 * width, 1),
        )
        layers: list[nn.Module] = []
        for i, o, stride in zip(ins, outs, (2, 2, 2, 1, 1), strict=True):
            layer = nn.Conv2d(i, o, 4, stride, 1)
            initialize(layer)
            layers += [nn.utils.parametrizations.spectral_norm(layer), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, planes: Tensor, image: Tensor) -> Tensor:
        """(N, channels - 3, S, S) and (N, 3, S, S) -> logits (N, 1, S/8 - 2, S/8 - 2)."""
        found: Tensor = self.body(torch.cat([planes, image], dim=1))
        return found


class CGANP1(Method):
    """One model for any two expressions: fused landmarks lead the painting of the target face."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cganp1",
        title="cGAN-P1",
        citation="Fan, Jiang, Lan, Lan, IEEE Access 11, 2023: "
        "Facial Expression Transfer Based on Conditional Generative Adversarial Networks",
        year=2023,
        needs=frozenset({"labels", "take-pairs", "landmarks"}),
        controls=frozenset({"expression", "transfer"}),
        notes="target landmarks are fused with the face's before they are drawn; built from a report",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CGANP1Hyper(),
        "tiny": CGANP1Hyper(width=16, he=True, batch_size=8, learning_rate=5e-4, fusion_rate=3e-4),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("fusion.", "generator.")
    hyper: CGANP1Hyper

    def build(self) -> None:
        """Create both modules and the discriminator; convolutions N(0, 0.02)."""
        size, hyper = self.problem.size, self.hyper
        self.fusion = LandmarkFusion(hyper.hidden, hyper.codes)
        self.generator = ModifiedUNet(size, 4, hyper.width, hyper.dropout)
        self.generator.apply(initialize)
        if hyper.he:
            self.generator.down.apply(he_initialize)
        self.critic = SpectralPatchCritic(7, hyper.width)

    def phases(self) -> tuple[Phase, ...]:
        """Module 1; module 2 on true landmarks, the rate falling in the second half, then on fused ones."""
        hyper = self.hyper
        transfer = Phase(
            "transfer",
            "take-pair",
            hyper.batch_size,
            paper_epochs=hyper.epochs,
            smoke_steps=hyper.smoke_steps,
            learning_rate=decay_after(0.5),
        )
        return (
            Phase(
                "fusion",
                "take-pair",
                hyper.fusion_batch_size,
                paper_epochs=hyper.fusion_epochs,
                smoke_steps=hyper.fusion_smoke_steps,
                probed=False,  # the generator is not trained yet, and its images say nothing
            ),
            transfer,
            replace(
                transfer,
                name="fused",
                paper_epochs=hyper.fused_epochs,
                smoke_steps=hyper.fused_smoke_steps,
                learning_rate=lambda step, progress: 0.1,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the network or the two that the phase trains."""
        betas = self.hyper.betas
        if phase.name == "fusion":
            return adam(self.hyper.fusion_rate, betas, fusion=self.fusion)
        return adam(self.hyper.learning_rate, betas, generator=self.generator, critic=self.critic)

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of module 1, or of the discriminator and then of module 2."""
        if phase.name == "fusion":
            return self._fusion_step(batch)
        landmarks = batch.target.landmarks
        if phase.name == "fused":
            with torch.no_grad():
                landmarks = self.fusion(drivers(batch.target), batch.source.landmarks)
        return self._transfer_step(batch, landmarks)

    def _fusion_step(self, batch: PairBatch) -> dict[str, Tensor]:
        face, eyes = batch.source.landmarks, between_eyes(batch.source.landmarks)
        wanted = (batch.target.landmarks - face) / eyes
        moved = self.fusion.deviation(drivers(batch.target), face)
        distance = (moved - wanted).abs().sum(dim=(1, 2)).mean()
        still = self.fusion.deviation(drivers(batch.source), face)
        same = still.flatten(1).norm(dim=1).mean()
        self.descend("fusion", distance + self.hyper.same_weight * same)
        return {"landmarks": distance.detach(), "same": same.detach()}

    def _transfer_step(self, batch: PairBatch, landmarks: Tensor) -> dict[str, Tensor]:
        source, target = batch.source.image, batch.target.image
        planes = torch.cat([drawn(landmarks, source.shape[-1]), source], dim=1)
        fake = self.generator(planes)
        real, made = self.critic(planes, target), self.critic(planes, fake.detach())
        right = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        wrong = F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
        self.descend("critic", (right + wrong) / 2)
        with frozen(self.critic):
            logits = self.critic(planes, fake)
            realism = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            distance = (target - fake).abs().mean()
            self.descend("generator", realism + self.hyper.target_weight * distance)
        return {
            "critic_loss": (right + wrong).detach() / 2,
            "probability_gap": (real.sigmoid().mean() - made.sigmoid().mean()).detach(),
            "generator_realism": realism.detach(),
            "generator_target": distance.detach(),
        }

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks' expression, fused with the face's own landmarks.

        Raises:
            MethodError: landmarks of the face or of the target are not known.
        """
        face, driver = requests.source_landmarks, requests.target_landmarks
        if not bool(torch.isfinite(face).all() and torch.isfinite(driver).all()):
            raise MethodError("cganp1 was asked for an image whose landmarks are not known")
        planes = drawn(self.fusion(driver, face), self.problem.size)
        found: Tensor = self.generator(torch.cat([planes, requests.source], dim=1))
        return found


def drivers(images: ImageBatch) -> Tensor:
    """For each image, the landmarks of another subject of the batch that shows the same expression.

    Drawn at random; the own ones where there is no such subject.

    Returns:
        (N, 68, 2) pixels.
    """
    fits = (images.label[:, None] == images.label) & (images.identity[:, None] != images.identity)
    chance = torch.rand(fits.shape, device=fits.device) * fits
    best, place = chance.max(dim=1)
    return torch.where((best > 0)[:, None, None], images.landmarks[place], images.landmarks)
