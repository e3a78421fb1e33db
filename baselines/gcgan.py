"""GC-GAN (2018), after the released code, with two defects mended: its public commit has the contrastive
terms switched off, and its gradient penalty takes the norm of single columns of the gradient.

Choices: the random shift of all landmarks has a standard deviation of 0.05 and not of 1, half an image; the
five critic steps on a batch share one made image, which the code makes anew each time, to the same values;
any two expressions of a subject in one take make a pair.

Preset ``released-shift`` has the code's shift of the landmarks.

Preset ``tiny``, for a minute on two CPU cores: layers a quarter as wide, batches of 8, rate 5e-4 for the few
steps, and a critic that starts with He weights, since those of the code leave a narrow one deaf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis

from ._adam import adam
from ._blocks import frozen, he_initialize
from ._losses import gradient_penalty


@dataclass(frozen=True)
class GCGANHyper:
    """The code's values; ``width`` is the first layer's of the encoder, the others keep their ratio to it."""

    width: int = 64
    batch_size: int = 64
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    penalty_weight: float = 10.0
    class_weight: float = 1e-4
    feature_weight: float = 1e-3
    adversarial_weight: float = 1e-3
    embedding_weight: float = 1e-4
    margin: float = 5.0
    shift: float = 0.05
    he_critic: bool = False
    epochs: int = 100
    smoke_steps: int = 220


def conv5(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    """A 5x5 convolution padded as TensorFlow pads: at stride 2 one row and column before and two behind."""
    before = 1 if stride == 2 else 2
    return nn.Sequential(nn.ZeroPad2d((before, 2, before, 2)), nn.Conv2d(inputs, outputs, 5, stride))


class Up5(nn.ConvTranspose2d):
    """The transpose of ``conv5``: twice the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        return super().forward(x)[..., 1:-2, 1:-2]


