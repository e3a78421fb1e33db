"""CAFP-GAN (ACM MM 2018), "GAFP-GAN" in Li et al. 2021: predicts where a face's parts will lie, paints them.

Only the abstract could be read. Built: two U-Nets (FPPN makes the parts, FESN the image); label planes
times the intensity as condition; as couple-agent discriminators two PatchGANs a network, one for output and
face, one for output and condition, whose parts are the true ones on both sides. The paper's parts are those
of a face parser, of which no weights are at hand: these are drawn from landmarks, without hair and
forehead. The neutral start of a sequence, intensity 0, is the source itself, in one of eight samples. FPPN
rests for the first half of FESN's training; then it learns on, from its cross entropy and FESN's loss, at a
tenth of the rate. Below 128 px the U-Nets have fewer levels, down to the same 2x2.

Preset ``paper-noid`` leaves out the identity term, which needs Light CNN's weights. Preset ``tiny``, for a
minute on two CPU cores: no identity term, width 16, batches of 8, He weights on the U-Nets' way down, and
rate 5e-4 for the few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.extractors.lightcnn import light_cnn_29_v2
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, constant, decay_after
from fesbench.methods.planes import PARSING, parsing_planes
from fesbench.methods.state_import import ConditionAxis

from ._adam import adam
from ._blocks import check_side, frozen, he_initialize, initialize, norm, one_hot, with_planes
from ._losses import total_variation
from ._unet import PatchCritic
from .g2gan import gray_crops

PARTS = len(PARSING)
_RECOGNIZER = "lightcnn-29-v2"


@dataclass(frozen=True)
class CAFPGANHyper:
    """Values of this file's choice: the abstract gives none."""

    width: int = 64
    he: bool = False
    batch_size: int = 16
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    fine_tuning: float = 0.1
    resting: float = 1 / 8
    map_realism_weight: float = 0.1
    realism_weight: float = 1.0
    target_weight: float = 100.0
    identity_weight: float = 10.0
    smooth_weight: float = 1e-4
    parsing_epochs: float = 50
    painting_epochs: float = 100
    parsing_smoke_steps: int = 150
    painting_smoke_steps: int = 250
    joint_smoke_steps: int = 120


