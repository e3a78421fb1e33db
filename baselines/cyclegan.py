"""CycleGAN (ICCV 2017). Choices: the authors' PyTorch code (instance norm without scale and shift, critics
padded by 1, both generators moved before both critics, the identity loss on); one pair of generators for
neutral and each other expression, trained one after the other; a face that is known not to be neutral is
first made neutral by its own expression's pair, one of unknown expression is taken as neutral.

Preset ``tiny``, for a minute on two CPU cores: images of 32 px, width 16, three residual blocks, batches of 2
and rate 1e-3 for the few steps; an expression's networks begin with the weights of the expression before it,
since a seventh of a minute is too short to learn from nothing what a face is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import Release, renamed

from ._adam import adam
from ._augment import random_window
from ._blocks import check_side, frozen, initialize


@dataclass(frozen=True)
class CycleGANHyper:
    """The code's values; the blocks of the paper are 6 at 128 px and 9 from 256 px on."""

    width: int = 64
    blocks: int | Literal["size"] = "size"
    batch_size: int = 1
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    pool: int = 50
    jitter: float = 143 / 128
    chained: bool = False
    epochs: float = 200
    native: str = ""
    smoke_steps: int = 500


def _layer(layer: nn.Module, width: int, *, pad: int = 0) -> list[nn.Module]:
    """A reflected border where asked for, the layer, instance norm and ReLU."""
    border: list[nn.Module] = [nn.ReflectionPad2d(pad)] if pad else []
    return [*border, layer, nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [
            *_layer(nn.Conv2d(width, width, 3), width, pad=1),
            *_layer(nn.Conv2d(width, width, 3), width, pad=1)[:-1],
        ]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x))


class CycleGenerator(nn.Sequential):
    """(N, 3, H, W) -> (N, 3, H, W), both in [-1, 1]."""

    def __init__(self, width: int, blocks: int) -> None:
        wide = 4 * width
        super().__init__(
            *_layer(nn.Conv2d(3, width, 7), width, pad=3),
            *_layer(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width),
            *_layer(nn.Conv2d(2 * width, wide, 3, 2, 1), wide),
            *(_Residual(wide) for _ in range(blocks)),
            *_layer(nn.ConvTranspose2d(wide, 2 * width, 3, 2, 1, output_padding=1), 2 * width),
            *_layer(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1), width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )


class CycleCritic(nn.Sequential):
    """The unconditional 70x70 PatchGAN: (N, 3, S, S) -> (N, 1, S/8 - 2, S/8 - 2)."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level, stride in ((1, 2), (2, 2), (3, 1)):
            layers += [
                nn.Conv2d(width << level - 1, width << level, 4, stride, 1),
                nn.InstanceNorm2d(width << level),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        super().__init__(*layers, nn.Conv2d(width << 3, 1, 4, 1, 1))


class Translation(nn.Module):
    """Neutral to one expression and back, with a critic of the faces of either end."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.there, self.back = CycleGenerator(width, blocks), CycleGenerator(width, blocks)
        self.shown, self.neutral = CycleCritic(width), CycleCritic(width)

    @property
    def generators(self) -> nn.ModuleList:
        """Both of them."""
        return nn.ModuleList([self.there, self.back])

    @property
    def critics(self) -> nn.ModuleList:
        """Both of them."""
        return nn.ModuleList([self.shown, self.neutral])


