"""DAI2I (CVPR 2020). Choices: StarGAN is trained first and then frozen; a style of 256 numbers comes from the
face that is asked for, of whatever domain, since a request does not say its domain; the norms of the
adversarial loss are neither squared nor averaged, as released, so that its weight grows with the batch;
VGG-19 sees images standardized as it was trained on, and a level's features are standardized by the
statistics of a face and its changed face together, apart for either domain; the idle second critic (44.7
million parameters) is left out; augmentation warps aligned faces by the released factors, as shares of the
released crops.

Preset ``paper-noperc`` leaves out VGG-19, and with it the content and the analogy loss. The adapter that
takes faces back then learns from neutral ones alone: nothing asks it to keep an expression. Preset ``tiny``
leaves it out too, and works on 32 px: for minutes on two CPU cores it has widths 24 (StarGAN, but for
its steps as its own ``tiny``), 32 (adapters) and 16 (critic), batches of 6, and He initial weights in
the style encoder, whose style else hardly depends on the face. The adapters' initial weights are those of a
phase of its own, to return a face of the unlabelled domain in its own style (L1; 800 steps, under ``smoke``
400), for the reasons of StarGAN's ``tiny``; their rate then is 3e-4, the start's and the critics' 1e-3. The
neutral face that should come back weighs 100, not 10: realism's norms, not averaged, else push ten times
harder, and so few steps end in smears of the face's tone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from fesbench.errors import MethodError
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, decay_after
from fesbench.methods.state_import import ConditionAxis, Release

from ._adam import adam
from ._augment import color_jitter, warp
from ._blocks import LEAK, frozen, he_initialize, one_hot
from ._vgg import VGG19Levels
from .stargan import StarGAN, StarGANHyper


@dataclass(frozen=True)
class DAI2IHyper(StarGANHyper):
    """StarGAN's values, and those of the released adaptation."""

    adapter_width: int = 128
    style_width: int = 16
    style: int = 256
    domain_width: int = 64
    classifier_width: int = 8
    encoder_he: bool = False
    adapter_batch: int = 24
    adapter_rate: float = 1e-4
    domain_rate: float | None = None
    expression_weight: float = 10.0
    neutral_weight: float = 10.0
    content_weight: float = 1.0
    analogy_weight: float = 10.0
    perceptual: bool = True
    epochs: float = 600
    adapter_start_steps: int = 0
    adapter_smoke_steps: int = 200


class StyledNorm(nn.Module):
    """Instance norm with scale and shift out of a style; at first those of no style."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style, 2 * width)
        with torch.no_grad():
            self.affine.bias[:width], self.affine.bias[width:] = 1.0, 0.0

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, width, H, W) and (N, style) -> (N, width, H, W)."""
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return F.instance_norm(x) * scale + shift


