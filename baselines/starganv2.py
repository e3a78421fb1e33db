"""StarGAN v2 (CVPR 2020), the authors' code at their AFHQ setting: no masks of a face-alignment network,
whose weights have their own terms and which copy the old mouth's edges into the new one. Choices for faces
that are aligned and differ in little but expression: no random crops, diversity weight 0.5 (theirs: 1 and
2), and the two references of a label are of two subjects. Samples are drawn evenly over images, not over
labels, and the faces to change are the batch's own references, each moved one on.

``expression`` draws a style from the request's seed; preset ``mean-style`` takes the mean of a label's
styles over 1000 draws in its place. No task shows a method the driver's image, so styles of references
serve training alone.

Preset ``tiny``, for a minute on two CPU cores: images of 32 px, an eighth of the width everywhere, batches of
4, rate 1e-3 (the mapping network's a hundredth of it, as published) for the few steps, which the diversity
loss falls with, and an average that forgets in 100 steps. So few steps show a style in a face's color first,
and lose the face: the layers that read a style begin at a tenth, style and diversity weigh 0.3 and 0.1, the
cycle 10, and the generator's initial weights are those of 600 steps towards returning its face in any style.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis

from ._average import Average
from ._blocks import frozen, norm

SLOPE = 0.2
MEAN_OF = 1000
"""Draws behind a label's mean style."""


@dataclass(frozen=True)
class StarGANv2Hyper:
    """The code's values; the first width is ``base / size``, doubled up to ``cap``."""

    base: int = 1 << 14
    cap: int = 512
    hidden: int = 512
    style: int = 64
    latent: int = 16
    batch_size: int = 8
    learning_rate: float = 1e-4
    mapping_rate: float = 1e-6
    betas: tuple[float, float] = (0.0, 0.99)
    weight_decay: float = 1e-4
    penalty_weight: float = 1.0
    style_weight: float = 1.0
    diversity_weight: float = 0.5
    diversity_steps: int = 100_000
    cycle_weight: float = 1.0
    average: float = 0.999
    mean_style: bool = False
    start_steps: int = 0
    style_scale: float = 1.0
    steps: int = 100_000
    native: str = ""
    smoke_steps: int = 300


class DownBlock(nn.Module):
    """(Norm -) leaky ReLU - conv, twice, halved between them; plus its input, over the root of two."""

    def __init__(self, inside: int, outside: int, *, normed: bool, down: bool) -> None:
        super().__init__()
        self.down = down
        self.norms = nn.ModuleList(norm(inside) if normed else nn.Identity() for _ in range(2))
        self.first, self.second = nn.Conv2d(inside, inside, 3, 1, 1), nn.Conv2d(inside, outside, 3, 1, 1)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H/2, W/2), or H, W."""
        hidden = self.first(F.leaky_relu(self.norms[0](x), SLOPE))
        hidden = self.second(F.leaky_relu(self.norms[1](self._halved(hidden)), SLOPE))
        found: Tensor = self._halved(self.skip(x)) + hidden
        return found / 2**0.5

    def _halved(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.down else x


class StyleNorm(nn.Module):
    """Instance norm whose scale and shift are linear in the style (AdaIN)."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.scale = nn.Linear(style, 2 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, width, H, W) and (N, style) -> the first shape."""
        scale, shift = self.scale(style)[:, :, None, None].chunk(2, dim=1)
        return (1 + scale) * F.instance_norm(x) + shift


