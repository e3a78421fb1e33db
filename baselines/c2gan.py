"""C2GAN (ACM MM 2019). Paper and released code differ: in the code the landmark cycles never reach the image
generator, whose optimizer has stepped before. Here they are part of its loss, as the paper says.

Choices: any two expressions of a subject in one take make a pair, and 200 epochs of the paper's 5,628 pairs
(from memory) are counted in steps; landmarks are black dots on white, 4 px wide at 256 px, drawn anew instead
of read from compressed images; the pairs are mirrored, as for every method; norm weights N(1, 0.02), since
the code's uniform call has its bounds the wrong way around; running statistics and no dropout at test.

Preset ``released`` is the code's wiring (``keypoint_to_image`` off).

Preset ``tiny``, for a minute on two CPU cores: width 16, batches of 4, rate 2e-3 for the few steps. Initial
weights are N(0, 0.02), since with Xavier's a narrow generator begins with noise and unlearns it slowly, but
He's on the way down: the outermost skip has no norm and would bring the image at a tenth of its size. The
adversarial and the landmark terms have a tenth of their weight, and there is no dropout.
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

from ._adam import adam
from ._blocks import frozen, he_initialize, initialize
from ._unet import PatchCritic, UNet, batch_norm


@dataclass(frozen=True)
class C2GANHyper:
    """The released command's values, and the paper's wiring.

    ``pool`` is the number of made images that each discriminator keeps; with ``he`` both U-Nets start with He
    weights on their way down.
    """

    width: int = 64
    batch_size: int = 8
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    realism_weight: float = 1.0
    image_weight: float = 10.0
    cycle_weight: float = 10.0
    keypoint_weight: float = 10.0
    dropout: float = 0.5
    pool: int = 50
    keypoint_to_image: bool = True
    xavier: bool = True
    he: bool = False
    steps: int = 140_800
    smoke_steps: int = 400


@dataclass(frozen=True)
class Way:
    """One direction of a batch: source to target, or from the made target back to the source.

    Attributes:
        start: float (B, 3, S, S), the real image at its beginning, which the discriminator sees.
        drawing: float (B, 3, S, S), the landmarks to follow.
        true: float (B, 3, S, S), the image that it should make.
        made: float (B, 3, S, S), the image that it makes.
        drawn: float (B, 3, S, S), what the keypoint generator draws of that.
    """

    start: Tensor
    drawing: Tensor
    true: Tensor
    made: Tensor
    drawn: Tensor


class Pool:
    """Images of earlier steps, so that a discriminator does not forget what was made before.

    Args:
        size: how many images are kept; 0 = none, and what comes in goes out.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[Tensor] = []

    def exchange(self, made: Tensor) -> Tensor:
        """Keep images (N, C, S, S), and give as many: once the pool is full, half of them older ones."""
        given = []
        for image in made.detach():
            if len(self.kept) < self.size:
                self.kept.append(image)
            elif self.size and torch.rand(()) > 0.5:
                place = int(torch.randint(self.size, ()))
                self.kept[place], image = image, self.kept[place]
            given.append(image)
        return torch.stack(given)