class StyledLayer(nn.Module):
    """A layer, its styled norm and, where asked for, a leaky rectifier."""

    def __init__(self, layer: nn.Module, width: int, style: int, *, rectify: bool = True) -> None:
        super().__init__()
        self.layer, self.norm, self.rectify = layer, StyledNorm(width, style), rectify

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Maps and (N, style) -> maps."""
        found: Tensor = self.norm(self.layer(x), style)
        return F.leaky_relu(found, LEAK) if self.rectify else found


class StyledResidual(nn.Module):
    """Two styled 3x3 layers, a rectifier between them, plus the input."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        layers = (nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2))
        self.first, self.second = (
            StyledLayer(layer, width, style, rectify=k == 0) for k, layer in enumerate(layers)
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, width, H, W) and (N, style) -> (N, width, H, W)."""
        return torch.add(x, self.second(self.first(x, style), style))


class Adapter(nn.Module):
    """From one domain to the other, in the style of a face of the unlabelled domain."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        wide = 2 * width
        self.body = nn.ModuleList(
            [
                StyledLayer(nn.Conv2d(3, width, 7, 1, 3), width, style),
                StyledLayer(nn.Conv2d(width, wide, 4, 2, 1), wide, style),
                *(StyledResidual(wide, style) for _ in range(4)),
                StyledLayer(nn.ConvTranspose2d(wide, width, 4, 2, 1), width, style),
            ]
        )
        self.last = nn.Conv2d(width, 3, 7, 1, 3)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] and (N, style) -> (N, 3, H, W) in [-1, 1]."""
        for layer in self.body:
            image = layer(image, style)
        return torch.tanh(self.last(image))


class StyleEncoder(nn.Sequential):
    """(N, 3, H, W) -> (N, style)."""

    def __init__(self, width: int, style: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 7, 1, 3), nn.LeakyReLU(LEAK)]
        for level in range(4):
            layers += [nn.Conv2d(width << level, width << level + 1, 4, 2, 1), nn.LeakyReLU(LEAK)]
        last = nn.Linear(width << 4, style)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


class DomainCritic(nn.Module):
    """Strided layers of spectral norm down to 2x2; a map from each of the last three, and one number."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        depth = size.bit_length() - 2
        widths = [3, *(width << level for level in range(depth))]
        self.body = nn.ModuleList(spectral_norm(nn.Conv2d(i, o, 4, 2, 1)) for i, o in pairwise(widths))
        self.maps = nn.ModuleList(spectral_norm(nn.Conv2d(w, 1, 1)) for w in widths[-3:])
        self.whole = nn.Conv2d(widths[-1], 1, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, S, S) -> maps of sides 8, 4 and 2, and (N, 1, 1, 1)."""
        kept = []
        for layer in self.body:
            image = F.leaky_relu(layer(image), LEAK)
            kept.append(image)
        return [*(layer(x) for layer, x in zip(self.maps, kept[-3:], strict=True)), self.whole(image)]


class ExpressionClassifier(nn.Sequential):
    """Strided layers down to 1x1, then two linear ones: (N, 3, S, S) -> (N, classes)."""

    def __init__(self, size: int, width: int, classes: int) -> None:
        depth = size.bit_length() - 1
        widths = [3, *(min(width << level, 64 * width) for level in range(depth))]
        layers: list[nn.Module] = []
        for level, (i, o) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(i, o, 4, 2, 1))
            layers += [nn.BatchNorm2d(o), nn.ReLU(inplace=True)] if level else []
        hidden = 8 * width
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(widths[-1], hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )


class DAI2I(StarGAN):
    """A frozen StarGAN between two adapters, into its domain and back to that of the face."""

    card: ClassVar[MethodCard] = MethodCard(
        id="dai2i",
        title="DAI2I",
        citation="Chen, Xu, Jia, CVPR 2020: Domain Adaptive Image-to-image Translation",
        year=2020,
        needs=frozenset({"labels", "neutral", "unlabelled"}),
        controls=frozenset({"expression", "compound"}),
        helpers=("vgg19",),
        notes="StarGAN with adapters to an unlabelled domain; compound: both labels' planes set, untrained",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": DAI2IHyper(),
        "paper-noperc": DAI2IHyper(perceptual=False),
        "tiny": DAI2IHyper(
            perceptual=False,
            native="32-color-bicubic-aa",
            width=24,
            blocks=2,
            batch_size=8,
            learning_rate=3e-4,
            critic_rate=1e-3,
            start_steps=8000,
            generator_class_weight=0.2,
            cycle_weight=20.0,
            critic_depth="side",
            critic_he=True,
            smoke_steps=800,
            adapter_width=32,
            encoder_he=True,
            domain_width=16,
            adapter_batch=6,
            adapter_rate=3e-4,
            domain_rate=1e-3,
            adapter_start_steps=800,
            neutral_weight=100.0,
            adapter_smoke_steps=150,
        ),
    }
    budget_notes: ClassVar[dict[str, str]] = {
        "smoke": "known not to learn faces in it: its adapters return smears of the face's tone"
    }
    preset_notes: ClassVar[dict[str, str]] = dict.fromkeys(
        ("paper-noperc", "tiny"),
        "without weights vgg19 and all that needs them: nothing trains the way back of expressive faces",
    )
    synthesis_state: ClassVar[tuple[str, ...]] = ("generator.", "into.", "back.", "encoder.")
    release: ClassVar[Release | None] = None
    hyper: DAI2IHyper

    @classmethod
    def helpers_of(cls, hyper: Any) -> tuple[str, ...]:
        """VGG-19, where a loss needs it."""
        return cls.card.helpers if hyper.perceptual else ()

    def build_helper(self, name: str) -> nn.Module:
        """VGG-19 as far as its levels are compared."""
        return VGG19Levels()

    def build(self) -> None:
        """Create StarGAN, both adapters with their style encoder, the domain's critic and a classifier.

        Raises:
            MethodError: a side of the images that is no power of two of at least 32; the classifier ends at
                one pixel.
        """
        super().build()
        hyper, size = self.hyper, self.problem.size
        if size < 32 or size & (size - 1):
            raise MethodError(f"DAI2I needs a power of two of at least 32 as image size, not {size}")
        self.into = Adapter(hyper.adapter_width, hyper.style)
        self.back = Adapter(hyper.adapter_width, hyper.style)
        self.encoder = StyleEncoder(hyper.style_width, hyper.style)
        if hyper.encoder_he:
            self.encoder.apply(he_initialize)
        self.domain_critic = DomainCritic(size, hyper.domain_width)
        self.classifier = ExpressionClassifier(size, hyper.classifier_width, self.classes)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """StarGAN's, and the classifier's classes."""
        last = f"classifier.{len(self.classifier) - 1}"
        return {
            **super().condition_axes(),
            f"{last}.weight": ConditionAxis("labels", axis=0),
            f"{last}.bias": ConditionAxis("labels", axis=0),
        }

    def phases(self) -> tuple[Phase, ...]:
        """StarGAN's training; then the adapters', on neutral and on unlabelled faces, at a constant rate.

        Before them what a preset's initial weights need.
        """
        steps = self.hyper.adapter_start_steps
        start = Phase(
            "adapter-start",
            "cross-domain",
            self.hyper.adapter_batch,
            paper_steps=steps,
            smoke_steps=steps // 2,
            source_labels=("neutral",),
            learning_rate=decay_after(0.5),
            probed=False,
        )
        adaptation = Phase(
            "adaptation",
            "cross-domain",
            self.hyper.adapter_batch,
            paper_epochs=self.hyper.epochs,
            smoke_steps=self.hyper.adapter_smoke_steps,
            source_labels=("neutral",),
        )
        return (*super().phases(), *((start,) if steps else ()), adaptation)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """StarGAN's; or Adam for the adapters with their encoder, for the critic, and for the classifier.

        In the start the adapters have the critic's rate.
        """
        if phase.name not in {"adapter-start", "adaptation"}:
            return super().optimizers(phase)
        rate, betas = self.hyper.adapter_rate, self.hyper.betas
        fast = self.hyper.domain_rate or rate
        adapters = [self.into, self.back, self.encoder]
        if phase.name == "adapter-start":
            return adam(fast, betas, adapters=adapters)
        judges = adam(fast, betas, domain_critic=self.domain_critic, classifier=self.classifier)
        return adam(rate, betas, adapters=adapters) | judges

    def training_step(self, phase: Phase, batch: Any, step: int) -> dict[str, Tensor]:
        """StarGAN's; the adapters' start; or one step each of the critic, the classifier and the adapters."""
        if phase.name == "adapter-start":
            return self._adapter_start(batch)
        if phase.name != "adaptation":
            return super().training_step(phase, batch, step)
        with frozen(self.generator):
            return self._adapt(batch)

    def _adapter_start(self, batch: PairBatch) -> dict[str, Tensor]:
        """Towards initial weights of the adapters that return a face in its own style."""
        face = _view(batch.target.image)
        style = self.encoder(face)
        same = torch.stack([(part(face, style) - face).abs().mean() for part in (self.into, self.back)]).sum()
        self.descend("adapters", same)
        return {"adapter_start": same.detach()}

    def _adapt(self, batch: PairBatch) -> dict[str, Tensor]:
        known = warp(batch.source.image, scale=(0.6, 1.2), degrees=10, shift=50 / 512)
        face = _view(batch.target.image)
        wanted = torch.randint(self.classes, (len(batch),)).to(face.device)
        style = self.encoder(face)
        adapted = self.into(face, style)
        losses = self._critics_step(known, adapted.detach(), wanted)
        changed = self.generator(adapted, one_hot(wanted, self.classes))
        neutral = one_hot(torch.full_like(wanted, self.problem.neutral), self.classes)
        same = self.back(self.generator(adapted, neutral), style)
        with frozen(self.domain_critic), frozen(self.classifier):
            realism = sum_of_norms(self.domain_critic(adapted), 0.0)
            expression = F.cross_entropy(self.classifier(changed), wanted)
            kept = (same - face).abs().mean()
            loss = realism + self.hyper.expression_weight * expression + self.hyper.neutral_weight * kept
            found = {"adapter_realism": realism, "adapter_expression": expression, "adapter_neutral": kept}
            if self.hyper.perceptual:
                made = self.back(changed, style)
                content, analogy = self._perceptual(face, same, made, adapted, changed)
                loss = loss + self.hyper.content_weight * content + self.hyper.analogy_weight * analogy
                found |= {"adapter_content": content, "adapter_analogy": analogy}
            self.descend("adapters", loss)
        return losses | {name: value.detach() for name, value in found.items()}

    def _critics_step(self, known: Tensor, adapted: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """The domain's critic calls real faces 0, adapted ones 1; the classifier learns StarGAN's faces."""
        real, made = self.domain_critic(known), self.domain_critic(adapted)
        critic = sum_of_norms(made, 1.0) + sum_of_norms(real, 0.0)
        self.descend("domain_critic", critic)
        with torch.no_grad():
            shown = self.generator(known, one_hot(wanted, self.classes))
        classes = F.cross_entropy(self.classifier(shown), wanted)
        self.descend("classifier", classes)
        gap = made[-1].mean() - real[-1].mean()
        return {
            "domain_critic": critic.detach(),
            "classifier": classes.detach(),
            "critic_gap": gap.detach(),
        }

    def _perceptual(
        self, face: Tensor, same: Tensor, made: Tensor, adapted: Tensor, changed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Distance of the face that should not change, and of the changes in the two domains."""
        features = [self.helper("vgg19")(x) for x in (face, same, made, adapted, changed)]
        content = F.mse_loss(features[1][0], features[0][0])
        levels = zip(*(features[k] for k in (0, 2, 3, 4)), strict=True)
        return content, torch.stack([analogy(*level) for level in levels]).sum()

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Each face taken to StarGAN's domain, changed there, and taken back in its own style."""
        style = self.encoder(requests.source)
        wanted = one_hot(requests.target_label, self.classes, requests.second_label)
        changed = self.generator(self.into(requests.source, style), wanted)
        found: Tensor = self.back(changed, style)
        return found.clamp(-1, 1)


def _view(images: Tensor) -> Tensor:
    """Faces of the unlabelled domain as the release augments them."""
    moved = warp(images, scale=(0.8, 1.2), degrees=10, shift=10 / 160)
    return color_jitter(moved, brightness=0.5, contrast=0.5, hue=0.2)


def sum_of_norms(outputs: list[Tensor], wanted: float) -> Tensor:
    """Sum over a critic's outputs of the Euclidean norm of their distance to a value, over a whole batch."""
    return torch.stack([(output - wanted).norm() for output in outputs]).sum()


def analogy(face: Tensor, made: Tensor, adapted: Tensor, changed: Tensor) -> Tensor:
    """Mean difference between the change in one domain (face to made) and in the other (adapted to changed).

    Args:
        face, made, adapted, changed: (N, C, H, W) features; each domain's two are standardized together, by
            channel.
    """

    def change(first: Tensor, second: Tensor) -> Tensor:
        both = torch.cat([first, second])
        spread = both.std(dim=(0, 2, 3), keepdim=True, unbiased=False)
        return (second - first) / (spread + 1e-5)

    return (change(face, made) - change(adapted, changed)).abs().mean()