class StyleBlock(nn.Module):
    """AdaIN - leaky ReLU - conv, twice, doubled before the first; plus its input, over the root of two."""

    def __init__(self, inside: int, outside: int, style: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.norms = nn.ModuleList([StyleNorm(inside, style), StyleNorm(outside, style)])
        self.first, self.second = nn.Conv2d(inside, outside, 3, 1, 1), nn.Conv2d(outside, outside, 3, 1, 1)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, inside, H, W) and (N, style) -> (N, outside, 2H, 2W), or H, W."""
        hidden = self.first(self._doubled(F.leaky_relu(self.norms[0](x, style), SLOPE)))
        hidden = self.second(F.leaky_relu(self.norms[1](hidden, style), SLOPE))
        found: Tensor = self.skip(self._doubled(x)) + hidden
        return found / 2**0.5

    def _doubled(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x


class LabelLinear(nn.Module):
    """A linear layer for every label, of which each row uses its own."""

    def __init__(self, labels: int, inside: int, outside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, outside, inside))
        self.bias = nn.Parameter(torch.zeros(labels, outside))
        for weight in self.weight:
            nn.init.kaiming_normal_(weight)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """(N, inside) and int (N,) -> (N, outside)."""
        return torch.baddbmm(self.bias[label][..., None], self.weight[label], x[..., None])[..., 0]


class StyleGenerator(nn.Module):
    """Image and style -> image, not bounded; as many halvings as leave a side of 16."""

    def __init__(self, size: int, hyper: StarGANv2Hyper) -> None:
        super().__init__()
        widths = _widths(size, 16, hyper)
        steps = list(pairwise(widths))
        last = widths[-1]
        self.entry = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.encode = nn.Sequential(
            *(DownBlock(i, o, normed=True, down=True) for i, o in steps),
            *(DownBlock(last, last, normed=True, down=False) for _ in range(2)),
        )
        self.decode = nn.ModuleList(
            [
                *(StyleBlock(last, last, hyper.style, up=False) for _ in range(2)),
                *(StyleBlock(o, i, hyper.style, up=True) for i, o in reversed(steps)),
            ]
        )
        self.norm, self.exit = norm(widths[0]), nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """(N, 3, S, S) and (N, style) -> (N, 3, S, S)."""
        x = self.encode(self.entry(image))
        for block in self.decode:
            x = block(x, style)
        found: Tensor = self.exit(F.leaky_relu(self.norm(x), SLOPE))
        return found


class Mapping(nn.Module):
    """Noise -> a style of a label."""

    def __init__(self, labels: int, hyper: StarGANv2Hyper) -> None:
        super().__init__()
        wide = hyper.hidden
        layers: list[nn.Module] = [nn.Linear(hyper.latent, wide), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Linear(wide, wide), nn.ReLU()]
        self.shared = nn.Sequential(*layers)
        self.heads = nn.ModuleList(LabelLinear(labels, wide, wide) for _ in range(3))
        self.last = LabelLinear(labels, wide, hyper.style)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(N, latent) and int (N,) -> (N, style)."""
        hidden = self.shared(noise)
        for head in self.heads:
            hidden = F.relu(head(hidden, label))
        found: Tensor = self.last(hidden, label)
        return found