class C2GAN(Method):
    """An image generator and a keypoint generator, tied by a cycle of images and two of landmarks."""

    card: ClassVar[MethodCard] = MethodCard(
        id="c2gan",
        title="C2GAN",
        citation="Tang et al., ACM MM 2019, arXiv 1908.00999: "
        "Cycle In Cycle Generative Adversarial Networks for Keypoint-Guided Image Generation",
        year=2019,
        needs=frozenset({"take-pairs", "landmarks"}),
        controls=frozenset({"expression", "transfer"}),
        notes="input: face and a drawing of the target landmarks",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": C2GANHyper(),
        "released": C2GANHyper(keypoint_to_image=False),
        "tiny": C2GANHyper(
            width=16,
            batch_size=4,
            learning_rate=2e-3,
            realism_weight=0.1,
            keypoint_weight=1.0,
            dropout=0.0,
            xavier=False,
            he=True,
        ),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "released": "the landmark cycles train the keypoint generator alone, as in the released code"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: C2GANHyper

    def build(self) -> None:
        """Create both generators and both discriminators with the code's initial weights."""
        self.generator, self.keypoint_generator = self._unet(6), self._unet(3)
        self.critic, self.keypoint_critic = self._patches(9), self._patches(6)
        self.apply(_initialize if self.hyper.xavier else initialize)
        if self.hyper.he:
            self.generator.encoders.apply(he_initialize)
            self.keypoint_generator.encoders.apply(he_initialize)
        self.pools = {"image": Pool(self.hyper.pool), "keypoint": Pool(self.hyper.pool)}

    def _unet(self, channels: int) -> UNet:
        size, width, dropout = self.problem.size, self.hyper.width, self.hyper.dropout
        # Three levels at 256 px and two at 128 px, counted from the outside; the innermost has none.
        dropped = range(4, size.bit_length() - 2)
        return UNet(size, channels, width, dropout, dropped=dropped, norm=batch_norm)

    def _patches(self, channels: int) -> PatchCritic:
        return PatchCritic(channels, self.hyper.width, norm=batch_norm)

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase; the rate is constant for half of it, then falls linearly to zero."""
        return (
            Phase(
                "adversarial",
                "take-pair",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
                learning_rate=decay_after(0.5),
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam, which moves each network by its own gradients alone, however the code groups them."""
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            generators=[self.generator, self.keypoint_generator],
            critics=[self.critic, self.keypoint_critic],
        )

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of both generators, then one of both discriminators on what was made before it."""
        ways = self._ways(batch)
        with frozen(self.critic), frozen(self.keypoint_critic):
            terms = self._generator_terms(*ways)
            weights = self._weights()
            self.descend("generators", torch.stack([weights[k] * v for k, v in terms.items()]).sum())
        losses = {f"generator_{name}": value.detach() for name, value in terms.items()}
        return losses | self._critic_step(ways)

    def _ways(self, batch: PairBatch) -> tuple[Way, Way]:
        source, target = batch.source.image, batch.target.image
        there = self._way(source, source, drawing(batch.target.landmarks, self.problem.size), target)
        # The way back starts from what was made, yet is judged beside the real image.
        back = self._way(target, there.made, drawing(batch.source.landmarks, self.problem.size), source)
        return there, back

    def _way(self, start: Tensor, given: Tensor, wanted: Tensor, true: Tensor) -> Way:
        made: Tensor = self.generator(torch.cat([given, wanted], dim=1))
        return Way(start, wanted, true, made, self.keypoint_generator(self._seen(made)))

    def _seen(self, made: Tensor) -> Tensor:
        """A made image in the losses of the keypoint generator."""
        return made if self.hyper.keypoint_to_image else made.detach()

    def _generator_terms(self, there: Way, back: Way) -> dict[str, Tensor]:
        """The terms of both generators' losses, without their weights."""
        ways = (there, back)
        judged = [self.critic(torch.cat([w.start, w.drawing], dim=1), w.made) for w in ways]
        traced = [self.keypoint_critic(self._seen(w.made), w.drawn) for w in ways]
        return {
            "realism": torch.stack([_squares(score, 1.0) for score in judged]).sum(),
            "image": (there.made - there.true).abs().mean(),
            "cycle": (back.made - back.true).abs().mean(),
            "keypoint_realism": torch.stack([_squares(score, 1.0) for score in traced]).sum(),
            "keypoints": torch.stack([(w.drawn - w.drawing).abs().mean() for w in ways]).sum(),
        }

    def _weights(self) -> dict[str, float]:
        hyper = self.hyper
        return {
            "realism": hyper.realism_weight,
            "image": hyper.image_weight,
            "cycle": hyper.cycle_weight,
            "keypoint_realism": hyper.realism_weight,
            "keypoints": hyper.keypoint_weight,
        }

    def _critic_step(self, ways: tuple[Way, Way]) -> dict[str, Tensor]:
        losses, gaps = [], []
        for way in ways:
            given, made = torch.cat([way.start, way.drawing], dim=1), way.made.detach()
            fake = self.pools["image"].exchange(torch.cat([given, made], dim=1))
            real_score, fake_score = self.critic(given, way.true), self.critic(*fake.split([6, 3], dim=1))
            # What is real beside a made image is its drawing alone.
            traced = self.pools["keypoint"].exchange(torch.cat([made, way.drawn], dim=1))
            true_trace, made_trace = (
                self.keypoint_critic(made, way.drawing),
                self.keypoint_critic(*traced.split([3, 3], dim=1)),
            )
            losses += [_squares(score, 1.0) / 2 for score in (real_score, true_trace)]
            losses += [_squares(score, 0.0) / 2 for score in (fake_score, made_trace)]
            gaps.append((real_score.mean() - fake_score.mean()).detach())
        loss = torch.stack(losses).sum()
        self.descend("critics", loss)
        return {"critic_loss": loss.detach(), "critic_gap": torch.stack(gaps).mean()}

    def extra_state(self) -> dict[str, Any]:
        """The images in the pools."""
        return {name: torch.stack(pool.kept) for name, pool in self.pools.items() if pool.kept}

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Put them back."""
        for name, pool in self.pools.items():
            pool.kept = list(state[name].unbind()) if name in state else []

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks."""
        landmarks = requests.target_landmarks
        if not bool(torch.isfinite(landmarks).all()):
            raise MethodError("c2gan was asked for an image whose landmarks are not known")
        wanted = drawing(landmarks, self.problem.size)
        found: Tensor = self.generator(torch.cat([requests.source, wanted], dim=1))
        return found


def drawing(landmarks: Tensor, size: int) -> Tensor:
    """Landmarks as black dots on white.

    Args:
        landmarks: finite float (N, 68, 2) pixels.
        size: side of the drawing.

    Returns:
        Float (N, 3, size, size) in [-1, 1], three equal channels;
        dots 1/64 of the side wide, at least a pixel.
    """
    axis = torch.arange(size, device=landmarks.device, dtype=landmarks.dtype)
    apart = (axis - landmarks[..., None]).square()
    distance = (apart[..., 0, None, :] + apart[..., 1, :, None]).amin(dim=1).sqrt()
    ink = (max(size / 128, 0.5) + 0.5 - distance).clamp(0, 1)
    return (1 - 2 * ink)[:, None].expand(-1, 3, -1, -1)


def _squares(scores: Tensor, truth: float) -> Tensor:
    return F.mse_loss(scores, torch.full_like(scores, truth))


def _initialize(module: nn.Module) -> None:
    """Convolution weights by Xavier's normal rule; biases as the framework draws them."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_normal_(module.weight)
