"""LGP-GAN (TCSVT 2022): local networks for eyes and mouth, then a global one for the face.

Only abstract, keywords and a report on the paper could be read; sizes, weights and schedule are open there.
Built: StarGAN's networks and losses with GANimation's attention, whose map multiplies the input. Regions are
boxes around the input's landmarks, the mouth's 30 % longer downwards for a dropping jaw. Stage I adds the
change in a region to the face, through a feathered mask: no seam, and nothing moves outside of the boxes. A
cycle goes through both stages with the same boxes. The first tenth of training is the local networks' alone.

Presets ``no-eye``, ``no-mouth`` and ``no-local`` are the paper's argument as ablations: one region or none.
Preset ``tiny``, for a minute on two CPU cores: it works on 32 px, with width 16, batches of 8, two residual
blocks, critics with He weights as deep as the side allows, rate 1e-3, and a generator's step after every
second of the critics, for the few steps. The generators' class weight is 0.4 and the cycle's 2: a score of
slope 1 grows with the image's side and the other terms do not, and under a cycle of 10 the attention closes
at once (0.99 after fifty of the generators' steps), after which every label returns the source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, constant, decay_after
from fesbench.methods.state_import import ConditionAxis

from ._adam import adam
from ._blocks import LEAK, Critic, Depth, Residual, frozen, he_initialize, head, one_hot, trunk, with_planes
from ._losses import gradient_penalty, total_variation


@dataclass(frozen=True)
class LGPGANHyper:
    """What StarGAN and GANimation use, where nothing of the paper's own is known."""

    width: int = 64
    blocks: int = 6
    local_blocks: int = 4
    local_depth: int = 4
    regions: tuple[str, ...] = ("eye", "mouth")
    depth: Depth = "published"
    he: bool = False
    batch_size: int = 16
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    n_critic: int = 5
    class_weight: float = 1.0
    generator_class_weight: float = 1.0
    cycle_weight: float = 10.0
    penalty_weight: float = 10.0
    attention_weight: float = 0.1
    smooth_weight: float = 1e-5
    local_weight: float = 0.5
    local_steps: int = 20_000
    steps: int = 180_000
    native: str = ""
    local_smoke_steps: int = 100
    smoke_steps: int = 250