class UNet(nn.Module):
    """Strided convolutions down, transposed ones up, each level up beside its mirror; instance norm.

    Args:
        size: side of the images: a multiple of 64 from 128 on, of 32 from 64 on, of 16 below.
        channels, outputs: of input and output.
        width: of the first level, doubled up to eight times itself.
    """

    def __init__(self, size: int, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        depth = 6 if size >= 128 else size.bit_length() - 2
        check_side("the U-Net of CAFP-GAN", size, 1 << max(4, depth))
        widths = [width * min(8, 1 << level) for level in range(depth)]
        self.down = nn.ModuleList()
        for level, (i, o) in enumerate(zip([channels, *widths[:-1]], widths, strict=True)):
            normed = [norm(o)] if level else []
            convolution = nn.Conv2d(i, o, 4, 2, 1, bias=not level)
            self.down.append(nn.Sequential(convolution, *normed, nn.LeakyReLU(0.2)))
        self.up = nn.ModuleList()
        channels = widths[-1]
        for wide in reversed(widths[:-1]):
            larger = nn.ConvTranspose2d(channels, wide, 4, 2, 1, bias=False)
            self.up.append(nn.Sequential(larger, norm(wide), nn.ReLU()))
            channels = 2 * wide
        self.last = nn.ConvTranspose2d(channels, outputs, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S) -> (N, outputs, S, S), any real number."""
        mirror = []
        for layer in self.down:
            x = layer(x)
            mirror.append(x)
        for layer, same in zip(self.up, mirror[-2::-1], strict=True):
            x = torch.cat([layer(x), same], dim=1)
        found: Tensor = self.last(x)
        return found


@dataclass(frozen=True)
class Sample:
    """What both networks learn from: tensors of B faces.

    Attributes:
        face, image: float (B, 3, S, S), neutral and with the expression.
        parts, wanted: float (B, PARTS, S, S), 0 or 1, of both.
        condition: float (B, labels), the label's place holds the intensity.
        landmarks: float (B, 68, 2) pixels, of ``image``.
    """

    face: Tensor
    image: Tensor
    parts: Tensor
    wanted: Tensor
    condition: Tensor
    landmarks: Tensor


class CAFPGAN(Method):
    """The parts of a face move to an expression's place, at an intensity, and the face is painted on them."""

    card: ClassVar[MethodCard] = MethodCard(
        id="gafpgan",
        title="CAFP-GAN (GAFP-GAN)",
        citation="Lu, Hu, Song, Zhang, He, ACM Multimedia 2018, pp. 1083-1091: "
        "Conditional Expression Synthesis with Face Parsing Transformation",
        year=2018,
        needs=frozenset({"labels", "pairs", "neutral", "landmarks"}),
        controls=frozenset({"expression", "intensity"}),
        notes="parts of the face drawn from landmarks, no parser; built from the abstract",
        helpers=("lightcnn-29-v2",),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CAFPGANHyper(),
        "paper-noid": CAFPGANHyper(identity_weight=0.0),
        "tiny": CAFPGANHyper(width=16, he=True, batch_size=8, learning_rate=5e-4, identity_weight=0.0),
    }
    budget_notes: ClassVar[Mapping[str, str]] = {
        "smoke": "known not to learn expressions in it: the label hardly moves the face"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("parser.", "painter.")
    hyper: CAFPGANHyper

    @classmethod
    def helpers_of(cls, hyper: CAFPGANHyper) -> tuple[str, ...]:
        """Light CNN, for the identity term."""
        return cls.card.helpers if hyper.identity_weight else ()

    def build(self) -> None:
        """Create both networks and their couples of discriminators."""
        size, width = self.problem.size, self.hyper.width
        self.classes = len(self.problem.labels)
        self.parser = UNet(size, 3 + PARTS + self.classes, PARTS, width)
        self.painter = UNet(size, 3 + PARTS + self.classes, 3, width)
        self.map_critics = nn.ModuleDict(
            {"face": PatchCritic(3 + PARTS, width), "condition": PatchCritic(self.classes + PARTS, width)}
        )
        self.critics = nn.ModuleDict(
            {"face": PatchCritic(6, width), "condition": PatchCritic(PARTS + 3, width)}
        )
        self.apply(initialize)
        if self.hyper.he:
            self.parser.down.apply(he_initialize)
            self.painter.down.apply(he_initialize)

    def build_helper(self, name: str) -> nn.Module:
        """Light CNN as its authors' file holds it."""
        network: nn.Module = light_cnn_29_v2()
        return network

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The label planes: last of what the networks see, first of what one discriminator sees."""
        behind = ConditionAxis("labels", axis=1, start=3 + PARTS)
        return {
            "parser.down.0.0.weight": behind,
            "painter.down.0.0.weight": behind,
            "map_critics.condition.body.0.weight": ConditionAxis("labels", axis=1),
        }

    def phases(self) -> tuple[Phase, ...]:
        """FPPN; FESN on what FPPN makes; both. Each network's rate falls over the second half of its own."""
        hyper = self.hyper
        parsing = Phase(
            "parsing",
            "pair",
            hyper.batch_size,
            paper_epochs=hyper.parsing_epochs,
            smoke_steps=hyper.parsing_smoke_steps,
            learning_rate=decay_after(0.5),
            intensities=True,
        )
        painting = replace(
            parsing,
            name="painting",
            paper_epochs=hyper.painting_epochs / 2,
            smoke_steps=hyper.painting_smoke_steps,
            learning_rate=constant,
        )
        joint = replace(
            painting, name="joint", smoke_steps=hyper.joint_smoke_steps, learning_rate=decay_after(0.0)
        )
        return (parsing, painting, joint)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for a network and for its discriminators; FPPN beside FESN at a tenth of the rate."""
        rate, betas = self.hyper.learning_rate, self.hyper.betas
        if phase.name == "parsing":
            return adam(rate, betas, parser=self.parser, critics=self.map_critics)
        found = adam(rate, betas, painter=self.painter, critics=self.critics)
        if phase.name == "joint":
            found["painter"].add_param_group(
                {"params": list(self.parser.parameters()), "lr": rate * self.hyper.fine_tuning}
            )
        return found

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of a network's discriminators, then one of the network."""
        sample = self._sample(batch)
        return self._parsing_step(sample) if phase.name == "parsing" else self._painting_step(phase, sample)

    def _sample(self, batch: PairBatch) -> Sample:
        """Pairs, some of them turned into the neutral start of their sequence."""
        source, target = batch.source, batch.target
        rests = torch.rand(len(batch), device=source.image.device) < self.hyper.resting
        image = torch.where(rests[:, None, None, None], source.image, target.image)
        landmarks = torch.where(rests[:, None, None], source.landmarks, target.landmarks)
        intensity = torch.where(rests, 0.0, target.intensity)
        size = self.problem.size
        return Sample(
            source.image,
            image,
            parsing_planes(source.landmarks, size),
            parsing_planes(landmarks, size),
            one_hot(target.label, self.classes) * intensity[:, None],
            landmarks,
        )

    def predicted(self, face: Tensor, parts: Tensor, condition: Tensor) -> Tensor:
        """FPPN: logits (N, PARTS, S, S) of where the parts will lie."""
        found: Tensor = self.parser(with_planes(torch.cat([face, parts], dim=1), condition))
        return found

    def painted(self, face: Tensor, parts: Tensor, condition: Tensor) -> Tensor:
        """FESN: an image (N, 3, S, S) in [-1, 1] on predicted parts, given as probabilities."""
        return torch.tanh(self.painter(with_planes(torch.cat([face, parts], dim=1), condition)))

    def _parsing_step(self, sample: Sample) -> dict[str, Tensor]:
        logits = self.predicted(sample.face, sample.parts, sample.condition)
        made = logits.softmax(dim=1)
        planes = with_planes(sample.wanted[:, :0], sample.condition)
        true = {"face": (sample.face, sample.wanted), "condition": (planes, sample.wanted)}
        fake = {"face": (sample.face, made), "condition": (planes, made)}
        losses = self._critic_step(self.map_critics, true, fake)
        entropy = nn.functional.cross_entropy(logits, sample.wanted.argmax(dim=1))
        with frozen(self.map_critics):
            realism = _believed(self.map_critics, fake)
            self.descend("parser", entropy + self.hyper.map_realism_weight * realism)
        return {**losses, "parsing": entropy.detach(), "realism": realism.detach()}

    def _painting_step(self, phase: Phase, sample: Sample) -> dict[str, Tensor]:
        with torch.set_grad_enabled(phase.name == "joint"):
            logits = self.predicted(sample.face, sample.parts, sample.condition)
        parts = logits.softmax(dim=1)
        made = self.painted(sample.face, parts, sample.condition)
        # The true parts on both sides: predicted ones are soft, which alone would give a made image away.
        true = {"face": (sample.face, sample.image), "condition": (sample.wanted, sample.image)}
        fake = {"face": (sample.face, made), "condition": (sample.wanted, made)}
        losses = self._critic_step(self.critics, true, fake)
        with frozen(self.critics):
            realism = _believed(self.critics, fake)
            distance = (made - sample.image).abs().mean()
            loss = self.hyper.realism_weight * realism + self.hyper.target_weight * distance
            loss = loss + self.hyper.smooth_weight * total_variation(made) / len(made)
            if self.hyper.identity_weight:
                identity = self._identity(made, sample)
                losses["identity"] = identity.detach()
                loss = loss + self.hyper.identity_weight * identity
            if phase.name == "joint":
                loss = loss + nn.functional.cross_entropy(logits, sample.wanted.argmax(dim=1))
            self.descend("painter", loss)
        return {**losses, "realism": realism.detach(), "distance": distance.detach()}

    def _critic_step(
        self,
        critics: nn.ModuleDict,
        true: dict[str, tuple[Tensor, Tensor]],
        fake: dict[str, tuple[Tensor, Tensor]],
    ) -> dict[str, Tensor]:
        """Least squares: 1 for true couples, 0 for made ones."""
        losses, gaps = [], []
        for name, critic in critics.items():
            real, made = critic(*true[name]), critic(fake[name][0], fake[name][1].detach())
            losses.append(((real - 1).square().mean() + made.square().mean()) / 2)
            gaps.append((real.mean() - made.mean()).detach())
        loss = torch.stack(losses).sum()
        self.descend("critics", loss)
        return {"critic_loss": loss.detach(), "critic_gap": torch.stack(gaps).mean()}

    def _identity(self, made: Tensor, sample: Sample) -> Tensor:
        recognizer = self.helper(_RECOGNIZER)
        with torch.no_grad():
            wanted = recognizer(gray_crops(sample.image, sample.landmarks))
        found: Tensor = (recognizer(gray_crops(made, sample.landmarks)) - wanted).abs().mean()
        return found

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target label at the intensity; only the source's landmarks are looked at.

        Raises:
            MethodError: they are not known.
        """
        if not bool(torch.isfinite(requests.source_landmarks).all()):
            raise MethodError("gafpgan was given a face whose landmarks are not known")
        parts = parsing_planes(requests.source_landmarks, self.problem.size)
        condition = one_hot(requests.target_label, self.classes) * requests.intensity[:, None]
        found = self.predicted(requests.source, parts, condition).softmax(dim=1)
        return self.painted(requests.source, found, condition)


def _believed(critics: nn.ModuleDict, fake: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """How far both discriminators are from taking made couples for true ones."""
    return torch.stack([(critic(*fake[name]) - 1).square().mean() for name, critic in critics.items()]).sum()
