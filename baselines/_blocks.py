"""Networks that two or more methods share: the StarGAN family's trunk and critic, and label planes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.methods.state_import import renamed

LEAK = 0.01
"""Slope of the critics' leaky rectifiers below zero."""


def norm(width: int) -> nn.InstanceNorm2d:
    """Affine instance norm on the image's own statistics, in training and in synthesis alike.

    The family's releases track running statistics and never use them, since they never call ``eval()``.
    """
    return nn.InstanceNorm2d(width, affine=True, track_running_stats=False)


class Residual(nn.Module):
    """Conv - IN - ReLU - conv - IN, plus its input; no activation after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        return x + self.body(x)


class Trunk(nn.Sequential):
    """Layers that halve the image twice and double it twice.

    Raises:
        MethodError: a side of the image is no multiple of 4; it would come out smaller.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, width, H, W)."""
        for side in x.shape[2:]:
            check_side("the StarGAN trunk", side, 4)
        found: Tensor = super().forward(x)
        return found


def check_side(network: str, side: int, unit: int) -> None:
    """Refuse an image side that a network's strided layers do not divide evenly.

    Raises:
        MethodError: ``side`` is no positive multiple of ``unit``.
    """
    if side < unit or side % unit:
        raise MethodError(
            f"{network} needs an image size that is a multiple of {unit}, not {side}; "
            f"choose --size {max(unit, side // unit * unit)}"
        )


def trunk(channels: int, width: int, middle: list[nn.Module]) -> Trunk:
    """Conv7, two strided convs, ``middle``, two transposed convs: (N, channels, H, W) -> (N, width, H, W).

    Zero padding: with reflected borders a constant label plane would only shift the first convolution's
    output, and instance norm takes a shift away (StarGAN's own comment).
    """
    return Trunk(
        nn.Conv2d(channels, width, 7, 1, 3, bias=False),
        norm(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
        norm(2 * width),
        nn.ReLU(inplace=True),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False),
        norm(4 * width),
        nn.ReLU(inplace=True),
        *middle,
        nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
        norm(2 * width),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
        norm(width),
        nn.ReLU(inplace=True),
    )


def head(width: int, channels: int) -> nn.Conv2d:
    """The last 7x7 convolution, without bias."""
    return nn.Conv2d(width, channels, 7, 1, 3, bias=False)


Depth = int | Literal["published", "side"]
"""Strided layers of a critic: a number, the published six, or log2 of the image's side less one."""


def critic_depth(size: int, depth: Depth) -> int:
    """The strided layers of a critic at an image size.

    "published": six; four at 32 px, where six do not fit. "side": log2(side) - 1, which leaves 2x2 at a power
    of two (the authors' code offers it; six is that at the published 128 px).

    Raises:
        MethodError: the image's side is not divided evenly by so many layers, or there is none.
    """
    if depth == "published":
        found = 4 if size == 32 else 6
    else:
        found = max(1, size.bit_length() - 2) if depth == "side" else depth
    if found < 1:
        raise MethodError(f"a critic needs at least one strided layer, not {found}")
    check_side("the StarGAN critic", size, 1 << found)
    return found


def convert_trunk(tensors: Mapping[str, Tensor], heads: Mapping[str, str]) -> dict[str, Tensor]:
    """The family's released generators: one ``main`` with residual blocks that have a ``main`` of their own.

    Args:
        tensors: by the authors' names.
        heads: beginnings of the other names; "" = of the last layer of ``main``.
    """
    numbers = [int(name.split(".")[1]) for name in tensors if name.startswith("main.")]
    last = {rf"main\.{max(numbers, default=0)}": heads[""]} if "" in heads else {}
    others = {re.escape(old): new for old, new in heads.items() if old}
    body = {
        r"main\.(\d+)\.main\.(\d+)": r"generator.body.\1.body.\2",
        **last,
        r"main\.(\d+)": r"generator.body.\1",
    }
    return renamed(tensors, {**body, **others})


class Critic(nn.Module):
    """StarGAN's discriminator: strided convolutions, a realism map and a condition head.

    Args:
        size: side of the images, which the strided layers must divide; the condition head's kernel is what
            remains of it.
        width: channels of the first layer, doubled in each following one.
        outputs: classes (logits) or action units (values) of the condition head.
        depth: number of the strided layers, see :func:`critic_depth`.
        he: draw the weights by :func:`he_initialize` in place of the framework's default.

    Raises:
        MethodError: another ``size``.
    """

    def __init__(
        self, size: int, width: int, outputs: int, *, depth: Depth = "published", he: bool = False
    ) -> None:
        super().__init__()
        self.depth = critic_depth(size, depth)
        layers: list[nn.Module] = []
        channels = 3
        for level in range(self.depth):
            layers += [nn.Conv2d(channels, width << level, 4, 2, 1), nn.LeakyReLU(LEAK, inplace=True)]
            channels = width << level
        self.body = nn.Sequential(*layers)
        self.realism = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.condition = nn.Conv2d(channels, outputs, size >> self.depth, bias=False)
        if he:
            self.apply(he_initialize)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> realism (N, 1, h, w), h = H / 2^depth, and condition (N, outputs)."""
        hidden = self.body(image)
        return self.realism(hidden), self.condition(hidden).flatten(1)


def he_initialize(module: nn.Module) -> None:
    """Convolution weights N(0, 2 / fan_in) for leaky rectifiers, biases 0: for ``Module.apply``.

    He et al. 2015. Without it a narrow critic is deaf: through six layers of width 16 the framework's default
    leaves a three-hundredth of the images' spread, and neither head has anything to go by for long.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, a=LEAK, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialize(module: nn.Module) -> None:
    """Convolution weights N(0, 0.02), biases 0: for ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def with_planes(image: Tensor, condition: Tensor) -> Tensor:
    """Tile a condition (N, K) to constant planes behind an image or maps (N, C, H, W): (N, C + K, H, W)."""
    planes = condition.to(image.dtype)[:, :, None, None].expand(-1, -1, *image.shape[2:])
    return torch.cat([image, planes], dim=1)


def one_hot(label: Tensor, classes: int, second: Tensor | None = None) -> Tensor:
    """(N,) indices -> (N, classes) float; a second label (>= 0) is added to the first (a compound)."""
    found = nn.functional.one_hot(label.clamp(min=0), classes).float() * (label >= 0)[:, None]
    if second is not None:
        found = found + one_hot(second, classes)
    return found.clamp(max=1)


def seeded(seeds: Tensor, width: int, draw: Callable[..., Tensor] = torch.randn) -> Tensor:
    """Noise of requests, each from its own seed: int64 (N,) -> float (N, width), where the seeds lie.

    Args:
        seeds: ``RequestBatch.noise_seed``.
        width: numbers a request.
        draw: ``torch.randn`` or ``torch.rand``; on the CPU, so that every device gets the same.
    """
    rows = [draw(width, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return torch.stack(rows).to(seeds.device)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Spare the gradients of a network's parameters while a loss goes back through it."""
    wanted = [p for p in network.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