@dataclass(frozen=True)
class Region:
    """A box around some landmarks, and the size at which its network works; in 128ths of the image's side.

    Attributes:
        landmarks: the middle of their bounds is the middle of the box.
        height, width: of the box around that middle.
        below: what the box is longer downwards.
        rows, columns: of the image that the local network sees.
    """

    landmarks: tuple[int, ...]
    height: int
    width: int
    below: int
    rows: int
    columns: int

    def place(self, landmarks: Tensor, size: int) -> Tensor:
        """The boxes' middles and half sides, in units in which the image is [-1, 1]: (N, 2, 2), each x, y."""
        own = landmarks[:, list(self.landmarks)]
        middle = (own.amin(1) + own.amax(1) + 1) / size - 1
        middle = middle + middle.new_tensor([0.0, self.below / 128])
        half = middle.new_tensor([self.width / 128, (self.height + self.below) / 128])
        return torch.stack([middle, half.expand_as(middle)], dim=1)

    def cut(self, images: Tensor, place: Tensor) -> Tensor:
        """The boxes at the local network's size: (N, C, S, S) -> (N, C, rows, columns) of side S."""
        side = images.shape[-1]
        shape = [*images.shape[:2], self.rows * side // 128, self.columns * side // 128]
        grid = F.affine_grid(_affine(place[:, 0], place[:, 1]), shape, align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def paste(self, local: Tensor, place: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Local images and 1s where they lie in the face, both (N, C or 1, size, size), 0 outside of the box.

        The mask rises from the edges of the box as 1 - exp(-(d / 4)^2), d in 128ths of the side.
        """
        middle, half = place.unbind(1)
        grid = F.affine_grid(
            _affine(-middle / half, 1 / half), [*local.shape[:2], size, size], align_corners=False
        )
        inside = ((1 - grid.abs()) * half[:, None, None] * 64).clamp(min=0)
        mask = (1 - torch.exp(-(inside / 4).square())).prod(dim=-1)[:, None]
        return F.grid_sample(local, grid, padding_mode="border", align_corners=False) * mask, mask


REGIONS = {
    "eye": Region((*range(17, 27), *range(36, 48)), 32, 96, 0, 64, 128),
    "mouth": Region(tuple(range(48, 68)), 40, 64, 12, 64, 64),
}
"""Brows and eyes, and the mouth with room below."""


def _affine(shift: Tensor, scale: Tensor) -> Tensor:
    """Matrices (N, 2, 3) that scale and shift x and y."""
    return torch.cat([torch.diag_embed(scale), shift[..., None]], dim=2)


class AttentiveGenerator(nn.Module):
    """An image and planes -> colors, and an attention map that keeps the image where it is 1."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = trunk(channels, width, [Residual(4 * width) for _ in range(blocks)])
        self.color, self.attention = head(width, 3), head(width, 1)

    def forward(self, image: Tensor, planes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W), and what the network sees, (N, channels, H, W) -> blended image and attention."""
        hidden = self.body(planes)
        attention = torch.sigmoid(self.attention(hidden))
        return attention * image + (1 - attention) * torch.tanh(self.color(hidden)), attention


@dataclass(frozen=True)
class Made:
    """What a generator made of a region or of the face: the image that it saw, its own, its attention."""

    real: Tensor
    fake: Tensor
    attention: Tensor


class Cascade(nn.Module):
    """Stage I changes the regions, stage II makes the face from them."""

    def __init__(self, classes: int, hyper: LGPGANHyper) -> None:
        super().__init__()
        self.local = nn.ModuleDict(
            {name: AttentiveGenerator(3 + classes, hyper.width, hyper.local_blocks) for name in hyper.regions}
        )
        self.whole = AttentiveGenerator(6 + classes, hyper.width, hyper.blocks)

    def stage_one(self, image: Tensor, places: dict[str, Tensor], label: Tensor) -> dict[str, Made]:
        """Cut the regions and give them the expression, (N, K)."""
        found = {}
        for name, generator in self.local.items():
            real = REGIONS[name].cut(image, places[name])
            found[name] = Made(real, *generator(real, with_planes(real, label)))
        return found

    def pasted(self, image: Tensor, places: dict[str, Tensor], made: dict[str, Made]) -> Tensor:
        """The face with the regions' changes."""
        for name, region in made.items():
            change, _ = REGIONS[name].paste(region.fake - region.real, places[name], image.shape[-1])
            image = image + change
        return image

    def forward(self, image: Tensor, places: dict[str, Tensor], label: Tensor) -> dict[str, Made]:
        """(N, 3, S, S), the regions' places and (N, K) -> what was made of each region and of the "whole"."""
        made = self.stage_one(image, places, label)
        local = self.pasted(image, places, made)
        seen = with_planes(torch.cat([image, local], dim=1), label)
        return {**made, "whole": Made(image, *self.whole(image, seen))}


class LocalCritic(nn.Module):
    """StarGAN's critic for a region: fewer layers, and a class head over the map that remains."""

    def __init__(self, rows: int, columns: int, width: int, classes: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for level in range(depth):
            layers += [nn.Conv2d(channels, width << level, 4, 2, 1), nn.LeakyReLU(LEAK, inplace=True)]
            channels = width << level
        self.body = nn.Sequential(*layers)
        self.realism = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.condition = nn.Conv2d(channels, classes, (rows >> depth, columns >> depth), bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, rows, columns) -> realism (N, 1, h, w) and class logits (N, classes)."""
        hidden = self.body(image)
        return self.realism(hidden), self.condition(hidden).flatten(1)


class LGPGAN(Method):
    """Eyes and mouth by networks of their own, then the whole face; each with a critic that classifies."""

    card: ClassVar[MethodCard] = MethodCard(
        id="lgpgan",
        title="LGP-GAN",
        citation="Xia et al., IEEE TCSVT 32(3), 2022, doi 10.1109/TCSVT.2021.3074032: "
        "Local and Global Perception Generative Adversarial Network for Facial Expression Synthesis",
        year=2022,
        needs=frozenset({"labels", "landmarks"}),
        controls=frozenset({"expression"}),
        notes="regions around the source's landmarks; built from abstract and a report",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": LGPGANHyper(),
        "no-eye": LGPGANHyper(regions=("mouth",)),
        "no-mouth": LGPGANHyper(regions=("eye",)),
        "no-local": LGPGANHyper(regions=()),
        "tiny": LGPGANHyper(
            width=16,
            blocks=2,
            local_blocks=2,
            local_depth=3,
            depth="side",
            he=True,
            batch_size=8,
            learning_rate=1e-3,
            n_critic=2,
            generator_class_weight=0.4,
            cycle_weight=2.0,
            native="32-color-bicubic-aa",
            smoke_steps=900,
        ),
    }
    preset_notes: ClassVar[dict[str, str]] = {
        "no-eye": "ablation: no network for the eyes",
        "no-mouth": "ablation: no network for the mouth",
        "no-local": "ablation: the global network alone",
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.",)
    hyper: LGPGANHyper

    def build(self) -> None:
        """Create generators and critics; framework's default initial weights, as in StarGAN's code."""
        self.classes, hyper, size = len(self.problem.labels), self.hyper, self.problem.size
        self.generator = Cascade(self.classes, hyper)
        critics: dict[str, nn.Module] = {}
        for name in hyper.regions:
            rows, columns = REGIONS[name].rows * size // 128, REGIONS[name].columns * size // 128
            critics[name] = LocalCritic(rows, columns, hyper.width, self.classes, hyper.local_depth)
        critics["whole"] = Critic(size, hyper.width, self.classes, depth=hyper.depth)
        self.critic = nn.ModuleDict(critics)
        if hyper.he:
            self.critic.apply(he_initialize)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The label planes behind the images, and the critics' classes."""
        axes = {f"generator.local.{name}.body.0.weight": 3 for name in self.hyper.regions}
        return {
            name: ConditionAxis("labels", axis=1, start=start)
            for name, start in {**axes, "generator.whole.body.0.weight": 6}.items()
        } | {f"critic.{name}.condition.weight": ConditionAxis("labels", axis=0) for name in self.critic}

    def phases(self) -> tuple[Phase, ...]:
        """The local networks alone, then all; the rate falls over the second half of both together."""
        hyper, both = self.hyper, self.hyper.local_steps + self.hyper.steps
        local = Phase(
            "local",
            "image",
            hyper.batch_size,
            paper_steps=hyper.local_steps,
            smoke_steps=hyper.local_smoke_steps,
            calls_per_update=hyper.n_critic,
            learning_rate=constant,
        )
        steps = hyper.steps if hyper.regions else both
        joint = replace(
            local,
            name="joint",
            paper_steps=steps,
            smoke_steps=hyper.smoke_steps,
            learning_rate=decay_after(1 - both / 2 / steps),
        )
        return (local, joint) if hyper.regions else (joint,)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for the generators and for the critics that the phase trains."""
        local = phase.name == "local"
        return adam(
            self.hyper.learning_rate,
            self.hyper.betas,
            generator=self.generator.local if local else self.generator,
            critic=[net for name, net in self.critic.items() if not (local and name == "whole")],
        )

    def training_step(self, phase: Phase, batch: ImageBatch, step: int) -> dict[str, Tensor]:
        """One step of the critics, and after every ``n_critic``-th of them one of the generators.

        Target labels are the batch's own in a random order.
        """
        make = self.generator.stage_one if phase.name == "local" else self.generator
        places = self._places(batch.landmarks)
        target = batch.label[torch.randperm(len(batch), device=batch.label.device)]
        wanted = one_hot(target, self.classes)
        with torch.no_grad():
            made = make(batch.image, places, wanted)
        losses = self._critic_step(made, batch.label)
        if (step + 1) % self.hyper.n_critic == 0:
            losses |= self._generator_step(make, batch, places, target)
        return losses

    def _critic_step(self, made: dict[str, Made], label: Tensor) -> dict[str, Tensor]:
        total = torch.zeros((), device=label.device)
        losses: dict[str, Tensor] = {}
        for name, region in made.items():
            critic = self.critic[name]
            real_score, logits = critic(region.real)
            gap = real_score.mean() - critic(region.fake)[0].mean()
            classes = F.cross_entropy(logits, label)
            penalty = gradient_penalty(partial(_realism, critic), region.real, region.fake)
            total = total - gap + self.hyper.class_weight * classes + self.hyper.penalty_weight * penalty
            losses |= {f"{name}_gap": gap.detach(), f"{name}_class": classes.detach()}
            losses["critic_gap"] = gap.detach()
        self.descend("critic", total)
        return losses

    def _generator_step(
        self, make: Any, batch: ImageBatch, places: dict[str, Tensor], target: Tensor
    ) -> dict[str, Tensor]:
        """The local networks are also led by the face that is made from what they make."""
        hyper = self.hyper
        losses: dict[str, Tensor] = {}
        own, wanted = one_hot(batch.label, self.classes), one_hot(target, self.classes)
        total = torch.zeros((), device=target.device)
        with frozen(self.critic):
            made = make(batch.image, places, wanted)
            back = self._back(made, places, own)
            for name, region in made.items():
                score, logits = self.critic[name](region.fake)
                classes = F.cross_entropy(logits, target)
                cycle = (region.real - back[name].fake).abs().mean()
                maps = torch.cat([region.attention, back[name].attention])
                loss = -score.mean() + hyper.generator_class_weight * classes + hyper.cycle_weight * cycle
                loss = loss + hyper.attention_weight * maps.mean() * 2
                loss = loss + hyper.smooth_weight * total_variation(maps)
                total = total + (1.0 if name == "whole" else hyper.local_weight) * loss
                losses |= {
                    f"{name}_made_class": classes.detach(),
                    f"{name}_cycle": cycle.detach(),
                    f"{name}_attention": region.attention.mean().detach(),
                }
            self.descend("generator", total)
        return losses

    def _back(self, made: dict[str, Made], places: dict[str, Tensor], own: Tensor) -> dict[str, Made]:
        """Every made region by its own network, and the made face by both stages, back to the own label."""
        back = {}
        for name, generator in self.generator.local.items():
            fake = made[name].fake
            back[name] = Made(fake, *generator(fake, with_planes(fake, own)))
        if "whole" in made:
            back["whole"] = self.generator(made["whole"].fake, places, own)["whole"]
        return back

    def _places(self, landmarks: Tensor) -> dict[str, Tensor]:
        """Where the regions lie.

        Raises:
            MethodError: a landmark is not known.
        """
        if not bool(torch.isfinite(landmarks).all()):
            raise MethodError("lgpgan was given a face whose landmarks are not known")
        return {name: REGIONS[name].place(landmarks, self.problem.size) for name in self.hyper.regions}

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """The global critic's class head."""
        logits: Tensor = self.critic["whole"](images)[1]
        return logits

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images with the target label."""
        wanted = one_hot(requests.target_label, self.classes)
        made = self.generator(requests.source, self._places(requests.source_landmarks), wanted)
        found: Tensor = made["whole"].fake
        return found.clamp(-1, 1)


def _realism(critic: nn.Module, image: Tensor) -> Tensor:
    score: Tensor = critic(image)[0]
    return score
