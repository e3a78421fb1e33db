"""Conditional diffusion, a baseline of this suite's own and no published method: the plainest pixel-space
diffusion editor, trained from scratch. From published parts: the U-Net of guided-diffusion, the source as
further input channels as in Palette, two guidances as in InstructPix2Pix, intensity between label
embeddings as in PixelSmile.

Choices: v-prediction on the cosine schedule; DDIM steps at equal distances from the noisiest time down,
whose last answer is the image; one training pair in ten is an image and itself (not every set has two
images of a label), the others are any two images of one subject, since not every set says which share a
pose and a session.

Preset ``unguided`` is guidance 1 (one pass a step in place of two), ``flow`` a straight path from image to
noise, at the same 1000 times, with 20 steps.

Preset ``tiny``, for a minute on two CPU cores: images of 32 px, width 16, three levels of one block, batches
of 4, rate 1e-3 after 50 steps, an average that forgets in 200 steps from there on, and 5 sampling steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.methods.base import Method
from fesbench.methods.batches import PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis

from ._average import Average
from ._blocks import check_side, one_hot

TIMES = 1000
Predictor = Callable[[Tensor, int], Tensor]
"""Noisy images (N, 3, H, W) at a time -> what the network is trained to say of them."""


@dataclass(frozen=True)
class CDiffHyper:
    """Network and recipe; ``groups_of`` is the least number of channels that group norm takes together."""

    width: int = 64
    multipliers: tuple[int, ...] = (1, 1, 2, 3, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (16, 8)
    groups_of: int = 1
    dropout: float = 0.1
    objective: Literal["v", "flow"] = "v"
    batch_size: int = 32
    learning_rate: float = 1e-4
    warm_up: int = 1000
    clip: float = 1.0
    average: float = 0.9999
    same_share: float = 0.1
    condition_dropped: tuple[float, float] = (0.0, 0.10)
    source_dropped: tuple[float, float] = (0.05, 0.15)
    sampling_steps: int = 50
    guidance: float = 2.0
    source_guidance: float = 1.0
    steps: int = 200_000
    native: str = ""
    smoke_steps: int = 800


class Block(nn.Module):
    """Norm - SiLU - conv, twice, with scale and shift by the embedding between them; plus its input.

    Args:
        inside, outside: channels.
        embedding: width of the embedding.
        hyper: gives norm and dropout.
        factor: of the image's side: 0.5, 1 or 2.
    """

    def __init__(
        self, inside: int, outside: int, embedding: int, hyper: CDiffHyper, factor: float = 1
    ) -> None:
        super().__init__()
        self.factor, self.dropout = factor, hyper.dropout
        self.norm, self.first = _norm(inside, hyper), nn.Conv2d(inside, outside, 3, 1, 1)
        self.scale = nn.Linear(embedding, 2 * outside)
        self.second_norm, self.second = _norm(outside, hyper), _zeroed(nn.Conv2d(outside, outside, 3, 1, 1))
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(N, inside, H, W) and (N, E) -> (N, outside, factor * H, factor * W)."""
        hidden = self.first(self._resized(F.silu(self.norm(x))))
        scale, shift = self.scale(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(self.second_norm(hidden) * (1 + scale) + shift)
        found: Tensor = self.second(F.dropout(hidden, self.dropout, self.training))
        return found + self.skip(self._resized(x))

    def _resized(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.factor > 1 else x


class Attention(nn.Module):
    """Self-attention over all places, 64 channels a head; plus its input."""

    def __init__(self, width: int, hyper: CDiffHyper) -> None:
        super().__init__()
        self.heads, self.norm = max(1, width // 64), _norm(width, hyper)
        self.ask, self.last = nn.Conv1d(width, 3 * width, 1), _zeroed(nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        n, width, height, wide = x.shape
        asked = self.ask(self.norm(x).flatten(2)).view(n, 3, self.heads, width // self.heads, -1)
        query, key, value = asked.transpose(-1, -2).unbind(1)
        found = F.scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        answer: Tensor = self.last(found.reshape(n, width, height * wide))
        return x + answer.view(n, width, height, wide)


class Layer(nn.Module):
    """A block, and attention where the image has come to one of the sides for it."""

    def __init__(self, block: Block, attention: Attention | None = None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(N, C, H, W) and (N, E) -> what the block makes of it."""
        found: Tensor = self.block(x, embedding)
        return found if self.attention is None else self.attention(found)


class LabelCondition(nn.Module):
    """Shares of labels -> the mean of the labels' embeddings; one more embedding stands for no condition."""

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        self.labels, self.table = labels, nn.Embedding(labels + 1, width)

    def forward(self, condition: Tensor, kept: Tensor) -> Tensor:
        """(N, K) shares and (N, 1) 0 or 1 -> (N, width)."""
        none = F.pad(torch.zeros_like(condition), (0, 1), value=1.0)
        shares = torch.where(kept > 0, F.pad(condition, (0, 1)), none)
        return shares @ self.table.weight


class DiffusionUNet(nn.Module):
    """The U-Net of guided-diffusion on noisy image and source.

    Args:
        size: side of the images, a multiple of 2 to the number of halvings.
        condition: (condition, kept) -> (N, 4 * width), added to the embedding of the time.
        hyper: widths, depths and norm.

    Raises:
        MethodError: another ``size``.
    """

    def __init__(self, size: int, condition: nn.Module, hyper: CDiffHyper) -> None:
        super().__init__()
        last = len(hyper.multipliers) - 1
        check_side("the diffusion network", size, 1 << last)
        width, embedding = hyper.width, 4 * hyper.width
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.condition = condition

        def layer(inside: int, outside: int, side: int) -> Layer:
            focus = Attention(outside, hyper) if side in hyper.attention else None
            return Layer(Block(inside, outside, embedding, hyper), focus)

        channels, skips = width, [width]
        self.entry = nn.Conv2d(6, width, 3, 1, 1)
        self.down = nn.ModuleList()
        for level, times in enumerate(hyper.multipliers):
            for _ in range(hyper.blocks):
                self.down.append(layer(channels, times * width, size >> level))
                channels = times * width
                skips.append(channels)
            if level < last:
                self.down.append(Layer(Block(channels, channels, embedding, hyper, 0.5)))
                skips.append(channels)
        self.middle = nn.ModuleList(
            [
                Layer(Block(channels, channels, embedding, hyper), Attention(channels, hyper)),
                Layer(Block(channels, channels, embedding, hyper)),
            ]
        )
        self.up, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for level, times in reversed(list(enumerate(hyper.multipliers))):
            for _ in range(hyper.blocks + 1):
                self.up.append(layer(channels + skips.pop(), times * width, size >> level))
                channels = times * width
            if level:
                self.enlarge.append(Layer(Block(channels, channels, embedding, hyper, 2)))
        self.norm, self.exit = _norm(channels, hyper), _zeroed(nn.Conv2d(channels, 3, 3, 1, 1))

    def forward(self, noisy: Tensor, source: Tensor, time: Tensor, condition: Tensor, kept: Tensor) -> Tensor:
        """Two images (N, 3, S, S), times (N,), a condition and whether it is kept (N, 1) -> (N, 3, S, S)."""
        embedding = self.time(_sinusoids(time, self.width)) + self.condition(condition, kept)
        x = self.entry(torch.cat([noisy, source], dim=1))
        skips = [x]
        for layer in self.down:
            x = layer(x, embedding)
            skips.append(x)
        for layer in self.middle:
            x = layer(x, embedding)
        each = len(self.up) // (len(self.enlarge) + 1)
        for number, layer in enumerate(self.up, start=1):
            x = layer(torch.cat([x, skips.pop()], dim=1), embedding)
            if number % each == 0 and skips:
                x = self.enlarge[number // each - 1](x, embedding)
        found: Tensor = self.exit(F.silu(self.norm(x)))
        return found


class Diffusion(nn.Module):
    """From image to noise, ``alpha * image + sigma * noise`` at each time, and the way back.

    Args:
        objective: "v" (cosine schedule) or "flow" (straight path); what the network is trained to say.
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(self, objective: Literal["v", "flow"]) -> None:
        super().__init__()
        self.objective = objective
        ends = torch.arange(TIMES + 1, dtype=torch.float64) / TIMES
        if objective == "flow":
            sigma = ends[1:]
            alpha = 1 - sigma
        else:
            signal = torch.cos((ends + 0.008) / 1.008 * math.pi / 2).square()
            # The last step would take away all of the signal, and v could not be told from the noise.
            left = 1 - (1 - signal[1:] / signal[:-1]).clamp(max=0.999)
            alpha = left.cumprod(0).sqrt()
            sigma = (1 - alpha.square()).sqrt()
        self.register_buffer("alpha", alpha.float(), persistent=False)
        self.register_buffer("sigma", sigma.float(), persistent=False)

    def noisy(self, image: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """(N, 3, H, W) twice and times int (N,) -> (N, 3, H, W)."""
        return self.alpha[time, None, None, None] * image + self.sigma[time, None, None, None] * noise

    def goal(self, image: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """What the network is to say: alpha * noise - sigma * image, or for a straight path noise - image."""
        if self.objective == "flow":
            return noise - image
        return self.alpha[time, None, None, None] * noise - self.sigma[time, None, None, None] * image

    def sample(self, predict: Predictor, noise: Tensor, steps: int) -> Tensor:
        """DDIM without noise of its own (eta 0): noise (N, 3, H, W) -> images in [-1, 1]."""
        times = [TIMES * (steps - k) // steps - 1 for k in range(steps)]
        x = noise
        for now, then in zip(times, [*times[1:], None], strict=True):
            alpha, sigma = self.alpha[now], self.sigma[now]
            clean = (x if self.objective == "flow" else alpha * x) - sigma * predict(x, now)
            clean = clean.clamp(-1, 1)
            if then is None:
                break
            x = self.alpha[then] * clean + self.sigma[then] * (x - alpha * clean) / sigma
        return clean


class CDiff(Method):
    """Denoises the wanted image beside its source, twice a step: with the label and without."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cdiff",
        title="Conditional diffusion",
        citation="no publication: a baseline of fesbench. After Dhariwal and Nichol, NeurIPS 2021, "
        "arXiv 2105.05233; Saharia et al., SIGGRAPH 2022, arXiv 2111.05826; "
        "Ho and Salimans 2022, arXiv 2207.12598; Brooks et al., CVPR 2023, arXiv 2211.09800",
        year=2023,
        needs=frozenset({"labels", "any-pairs", "neutral"}),
        controls=frozenset({"expression", "intensity", "compound", "random"}),
        notes="no GAN: 50 steps of two network passes make an image; a baseline of this suite's own",
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": CDiffHyper(),
        "unguided": CDiffHyper(guidance=1.0),
        "flow": CDiffHyper(objective="flow", sampling_steps=20),
        "tiny": CDiffHyper(
            width=16,
            multipliers=(1, 2, 2),
            blocks=1,
            attention=(16,),
            groups_of=4,
            batch_size=4,
            learning_rate=1e-3,
            warm_up=50,
            average=0.995,
            sampling_steps=5,
            native="32-color-bicubic-aa",
        ),
    }
    synthesis_state: ClassVar[tuple[str, ...]] = ("average.",)
    hyper: CDiffHyper

    def build(self) -> None:
        """Create the network and the average of its weights, which alone synthesizes."""
        self.network = DiffusionUNet(self.problem.size, self.make_condition(4 * self.hyper.width), self.hyper)
        self.average = Average(self.network)
        self.diffusion = Diffusion(self.hyper.objective)

    def make_condition(self, width: int) -> nn.Module:
        """The module that embeds a condition: (condition, kept) -> (N, width)."""
        return LabelCondition(len(self.problem.labels), width)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The rows of the label embedding; the one behind them stands for no condition."""
        return {
            f"{part}.condition.table.weight": ConditionAxis("labels", axis=0)
            for part in ("network", "average")
        }

    def phases(self) -> tuple[Phase, ...]:
        """One phase, whose rate rises linearly to a constant one."""
        start = self.hyper.warm_up
        return (
            Phase(
                "denoising",
                "any-pair",
                self.hyper.batch_size,
                paper_steps=self.hyper.steps,
                smoke_steps=self.hyper.smoke_steps,
                learning_rate=lambda step, progress: min(1.0, (step + 1) / start),
            ),
        )

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        """AdamW without decay, which is Adam."""
        rate = self.hyper.learning_rate
        return {"network": torch.optim.AdamW(self.network.parameters(), rate, weight_decay=0.0)}

    def training_step(self, phase: Phase, batch: PairBatch, step: int) -> dict[str, Tensor]:
        """One step on pairs at random times; some lose their condition, their source, or both."""
        image, count, device = batch.target.image, len(batch), batch.target.image.device
        same = torch.rand(count, device=device) < self.hyper.same_share
        source = torch.where(same[:, None, None, None], image, batch.source.image)
        condition = self.change(batch, same)
        drawn = torch.rand(count, device=device)
        kept, shown = (
            1 - ((drawn >= low) & (drawn < high)).float()
            for low, high in (self.hyper.condition_dropped, self.hyper.source_dropped)
        )
        time = torch.randint(TIMES, (count,), device=device)
        noise = torch.randn_like(image)
        noisy = self.diffusion.noisy(image, noise, time)
        found = self.network(noisy, source * shown[:, None, None, None], time, condition, kept[:, None])
        loss = (found.float() - self.diffusion.goal(image, noise, time)).square().mean()
        self.descend("network", loss, clip=self.hyper.clip)
        self.average.follow(self.network, self.hyper.average if step >= self.hyper.warm_up else 0.0)
        return {"denoising": loss.detach()}

    def change(self, batch: PairBatch, same: Tensor) -> Tensor:
        """The condition of training pairs: the target's label. ``same``: the target is its own source."""
        return one_hot(batch.target.label, len(self.problem.labels))

    def wanted(self, requests: RequestBatch) -> Tensor:
        """The condition of requests: shares of labels, from neutral on by the intensity."""
        labels = len(self.problem.labels)
        target = one_hot(requests.target_label, labels, requests.second_label)
        target = target / target.sum(dim=1, keepdim=True).clamp(min=1)
        neutral = one_hot(torch.full_like(requests.target_label, self.problem.neutral), labels)
        return torch.lerp(neutral, target, requests.intensity[:, None].to(target))

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Denoised images; the noise to start from follows each request's seed.

        The source of a ``random`` request is mid-gray, which is 0 and so no source.
        """
        shape, device = requests.source.shape[1:], requests.source.device
        drawn = [torch.randn(shape, generator=_generator(seed)) for seed in requests.noise_seed.tolist()]
        condition = self.wanted(requests)

        def predict(noisy: Tensor, time: int) -> Tensor:
            return self.guided(noisy, requests.source, time, condition)

        return self.diffusion.sample(predict, torch.stack(drawn).to(device), self.hyper.sampling_steps)

    def guided(self, noisy: Tensor, source: Tensor, time: int, condition: Tensor) -> Tensor:
        """The network's answers with nothing, with the source, and with both, weighed by the two guidances.

        An answer of weight 0 is not asked for: with source guidance 1 there are two, without guidance one.

        Args:
            noisy, source: (N, 3, H, W).
            time: 0 to 999.
            condition: (N, ...) as the network's condition takes it.
        """
        by_source, by_condition = self.hyper.source_guidance, self.hyper.guidance
        terms = [
            (weight, shown, kept)
            for weight, shown, kept in (
                (1 - by_source, 0.0, 0.0),
                (by_source - by_condition, 1.0, 0.0),
                (by_condition, 1.0, 1.0),
            )
            if weight
        ]
        n, count = len(noisy), len(terms)
        answers = self.average(
            self.network,
            noisy.repeat(count, 1, 1, 1),
            torch.cat([shown * source for _, shown, _ in terms]),
            torch.full((count * n,), time, device=noisy.device),
            condition.repeat(count, 1),
            torch.cat([condition.new_full((n, 1), kept) for _, _, kept in terms]),
        ).chunk(count)
        found: Tensor = sum(weight * answer for (weight, _, _), answer in zip(terms, answers, strict=True))
        return found


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _norm(channels: int, hyper: CDiffHyper) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, min(32, channels // hyper.groups_of)), channels)


def _zeroed(layer: nn.Conv1d | nn.Conv2d) -> nn.Module:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _sinusoids(time: Tensor, width: int) -> Tensor:
    """Times (N,) -> cosines and sines at falling frequencies, (N, width)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / half))
    angles = time[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)