class Reader(nn.Module):
    """Image -> one vector: halved down to a side of 4, then a convolution over all of it."""

    def __init__(self, size: int, hyper: StarGANv2Hyper) -> None:
        super().__init__()
        widths = _widths(size, 4, hyper)
        steps = pairwise(widths)
        self.width = widths[-1]
        self.body = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1),
            *(DownBlock(i, o, normed=False, down=True) for i, o in steps),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(self.width, self.width, 4),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, width)."""
        found: Tensor = self.body(image).flatten(1)
        return found


class StyleEncoder(nn.Module):
    """Image -> its style as one of a label."""

    def __init__(self, size: int, labels: int, hyper: StarGANv2Hyper) -> None:
        super().__init__()
        self.reader = Reader(size, hyper)
        self.last = LabelLinear(labels, self.reader.width, hyper.style)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """(N, 3, S, S) and int (N,) -> (N, style)."""
        found: Tensor = self.last(self.reader(image), label)
        return found


class LabelCritic(nn.Module):
    """Image -> whether it is a real image of a label: logits, one a label, of which one is looked at."""

    def __init__(self, size: int, labels: int, hyper: StarGANv2Hyper) -> None:
        super().__init__()
        self.reader = Reader(size, hyper)
        self.last = nn.Linear(self.reader.width, labels)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """(N, 3, S, S) and int (N,) -> (N,)."""
        found: Tensor = self.last(self.reader(image)).gather(1, label[:, None])[:, 0]
        return found


class StarGANv2(Method):
    """One generator driven by styles, which come from noise or from a reference; many outputs a label."""

    card: ClassVar[MethodCard] = MethodCard(
        id="starganv2",
        title="StarGAN v2",
        citation="Choi et al., CVPR 2020, arXiv 1912.01865: "
        "StarGAN v2: Diverse Image Synthesis for Multiple Domains",
        year=2020,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression"}),
        notes="a style is whatever differs within a label, identity included; read ECS beside FSS",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": StarGANv2Hyper(),
        "mean-style": StarGANv2Hyper(mean_style=True),
        "tiny": StarGANv2Hyper(
            base=1 << 9,
            cap=64,
            hidden=64,
            style=16,
            batch_size=4,
            learning_rate=1e-3,
            mapping_rate=1e-5,
            style_weight=0.3,
            diversity_weight=0.1,
            diversity_steps=250,
            cycle_weight=10.0,
            average=0.99,
            start_steps=600,
            style_scale=0.1,
            smoke_steps=850,
            native="32-color-bicubic-aa",
        ),
    }
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn expressions in it: faces are blurred, with specks, and hardly change"
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("average_generator.", "average_mapping.")
    hyper: StarGANv2Hyper

    def build(self) -> None:
        """Create the four networks, biases 0, and the averages of the two that synthesize.

        Raises:
            MethodError: the image's side is no power of two of at least 32.
        """
        size, labels, hyper = self.problem.size, len(self.problem.labels), self.hyper
        if size < 32 or size & (size - 1):
            raise MethodError(f"starganv2 needs a power of two of at least 32 as image size, not {size}")
        self.generator, self.mapping = StyleGenerator(size, hyper), Mapping(labels, hyper)
        self.encoder, self.critic = StyleEncoder(size, labels, hyper), LabelCritic(size, labels, hyper)
        self.apply(_he)
        for module in self.generator.modules():
            if isinstance(module, StyleNorm):
                with torch.no_grad():
                    module.scale.weight.mul_(hyper.style_scale)
        self.average_generator, self.average_mapping = Average(self.generator), Average(self.mapping)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """Every layer that each label has for itself."""
        mapping = [f"heads.{k}" for k in range(3)] + ["last"]
        layers = [f"{part}.{layer}" for part in ("mapping", "average_mapping") for layer in mapping]
        layers += ["encoder.last", "critic.last"]
        return {
            f"{layer}.{tensor}": ConditionAxis("labels", axis=0)
            for layer in layers
            for tensor in ("weight", "bias")
        }

    def phases(self) -> tuple[Phase, ...]:
        """One adversarial phase at a constant rate; references are two subjects with one label."""
        return (
            Phase(
                "adversarial",
                "driver-pair",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for each network; the mapping network's rate is a hundredth."""
        rates = {"generator": self.hyper.learning_rate, "encoder": self.hyper.learning_rate}
        rates |= {"critic": self.hyper.learning_rate, "mapping": self.hyper.mapping_rate}
        return {
            name: torch.optim.Adam(
                self.get_submodule(name).parameters(),
                rate,
                self.hyper.betas,
                weight_decay=self.hyper.weight_decay,
            )
            for name, rate in rates.items()
        }

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """Critic and generator on styles from noise, and both on styles of references.

        Mapping network and encoder learn from the former alone.
        """
        label = batch.target.label
        image, own = batch.target.image.roll(1, 0), label.roll(1, 0)
        noise = torch.randn(2, len(label), self.hyper.latent, device=label.device)
        first, second = batch.target.image, batch.source.image
        with torch.no_grad():
            styles = self.mapping(noise[0], label), self.encoder(first, label)
        if step < self.hyper.start_steps:
            return self._start(image, styles[0])
        losses = self._critic_step(image, own, label, styles[0])
        self._critic_step(image, own, label, styles[1])
        falling = max(0.0, 1 - (step - self.hyper.start_steps) / self.hyper.diversity_steps)
        with frozen(self.critic):
            from_noise = [self.mapping(some, label) for some in noise]
            loss, parts = self._generator_loss(image, own, label, from_noise, falling)
            self.descend("generator", loss, "mapping", "encoder")
            with frozen(self.encoder):
                shown = [self.encoder(some, label) for some in (first, second)]
                loss, _ = self._generator_loss(image, own, label, shown, falling)
                self.descend("generator", loss)
        self.average_generator.follow(self.generator, self.hyper.average)
        self.average_mapping.follow(self.mapping, self.hyper.average)
        return losses | parts

    def _start(self, image: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Towards initial weights that return a face whatever the style."""
        same = (self.generator(image, style) - image).abs().mean()
        self.descend("generator", same)
        self.average_generator.follow(self.generator, 0.0)
        return {"generator_start": same.detach()}

    def _critic_step(self, image: Tensor, own: Tensor, label: Tensor, style: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generator(image, style)
        real, penalty = squared_gradient(self.critic, image, own)
        made = self.critic(fake, label)
        right = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        wrong = F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
        self.descend("critic", right + wrong + self.hyper.penalty_weight * penalty)
        gap = real.sigmoid().mean() - made.sigmoid().mean()
        return {
            "critic_loss": (right + wrong).detach(),
            "critic_penalty": penalty.detach(),
            "probability_gap": gap.detach(),
        }

    def _generator_loss(
        self, image: Tensor, own: Tensor, label: Tensor, styles: list[Tensor], falling: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss on the first of two styles, from which the second's image is to differ."""
        fake = self.generator(image, styles[0])
        logits = self.critic(fake, label)
        realism = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        style = (self.encoder(fake, label) - styles[0]).abs().mean()
        with torch.no_grad():
            other = self.generator(image, styles[1])
        diversity = (fake - other).abs().mean()
        cycle = (self.generator(fake, self.encoder(image, own)) - image).abs().mean()
        loss = realism + self.hyper.style_weight * style + self.hyper.cycle_weight * cycle
        loss = loss - falling * self.hyper.diversity_weight * diversity
        return loss, {
            "generator_realism": realism.detach(),
            "generator_style": style.detach(),
            "generator_diversity": diversity.detach(),
            "generator_cycle": cycle.detach(),
        }

    def styles(self, requests: RequestBatch) -> Tensor:
        """The averaged mapping's styles of requests, (N, style): of each one's seed, or each label's mean."""
        label, latent = requests.target_label, self.hyper.latent
        if not self.hyper.mean_style:
            draws = [torch.randn(latent, generator=_generator(seed)) for seed in requests.noise_seed.tolist()]
            found: Tensor = self.average_mapping(self.mapping, torch.stack(draws).to(label.device), label)
            return found
        noise = torch.randn(MEAN_OF, latent, generator=_generator(0)).to(label.device)
        means = {
            one: self.average_mapping(self.mapping, noise, torch.full_like(noise[:, 0], one).long()).mean(0)
            for one in sorted(set(label.tolist()))
        }
        return torch.stack([means[one] for one in label.tolist()])

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images in a style of the target label."""
        found: Tensor = self.average_generator(self.generator, requests.source, self.styles(requests))
        return found.clamp(-1, 1)


def squared_gradient(critic: nn.Module, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """R1: a critic's logits of real images, (N,), and half the mean squared norm of their gradient.

    Computed in float32 under autocast too, for the square of a gradient has no range left in bfloat16.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.detach().float().requires_grad_(True)
        logits = critic(image, label)
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
        return logits, gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def _widths(size: int, least: int, hyper: StarGANv2Hyper) -> list[int]:
    """Channels at the image's size and after each halving down to a side."""
    halvings = size.bit_length() - least.bit_length()
    return [min(hyper.cap, (hyper.base // size) << level) for level in range(halvings + 1)]


def _he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
