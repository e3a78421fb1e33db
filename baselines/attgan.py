"""AttGAN (IEEE TIP 2019). Choices: the second version of the authors' code (128 px network with its one skip,
WGAN with gradient penalty, test strength 2); an expression is an attribute, and asking for one sets the
others to -1; 60 epochs of CelebA's 182,000 training images are 341,250 batches, whatever the data here;
training cuts windows out of enlarged images as published, synthesis takes the image as it is, since faces are
aligned already.

Preset ``tiny``, for a minute on two CPU cores: width 16 (1024 units of the heads become 256), batches of 8,
rate 2e-3 for the few steps, as many strided layers as leave 4x4, as at the published size, and moving
averages of the norms that follow twenty times faster, since training is so much shorter. It trains on whole
images, not on windows out of enlarged ones, so that what it is asked to change has the size that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis, Release, renamed

from ._adam import adam
from ._augment import random_window
from ._blocks import check_side, frozen, one_hot, with_planes
from ._losses import gradient_penalty


@dataclass(frozen=True)
class AttGANHyper:
    """The released values."""

    width: int = 64
    layers: int | Literal["side"] = 5
    units: int = 1024
    batch_size: int = 32
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    norm_momentum: float = 1e-3
    n_critic: int = 5
    attribute_weight: float = 10.0
    reconstruction_weight: float = 100.0
    class_weight: float = 1.0
    penalty_weight: float = 10.0
    jitter: float = 143 / 128
    strength: float = 2.0
    steps: int = 341_250
    smoke_steps: int = 1100


_EPSILON = 1e-3
_PORT_EPSILON, _PORT_SLOPE, _PORT_LABEL = 1e-5, 0.01, 0.5


def _widths(width: int, layers: int) -> list[int]:
    """Doubled from layer to layer, up to sixteen times the first."""
    return [width * min(16, 1 << layer) for layer in range(layers)]


class AttGenerator(nn.Module):
    """Encoder, and decoder of the code and an attribute vector; one skip behind the decoder's first layer.

    Args:
        attributes: K.
        width: channels of the first layer.
        layers: strided layers of either half, at least three.
        momentum: share by which a batch moves the running averages of the norms.

    Attributes:
        slope: of the encoder's leaky ReLUs, () float32; a buffer, as weights of the port bring their own.
    """

    slope: Tensor

    def __init__(self, attributes: int, width: int, layers: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(0.2))
        widths = _widths(width, layers)

        def norm(channels: int) -> nn.BatchNorm2d:
            return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=momentum)

        ins = [3, *widths[:-1]]
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 4, 2, 1, bias=False), norm(o))
            for i, o in zip(ins, widths, strict=True)
        )
        outs = widths[::-1][: layers - 1]
        ins = [widths[-1] + attributes, outs[0] + widths[-2] + attributes, *outs[1:]]
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), norm(o), nn.ReLU(inplace=True))
            for i, o in zip(ins[:-1], outs, strict=True)
        )
        self.last = nn.ConvTranspose2d(ins[-1], 3, 4, 2, 1)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> the code and what skips: the last two layers' maps."""
        skip = code = image
        for layer in self.encoder:
            made = layer(code)
            skip, code = code, F.prelu(made, self.slope.to(made.dtype))
        return code, skip

    def decode(self, code: tuple[Tensor, Tensor], attributes: Tensor) -> Tensor:
        """Code and (N, K) around [-1, 1] -> (N, 3, H, W) in [-1, 1]."""
        x, skip = code
        x = with_planes(x, attributes)
        for level, layer in enumerate(self.decoder):
            x = layer(x)
            if level == 0:
                x = with_planes(torch.cat([x, skip], dim=1), attributes)
        return torch.tanh(self.last(x))

    def forward(self, image: Tensor, attributes: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] and (N, K) -> (N, 3, H, W) in [-1, 1]."""
        return self.decode(self.encode(image), attributes)


class AttCritic(nn.Module):
    """Strided layers that a realism head and an attribute head share.

    Args:
        size: side of the images.
        attributes: K.
        width: channels of the first layer.
        layers: strided layers.
        units: of each head's hidden layer.
    """

    def __init__(self, size: int, attributes: int, width: int, layers: int, units: int) -> None:
        super().__init__()
        widths = _widths(width, layers)
        self.body = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(i, o, 4, 2, 1, bias=False),
                    nn.InstanceNorm2d(o, affine=True),
                    nn.LeakyReLU(0.2, inplace=True),
                )
                for i, o in zip([3, *widths[:-1]], widths, strict=True)
            ),
            nn.Flatten(),
        )
        features = widths[-1] * (size >> layers) ** 2

        def head(outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(features, units), nn.LeakyReLU(0.2), nn.Linear(units, outputs))

        self.realism, self.attributes = head(1), head(attributes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> realism (N, 1), attribute logits (N, K)."""
        hidden = self.body(image)
        return self.realism(hidden), self.attributes(hidden)