class CycleGAN(Method):
    """Two sets of faces, no pairs: there and back again must give the same face."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cyclegan",
        title="CycleGAN",
        citation="Zhu et al., ICCV 2017, arXiv 1703.10593: "
        "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
        year=2017,
        needs=frozenset({"labels", "neutral"}),
        controls=frozenset({"expression"}),
        notes="one pair of generators and critics for each expression; parameters are their sum",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CycleGANHyper(),
        "tiny": CycleGANHyper(
            native="32-color-bicubic-aa",
            width=16,
            blocks=3,
            batch_size=2,
            learning_rate=1e-3,
            chained=True,
            smoke_steps=130,
        ),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("translations.*.there.", "translations.*.back.")
    release: ClassVar[Release | None] = Release("a folder LABEL/*_net_G_[AB].pth, A from neutral", size=256)
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn expressions in it: faces are soft and change little with the label"
    }
    hyper: CycleGANHyper

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' generators, two a label, named ``LABEL.A.`` (from neutral) and ``LABEL.B.``."""
        names = {}
        for theirs, ours in (("A", "there"), ("B", "back")):
            names[rf"(\w+)\.{theirs}\.model\.(\d+)\.conv_block\.(\d+)"] = (
                rf"translations.\1.{ours}.\2.body.\3"
            )
            names[rf"(\w+)\.{theirs}\.model\.(\d+)"] = rf"translations.\1.{ours}.\2"
        return renamed(tensors, names)

    def build(self) -> None:
        """Create a translation for each expression, with the code's initial weights.

        Raises:
            MethodError: a side of the image that is no multiple of 4, or below 32.
        """
        hyper, size = self.hyper, self.problem.size
        check_side("CycleGAN", size, 4)
        if size < 32:
            raise MethodError(f"CycleGAN's critic needs an image size of at least 32, not {size}")
        blocks = (9 if size >= 256 else 6) if hyper.blocks == "size" else hyper.blocks
        self.labels = [name for name in self.problem.labels if name != "neutral"]
        self.translations = nn.ModuleDict({name: Translation(hyper.width, blocks) for name in self.labels})
        self.apply(initialize)
        self._empty_pools()

    def _empty_pools(self) -> None:
        """Past faces that were made with the expression, and neutral ones."""
        size = self.problem.size
        self.pools = {end: torch.empty(0, 3, size, size) for end in ("shown", "neutral")}

    def phases(self) -> tuple[Phase, ...]:
        """One an expression: neutral faces and faces that show it, unpaired."""
        return tuple(
            Phase(
                name,
                "unpaired",
                self.hyper.batch_size,
                paper_epochs=self.hyper.epochs,
                smoke_steps=self.hyper.smoke_steps,
                learning_rate=decay_after(0.5),
                labels=(name,),
                source_labels=("neutral",),
            )
            for name in self.labels
        )

    def _translation(self, name: str) -> Translation:
        found = self.translations[name]
        assert isinstance(found, Translation)
        return found

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """Adam for both generators, and for both critics, of the expression."""
        pair = self._translation(phase.name)
        return adam(
            self.hyper.learning_rate, self.hyper.betas, generators=pair.generators, critics=pair.critics
        )

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step of both generators, then one of both critics on faces out of the pools."""
        if step == 0:
            self._empty_pools()
            self._follow(phase.name)
        pair, hyper = self._translation(phase.name), self.hyper
        x, _ = random_window(batch.source.image, hyper.jitter)
        y, _ = random_window(batch.target.image, hyper.jitter)
        with frozen(pair.critics):
            made_y, made_x = pair.there(x), pair.back(y)
            realism = _distance(pair.shown(made_y), 1.0) + _distance(pair.neutral(made_x), 1.0)
            cycle = (pair.back(made_y) - x).abs().mean() + (pair.there(made_x) - y).abs().mean()
            identity = (pair.there(y) - y).abs().mean() + (pair.back(x) - x).abs().mean()
            loss = realism + hyper.cycle_weight * cycle + hyper.identity_weight * identity
            self.descend("generators", loss)
        real_y, real_x = pair.shown(y), pair.neutral(x)
        fake_y = pair.shown(self._pooled("shown", made_y.detach()))
        fake_x = pair.neutral(self._pooled("neutral", made_x.detach()))
        wrong = _distance(fake_y, 0.0) + _distance(fake_x, 0.0)
        critics = (_distance(real_y, 1.0) + _distance(real_x, 1.0) + wrong) / 2
        self.descend("critics", critics)
        gap = (real_y.mean() - fake_y.mean() + real_x.mean() - fake_x.mean()) / 2
        return {
            "critic_loss": critics.detach(),
            "critic_gap": gap.detach(),
            "generator_realism": realism.detach(),
            "generator_cycle": cycle.detach() / 2,
            "generator_identity": identity.detach() / 2,
            "change": (made_y.detach() - x).abs().mean(),
        }

    def _follow(self, name: str) -> None:
        """Begin with the weights of the expression that was trained before, where that is chosen."""
        place = self.labels.index(name)
        if self.hyper.chained and place:
            before = self._translation(self.labels[place - 1])
            self._translation(name).load_state_dict(before.state_dict())

    def _pooled(self, end: str, made: Tensor) -> Tensor:
        """New faces while the pool fills; then with probability 1/2 an old one, whose place it takes."""
        pool = self.pools[end].to(made)
        given = []
        for face in made:
            if len(pool) < self.hyper.pool:
                pool = torch.cat([pool, face[None]])
                given.append(face)
                continue
            place, swap = int(torch.randint(len(pool), (1,))), bool(torch.rand(1) < 0.5)
            if swap:
                old, pool[place] = pool[place].clone(), face
            given.append(old if swap else face)
        self.pools[end] = pool
        return torch.stack(given)

    def extra_state(self) -> dict[str, Any]:
        """The pools."""
        return dict(self.pools)

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take the pools back."""
        self.pools = dict(state)

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Faces through the generators of their own expression, then of the asked one."""
        made = requests.source.clone()
        for back, labels in ((True, requests.source_label), (False, requests.target_label)):
            for name in self.labels:
                rows = labels == self.problem.labels.index(name)
                pair = self._translation(name)
                if bool(rows.any()):
                    made[rows] = (pair.back if back else pair.there)(made[rows])
        return made


def _distance(scores: Tensor, wanted: float) -> Tensor:
    """Mean squared distance of a critic's scores to a value."""
    return (scores - wanted).square().mean()
