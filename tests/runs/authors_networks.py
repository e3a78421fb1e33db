"""The layout of authors' released networks, as their checkpoints name it; written anew for these tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def tracked(width: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(width, affine=True, track_running_stats=True)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            tracked(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            tracked(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def star_layers(conditions: int, width: int, blocks: int) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(3 + conditions, width, 7, 1, 3, bias=False),
        tracked(width),
        nn.ReLU(),
    ]
    for wide in (width, 2 * width):
        layers += [nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False), tracked(2 * wide), nn.ReLU()]
    layers += [Block(4 * width) for _ in range(blocks)]
    for wide in (4 * width, 2 * width):
        layers += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), tracked(wide // 2), nn.ReLU()]
    return layers


def planes(x: Tensor, c: Tensor) -> Tensor:
    return torch.cat([x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


class StarGenerator(nn.Module):
    """StarGAN; with one block and ``skip`` US-GAN."""

    def __init__(self, conditions: int, width: int, blocks: int, *, skip: bool = False) -> None:
        super().__init__()
        last = [nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh()]
        self.main, self.skip = nn.Sequential(*star_layers(conditions, width, blocks), *last), skip

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.main(planes(x, c)) + (x if self.skip else 0)


class GANimationGenerator(nn.Module):
    def __init__(self, units: int, width: int, blocks: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*star_layers(units, width, blocks))
        self.img_reg = nn.Sequential(nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh())
        self.attetion_reg = nn.Sequential(nn.Conv2d(width, 1, 7, 1, 3, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        hidden = self.main(planes(x, c))
        mask = self.attetion_reg(hidden)
        return mask * x + (1 - mask) * self.img_reg(hidden)


class UnetBlock(nn.Module):
    """One level of pix2pix with the next one inside it."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None, channels: int | None = None) -> None:
        super().__init__()
        self.outermost = channels is not None
        down = nn.Conv2d(channels or outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(inner if inside is None else 2 * inner, outer, 4, 2, 1, bias=self.outermost)
        norms = nn.BatchNorm2d(inner), nn.BatchNorm2d(outer)
        if self.outermost:
            layers = [down, inside, nn.ReLU(), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norms[1]]
        else:
            layers = [nn.LeakyReLU(0.2), down, norms[0], inside, nn.ReLU(), up, norms[1]]
        self.model = nn.Sequential(*layers)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class UnetGenerator(nn.Module):
    def __init__(self, channels: int, downs: int, width: int) -> None:
        super().__init__()
        block = UnetBlock(8 * width, 8 * width, None)
        for _ in range(downs - 5):
            block = UnetBlock(8 * width, 8 * width, block)
        for times in (4, 2, 1):
            block = UnetBlock(times * width, 2 * times * width, block)
        self.model = UnetBlock(3, width, block, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def seeded(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights of a size that keeps the signal alive, norms included."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.parameters():
            fan = tensor[0].numel() if tensor.ndim > 1 else 1
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * (2 / fan) ** 0.5)
    return network