class AttGAN(Method):
    """Reconstruction with the own attributes, and a critic that reads those of the edited image."""

    card: ClassVar[MethodCard] = MethodCard(
        id="attgan",
        title="AttGAN",
        citation="He et al., IEEE TIP 28(11), 2019, arXiv 1711.10678: "
        "AttGAN: Facial Attribute Editing by Only Changing What You Want",
        year=2019,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression", "intensity", "compound"}),
        notes="intensity: attributes on the way from the source's to the target's, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": AttGANHyper(),
        "tiny": AttGANHyper(
            width=16,
            layers="side",
            units=256,
            batch_size=8,
            learning_rate=2e-3,
            norm_momentum=0.02,
            jitter=1.0,
        ),
    }
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn faces in it: they are soft, though they tend to the expression"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    release: ClassVar[Release | None] = Release("weights.*.pth of the PyTorch port")
    hyper: AttGANHyper

    def build(self) -> None:
        """Create both networks; Xavier's initial weights, biases 0.

        Raises:
            MethodError: a side of the image that the strided layers do not divide, or leave as one pixel,
                which an instance norm would set to 0.
        """
        hyper, size = self.hyper, self.problem.size
        layers = max(3, size.bit_length() - 3) if hyper.layers == "side" else hyper.layers
        check_side("AttGAN", size, 1 << layers)
        if size == 1 << layers:
            raise MethodError(f"AttGAN needs an image size of at least {2 << layers}, not {size}")
        self.attributes = len(self.problem.labels)
        self.generator = AttGenerator(self.attributes, hyper.width, layers, hyper.norm_momentum)
        self.critic = AttCritic(size, self.attributes, hyper.width, layers, hyper.units)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The attribute planes behind the code and behind the skip, and the critic's attribute logits."""
        tensors = self.state_dict()
        code, joined = (tensors[f"generator.decoder.{level}.0.weight"].shape[0] for level in (0, 1))
        return {
            "generator.decoder.0.0.weight": ConditionAxis("labels", axis=0, start=code - self.attributes),
            "generator.decoder.1.0.weight": ConditionAxis("labels", axis=0, start=joined - self.attributes),
            "critic.attributes.2.weight": ConditionAxis("labels", axis=0),
            "critic.attributes.2.bias": ConditionAxis("labels", axis=0),
        }

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the port's generator, with or without planes behind the skip (``inject_layers`` 1 or 0).

        Its labels are half as large as ours and its norms add another epsilon, which goes into planes and
        variances; the slope of its encoder comes along.
        """
        last = max((int(name.split(".")[1]) for name in tensors if name.startswith("dec_layers.")), default=0)
        names = {
            rf"dec_layers\.{last}\.layers\.0": "generator.last",
            r"enc_layers\.(\d+)\.layers\.([01])": r"generator.encoder.\1.\2",
            r"dec_layers\.(\d+)\.layers\.([01])": r"generator.decoder.\1.\2",
        }
        found = renamed(tensors, names, statistics=True)
        code, outs, skip = (
            found[f"generator.{layer}.weight"].shape[axis]
            for layer, axis in ((f"encoder.{last}.0", 0), ("decoder.0.0", 1), (f"encoder.{last - 1}.0", 0))
        )
        first, second = (f"generator.decoder.{level}.0.weight" for level in (0, 1))
        planes = found[first].shape[0] - code
        if found[second].shape[0] == outs + skip:
            nothing = found[second].new_zeros(planes, *found[second].shape[1:])
            found[second] = torch.cat([found[second], nothing])
        for name, start in ((first, code), (second, outs + skip)):
            scaled = found[name][start:] * _PORT_LABEL
            found[name] = torch.cat([found[name][:start], scaled])
        for name in found:
            if name.endswith("running_var"):
                found[name] = found[name] + (_PORT_EPSILON - _EPSILON)
        return {**found, "generator.slope": torch.tensor(_PORT_SLOPE)}

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase; of six batches five train the critic and one the generator."""
        hyper = self.hyper
        return (
            Phase(
                "adversarial",
                "image",
                hyper.batch_size,
                paper_steps=hyper.steps,
                smoke_steps=hyper.smoke_steps,
                calls_per_update=hyper.n_critic + 1,
                learning_rate=decay_after(0.5),
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network."""
        return adam(self.hyper.learning_rate, self.hyper.betas, generator=self.generator, critic=self.critic)

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """A critic step, or behind ``n_critic`` of them a generator step, each on images of its own.

        Target labels are the batch's own in a random order.
        """
        image, _ = random_window(batch.image, self.hyper.jitter)
        own = one_hot(batch.label, self.attributes)
        wanted = own[torch.randperm(len(own), device=own.device)]
        if (step + 1) % (self.hyper.n_critic + 1):
            return self._critic_step(image, own, wanted)
        return self._generator_step(image, own, wanted)

    def _critic_step(self, image: Tensor, own: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generator(image, 2 * wanted - 1)
        score, logits = self.critic(image)
        gap = score.mean() - self.critic(fake)[0].mean()
        attributes = F.binary_cross_entropy_with_logits(logits, own)
        penalty = gradient_penalty(lambda x: self.critic(x)[0], image, fake)
        loss = -gap + self.hyper.penalty_weight * penalty + self.hyper.class_weight * attributes
        self.descend("critic", loss)
        return {
            "critic_gap": gap.detach(),
            "critic_attributes": attributes.detach(),
            "critic_penalty": penalty.detach(),
        }

    def _generator_step(self, image: Tensor, own: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        code = self.generator.encode(image)
        same, fake = (self.generator.decode(code, 2 * labels - 1) for labels in (own, wanted))
        with frozen(self.critic):
            score, logits = self.critic(fake)
            realism, attributes = -score.mean(), F.binary_cross_entropy_with_logits(logits, wanted)
            distance = (image - same).abs().mean()
            loss = realism + self.hyper.attribute_weight * attributes
            self.descend("generator", loss + self.hyper.reconstruction_weight * distance)
        return {
            "generator_realism": realism.detach(),
            "generator_attributes": attributes.detach(),
            "generator_reconstruction": distance.detach(),
        }

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The critic's attribute head."""
        logits: Tensor = self.critic(images)[1]
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target attribute at the test strength and the others at -1.

        A compound sets both of its attributes; a weaker intensity goes only part of the way from the source's
        own attributes (all -1 where its label is not known).
        """
        wanted = one_hot(requests.target_label, self.attributes, requests.second_label)
        target = torch.where(wanted > 0, self.hyper.strength, -1.0)
        source = 2 * one_hot(requests.source_label, self.attributes) - 1
        found: Tensor = self.generator(
            requests.source, torch.lerp(source, target, requests.intensity.to(target)[:, None])
        )
        return found
