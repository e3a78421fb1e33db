"""Networks that two or more methods share: the StarGAN family's trunk and critic, and label planes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError


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


class Critic(nn.Module):
    """StarGAN's discriminator: six strided convolutions, a realism map and a condition head.

    At 32 px there is room for four, which leave the 2x2 map of the published 128 px.

    Args:
        size: side of the images, 32 or a multiple of 64; the condition head's kernel is what remains of it.
        width: channels of the first layer, doubled in each following one.
        outputs: classes (logits) or action units (values) of the condition head.

    Raises:
        MethodError: another ``size``.
    """

    def __init__(self, size: int, width: int, outputs: int) -> None:
        super().__init__()
        if size != 32:
            check_side("the StarGAN critic", size, 64)
        layers: list[nn.Module] = []
        channels, depth = 3, 4 if size == 32 else 6
        for level in range(depth):
            layers += [nn.Conv2d(channels, width << level, 4, 2, 1), nn.LeakyReLU(0.01, inplace=True)]
            channels = width << level
        self.body = nn.Sequential(*layers)
        self.realism = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.condition = nn.Conv2d(channels, outputs, size >> depth, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> realism (N, 1, H/64, W/64), 2x2 at 32 px, and condition (N, outputs)."""
        hidden = self.body(image)
        return self.realism(hidden), self.condition(hidden).flatten(1)


def initialize(module: nn.Module) -> None:
    """Convolution weights N(0, 0.02), biases 0: for ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def with_planes(image: Tensor, condition: Tensor) -> Tensor:
    """Tile a condition (N, K) to constant planes behind the image: (N, 3 + K, H, W)."""
    planes = condition.to(image.dtype)[:, :, None, None].expand(-1, -1, *image.shape[2:])
    return torch.cat([image, planes], dim=1)


def one_hot(label: Tensor, classes: int, second: Tensor | None = None) -> Tensor:
    """(N,) indices -> (N, classes) float; a second label (>= 0) is added to the first (a compound)."""
    found = nn.functional.one_hot(label.clamp(min=0), classes).float() * (label >= 0)[:, None]
    if second is not None:
        found = found + one_hot(second, classes)
    return found.clamp(max=1)


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
