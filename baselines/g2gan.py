"""G2-GAN (ACM MM 2018). A reference build: no code is public, and of the paper only the abstract was at hand.

Choices: pix2pix's networks with batch norm, the landmarks as one heat map, and all numbers; a source that is
known to be neutral is not sent through the removal, and a request for neutral is answered by the removal
alone. The identity term compares Light CNN's embeddings of its published crop; that network is a metric too,
whose scores say little about this row.

Preset ``paper-noid`` is ``paper`` without that term.

Preset ``tiny``, for a minute on two CPU cores: no identity term either, width 16, batches of 8, rate 5e-4 for
the few steps, and no enlarging before the crop, which at 64 px blurs what is to be learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.extractors.lightcnn import LightCNNSettings, light_cnn_29_v2
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.planes import heat_maps

from ._adam import adam
from ._blocks import frozen, initialize
from ._unet import PatchCritic, UNet, batch_norm
from .pix2pix import jitter

_RECOGNIZER = "lightcnn-29-v2"
_CROP = LightCNNSettings()


@dataclass(frozen=True)
class G2GANHyper:
    """The card's choices; weights from memory of the paper.

    ``sigma`` is that of a landmark's Gaussian as a share of the image's side.
    """

    width: int = 64
    batch_size: int = 16
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    pixel_weight: float = 10.0
    cycle_weight: float = 5.0
    identity_weight: float = 0.1
    sigma: float = 2 / 128
    jitter: float = 144 / 128
    epochs: int = 200
    smoke_steps: int = 350


@dataclass(frozen=True)
class Way:
    """What one of the two generators does with a batch of pairs.

    Attributes:
        planes: float (B, 4, S, S), its input: an image and the heat map of the expressive face.
        true: float (B, 3, S, S), the image that it should make.
        made: float (B, 3, S, S), the image that it makes.
        landmarks: float (B, 68, 2) pixels, of both of them.
    """

    planes: Tensor
    true: Tensor
    made: Tensor
    landmarks: Tensor


class G2GAN(Method):
    """Two opposite generators: one adds the expression of a heat map to a neutral face, one removes it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="g2gan",
        title="G2-GAN",
        citation="Song et al., ACM MM 2018, arXiv 1712.03474: "
        "Geometry Guided Adversarial Facial Expression Synthesis",
        year=2018,
        needs=frozenset({"pairs", "neutral", "landmarks"}),
        controls=frozenset({"expression", "intensity", "transfer"}),
        notes="an expressive source is made neutral first; intensity: landmarks between source and target",
        helpers=("lightcnn-29-v2",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": G2GANHyper(),
        "paper-noid": G2GANHyper(identity_weight=0.0),
        "tiny": G2GANHyper(width=16, batch_size=8, learning_rate=5e-4, jitter=1.0, identity_weight=0.0),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: G2GANHyper

    @classmethod
    def helpers_of(cls, hyper: G2GANHyper) -> tuple[str, ...]:
        """Light CNN, for the identity term."""
        return cls.card.helpers if hyper.identity_weight else ()

    def build(self) -> None:
        """Create both generators and their discriminators with pix2pix's initial weights."""
        size, width = self.problem.size, self.hyper.width
        both = ("add", "remove")
        self.generator = nn.ModuleDict({name: UNet(size, 4, width, norm=batch_norm) for name in both})
        self.critic = nn.ModuleDict({name: PatchCritic(7, width, norm=batch_norm) for name in both})
        self.apply(initialize)

    def build_helper(self, name: str) -> nn.Module:
        """Light CNN as its authors' file holds it."""
        network: nn.Module = light_cnn_29_v2()
        return network

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase; the rate is constant for half of it, then falls linearly to zero."""
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
        """Adam for the generators and for the discriminators."""
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=self.generator, critic=self.critic)

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of both discriminators, then one of both generators."""
        marks = torch.cat([batch.source.landmarks, batch.target.landmarks], dim=1)
        neutral, shown, marks = jitter(batch.source.image, batch.target.image, marks, self.hyper.jitter)
        heat = heat_map(marks[:, 68:], self.problem.size, self.hyper.sigma)
        ways = {
            "add": self._way("add", neutral, heat, shown, marks[:, 68:]),
            "remove": self._way("remove", shown, heat, neutral, marks[:, :68]),
        }
        losses = self._critic_step(ways)
        with frozen(self.critic):
            terms = self._generator_terms(ways, heat)
            self.descend("generator", self._weighted(terms))
        return losses | {f"generator_{name}": value.detach() for name, value in terms.items()}

    def _way(self, name: str, image: Tensor, heat: Tensor, true: Tensor, landmarks: Tensor) -> Way:
        planes = torch.cat([image, heat], dim=1)
        return Way(planes, true, self.generator[name](planes), landmarks)

    def _critic_step(self, ways: dict[str, Way]) -> dict[str, Tensor]:
        losses, gaps = [], []
        for name, way in ways.items():
            # Apart, since batch norm is to see only real or only made images at a time.
            real = self.critic[name](way.planes, way.true)
            fake = self.critic[name](way.planes, way.made.detach())
            losses += [_entropy(real, 1.0) / 2, _entropy(fake, 0.0) / 2]
            gaps.append((real.sigmoid().mean() - fake.sigmoid().mean()).detach())
        loss = torch.stack(losses).sum()
        self.descend("critic", loss)
        return {"critic_loss": loss.detach(), "probability_gap": torch.stack(gaps).mean()}

    def _generator_terms(self, ways: dict[str, Way], heat: Tensor) -> dict[str, Tensor]:
        """The terms of the generators' loss, each over both ways, without their weights."""
        back = self.generator["remove"](torch.cat([ways["add"].made, heat], dim=1))
        again = self.generator["add"](torch.cat([ways["remove"].made, heat], dim=1))
        scores = [self.critic[name](way.planes, way.made) for name, way in ways.items()]
        terms = {
            "realism": torch.stack([_entropy(score, 1.0) for score in scores]).sum(),
            "pixel": torch.stack([(way.made - way.true).abs().mean() for way in ways.values()]).sum(),
            "cycle": (back - ways["remove"].true).abs().mean() + (again - ways["add"].true).abs().mean(),
        }
        if self.hyper.identity_weight:
            terms["identity"] = torch.stack([self._identity(way) for way in ways.values()]).sum()
        return terms

    def _weighted(self, terms: dict[str, Tensor]) -> Tensor:
        weights = {
            "realism": 1.0,
            "pixel": self.hyper.pixel_weight,
            "cycle": self.hyper.cycle_weight,
            "identity": self.hyper.identity_weight,
        }
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def _identity(self, way: Way) -> Tensor:
        recognizer = self.helper(_RECOGNIZER)
        with torch.no_grad():
            wanted = recognizer(gray_crops(way.true, way.landmarks))
        found: Tensor = (recognizer(gray_crops(way.made, way.landmarks)) - wanted).abs().mean()
        return found

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks, made from the source without its expression."""
        known = torch.isfinite(torch.cat([requests.source_landmarks, requests.target_landmarks], dim=1))
        if not bool(known.all()):
            raise MethodError("g2gan was asked for an image whose landmarks are not known")
        size, sigma, neutral = self.problem.size, self.hyper.sigma, self.problem.neutral
        own = heat_map(requests.source_landmarks, size, sigma)
        bare: Tensor = self.generator["remove"](torch.cat([requests.source, own], dim=1))
        bare = torch.where((requests.source_label == neutral)[:, None, None, None], requests.source, bare)
        wanted = heat_map(requests.target_landmarks, size, sigma)
        shown: Tensor = self.generator["add"](torch.cat([bare, wanted], dim=1))
        return torch.where((requests.target_label == neutral)[:, None, None, None], bare, shown)


def heat_map(landmarks: Tensor, size: int, sigma: float) -> Tensor:
    """One plane of all landmarks.

    Args:
        landmarks: float (N, 68, 2) pixels.
        size: side of the plane.
        sigma: of a landmark's Gaussian, as a share of the side.

    Returns:
        Float (N, 1, size, size) in [-1, 1], 1 at each landmark.
    """
    return 2 * heat_maps(landmarks, size, sigma * size).amax(dim=1, keepdim=True) - 1


def gray_crops(images: Tensor, landmarks: Tensor) -> Tensor:
    """`fesbench.extractors.lightcnn.gray_crop` of a batch, through which gradients pass.

    Args:
        images: float (N, 3, S, S) in [-1, 1].
        landmarks: float (N, 68, 2) pixels.

    Returns:
        Float (N, 1, 128, 128) in [0, 1]: luma, 0 beyond the image.
    """
    size = images.shape[-1]
    left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    eyes, mouth = (left + right) / 2, (landmarks[:, 48] + landmarks[:, 54]) / 2
    apart = (right - left).norm(dim=1, keepdim=True)
    across = (right - left) / apart
    down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
    below = torch.maximum(((mouth - eyes) * down).sum(1, keepdim=True), _CROP.flattest * apart)
    axis = torch.arange(_CROP.size, device=images.device, dtype=landmarks.dtype)
    # Of a crop's pixel: how far it lies right of and below the eyes' midpoint, in pixels of the image.
    x = (axis - (_CROP.size - 1) / 2)[None, None, :, None] * (across * below / _CROP.mouth)[:, None, None]
    y = (axis - _CROP.eye_row)[None, :, None, None] * (down * below / _CROP.mouth)[:, None, None]
    places = (eyes[:, None, None] + x + y + 0.5) / size * 2 - 1
    luma = (images * images.new_tensor(_CROP.luma)[:, None, None]).sum(1, keepdim=True) / 2 + 0.5
    return F.grid_sample(luma, places.to(luma), mode="bilinear", padding_mode="zeros", align_corners=False)


def _entropy(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