def dense(inputs: int, outputs: int) -> nn.Sequential:
    """A linear layer, batch norm, ReLU."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


class Encoder(nn.Module):
    """A face without its expression, and the feature maps on the way there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(conv5(i, o), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
            for i, o in ((3, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.code = nn.Sequential(
            nn.Flatten(), dense(4 * width * 8 * 8, 16 * width), dense(16 * width, 2 * width)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, 64, 64) -> code (N, 2 width) and three maps, 32, 16 and 8 px wide."""
        maps = []
        for conv in self.convs:
            image = conv(image)
            maps.append(image)
        return self.code(image), maps


class Embedder(nn.Module):
    """An autoencoder of landmarks: 136 coordinates, 32 in between."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(dense(136, 128), dense(128, 64), dense(64, 32))
        self.decoder = nn.Sequential(dense(32, 64), dense(64, 128), nn.Linear(128, 136), nn.Tanh())

    def forward(self, landmarks: Tensor) -> Tensor:
        """(N, 136) in [-1, 1] -> (N, 32), not negative."""
        found: Tensor = self.encoder(landmarks)
        return found


class Decoder(nn.Module):
    """A face's code and an embedding of landmarks -> image; the encoder's maps are added on the way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = dense(2 * width + 32, 4 * width * 4 * 4)
        self.ups = nn.ModuleList(
            nn.Sequential(Up5(i, o), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
            for i, o in ((4 * width, 4 * width), (4 * width, 2 * width), (2 * width, width), (width, width))
        )
        self.last = conv5(width, 3, stride=1)

    def forward(self, code: Tensor, embedding: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """(N, 2 width), (N, 32) and the encoder's maps -> (N, 3, 64, 64) in [-1, 1]."""
        x = self.first(torch.cat([code, embedding], dim=1)).unflatten(1, (-1, 4, 4))
        for level, up in enumerate(self.ups):
            x = up(x)
            if level < len(maps):
                x = x + maps[-1 - level]
        return torch.tanh(self.last(x))


class Critic(nn.Module):
    """Realism of an image, its class, and the feature map in which images are compared."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        widths = [width // 2, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for i, o in zip([3, *widths[:-1]], widths, strict=True):
            layers += [conv5(i, o), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, conv5(4 * width, 4 * width))
        self.realism = conv5(4 * width, 1)
        self.classes = nn.Linear(4 * width * 4 * 4, classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, 64, 64) -> score (N,), logits (N, classes), features (N, 4 width, 4, 4)."""
        features = self.body(image)
        hidden = F.relu(features)
        return self.realism(hidden).flatten(1).sum(1), self.classes(hidden.flatten(1)), features


class GCGAN(Method):
    """A face's code and an embedding of landmarks that knows the expression and forgets whose face it was."""

    card: ClassVar[MethodCard] = MethodCard(
        id="gcgan",
        title="GC-GAN",
        citation="Qiao et al., 2018, arXiv 1802.01822: "
        "Geometry-Contrastive GAN for Facial Expression Transfer",
        year=2018,
        needs=frozenset({"take-pairs", "landmarks", "labels"}),
        controls=frozenset({"expression", "transfer"}),
        notes="input: face and target landmarks, as 136 numbers",
        native="64-color-bicubic-aa",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": GCGANHyper(),
        "released-shift": GCGANHyper(shift=1.0),
        "tiny": GCGANHyper(width=16, batch_size=8, learning_rate=5e-4, he_critic=True),
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "known not to learn expressions in it: its faces are blurred and stay near their sources"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("encoder.", "embedder.encoder.", "decoder.")
    hyper: GCGANHyper

    def build(self) -> None:
        """Create the four networks with the code's initial weights."""
        width = self.hyper.width
        self.encoder, self.embedder, self.decoder = Encoder(width), Embedder(), Decoder(width)
        self.critic = Critic(width, len(self.problem.labels))
        self.apply(_initialize)
        if self.hyper.he_critic:
            self.critic.apply(he_initialize)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The critic's classes; nothing else knows the labels."""
        return {
            "critic.classes.weight": ConditionAxis("labels", axis=0),
            "critic.classes.bias": ConditionAxis("labels", axis=0),
        }

    def phases(self) -> tuple[Phase, ...]:
        """One phase; a call makes all updates on its batch."""
        return (
            Phase(
                "adversarial",
                "take-pair",
                self.hyper.batch_size,
                paper_epochs=self.hyper.epochs,
                smoke_steps=self.hyper.smoke_steps,
                learning_rate=slow_decay,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam; two of them move the embedder, each with moments of its own."""
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            critic=self.critic,
            embedder=self.embedder,
            encoder=self.encoder,
            decoder=[self.decoder, self.embedder.encoder],
        )

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """Five critic steps on a batch, then one each of embedder, encoder and decoder."""
        source, target, label = batch.source.image, batch.target.image, batch.target.label
        landmarks = coordinates(batch.target.landmarks, self.problem.size)
        landmarks = landmarks + self.hyper.shift * torch.randn(len(landmarks), 1, device=landmarks.device)
        with torch.no_grad():
            made = self._make(source, landmarks)
        for _ in range(self.hyper.n_critic):
            losses = self._critic_step(target, made, label)
        losses |= self._embedder_step(landmarks, label)
        losses |= self._encoder_step(source, target, landmarks, label)
        return losses | self._decoder_step(source, target, landmarks, label)

    def _make(self, source: Tensor, landmarks: Tensor) -> Tensor:
        made: Tensor = self.decoder(*self._inputs(source, landmarks))
        return made

    def _inputs(self, source: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        code, maps = self.encoder(source)
        return code, self.embedder(landmarks), maps

    def _critic_step(self, target: Tensor, made: Tensor, label: Tensor) -> dict[str, Tensor]:
        real, logits, _ = self.critic(target)
        gap = real.mean() - self.critic(made)[0].mean()
        penalty = gradient_penalty(lambda image: self.critic(image)[0], target, made)
        classes = F.cross_entropy(logits, label)
        loss = -gap + self.hyper.penalty_weight * penalty + self.hyper.class_weight * classes
        self.descend("critic", loss)
        return {
            "critic_gap": gap.detach(),
            "critic_class": classes.detach(),
            "critic_penalty": penalty.detach(),
        }

    def _embedder_step(self, landmarks: Tensor, label: Tensor) -> dict[str, Tensor]:
        embedding = self.embedder(landmarks)
        other = torch.randperm(len(label), device=label.device)
        near, far = contrast(embedding, embedding[other], label == label[other], self.hyper.margin)
        back = (self.embedder.decoder(embedding) - landmarks).square().sum(1).mean()
        self.descend("embedder", self.hyper.embedding_weight * (near + far + back))
        return {"embedding_same": near.detach(), "embedding_other": far.detach(), "landmarks": back.detach()}

    def _encoder_step(
        self, source: Tensor, target: Tensor, landmarks: Tensor, label: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = self.critic(target)[2]
        with frozen(self.critic), frozen(self.embedder), frozen(self.decoder):
            made = self._make(source, landmarks)
            _, logits, features = self.critic(made)
            distance, alike = summed(made, target), summed(features, wanted)
            classes = F.cross_entropy(logits, label)
            loss = distance + self.hyper.feature_weight * alike + self.hyper.class_weight * classes
            self.descend("encoder", loss)
        return {"encoder_features": alike.detach()}

    def _decoder_step(
        self, source: Tensor, target: Tensor, landmarks: Tensor, label: Tensor
    ) -> dict[str, Tensor]:
        with frozen(self.critic), frozen(self.encoder):
            made = self._make(source, landmarks)
            score, logits, _ = self.critic(made)
            distance, realism = summed(made, target), -score.mean()
            classes = F.cross_entropy(logits, label)
            loss = distance + self.hyper.adversarial_weight * realism + self.hyper.class_weight * classes
            self.descend("decoder", loss)
        return {
            "generator_target": distance.detach(),
            "generator_realism": realism.detach(),
            "generator_class": classes.detach(),
        }

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The critic's class head."""
        logits: Tensor = self.critic(images)[1]
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target landmarks' expression."""
        landmarks = requests.target_landmarks
        if not bool(torch.isfinite(landmarks).all()):
            raise MethodError("gcgan was asked for an image whose landmarks are not known")
        return self._make(requests.source, coordinates(landmarks, self.problem.size))


def coordinates(landmarks: Tensor, size: int) -> Tensor:
    """Landmarks (N, 68, 2) in pixels -> (N, 136) in [-1, 1], x before y; from outside moved to the edge."""
    return (landmarks.clamp(0, size - 1) * (2 / (size - 1)) - 1).flatten(1)


def contrast(one: Tensor, other: Tensor, same: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The contrastive loss of embeddings: its parts for pairs of one label and of two.

    Args:
        one, other: float (N, K).
        same: bool (N,), whether both have one label.
        margin: squared distance from which on pairs of two labels are far enough.
    """
    apart, alike = (one - other).square().sum(1), same.to(one)
    return 0.5 * (alike * apart).mean(), 0.5 * ((1 - alike) * (margin - apart).clamp(min=0)).mean()


def summed(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute differences (N, ...), summed over a sample, mean over samples."""
    return (made - wanted).abs().flatten(1).sum(1).mean()


def slow_decay(step: int, progress: float) -> float:
    """Factor 0.98 every 20,000 batches, until the rate has come down from 3e-4 to 5e-5."""
    factor: float = max(0.98 ** (step / 20_000), 5e-5 / 3e-4)
    return factor


def _initialize(module: nn.Module) -> None:
    """Weights N(0, 0.02), of convolutions within two standard deviations; biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, 0.0, 0.02, -0.04, 0.04)
    elif isinstance(module, nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
