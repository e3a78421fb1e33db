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


class ReflectedLayer(nn.Module):
    """SARGAN's layer."""

    def __init__(
        self, channels: int, width: int, scale: str = "", *, last: bool = False, relu: bool = True
    ) -> None:
        super().__init__()
        self.scale, self.relu_after = scale, relu
        self.conv2d = nn.Conv2d(channels, width, 3, 2 if scale == "down" else 1, bias=last)
        self.norm = nn.Module()
        self.norm.norm = nn.Identity() if last else nn.InstanceNorm2d(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.scale == "up":
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        x = self.norm.norm(self.conv2d(nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")))  # type: ignore[operator]
        return x.relu() if self.relu_after else x


class Gate(nn.Module):
    """SARGAN's attention network."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        for level, inside in ((2, channels), (1, width)):
            self.add_module(f"b1_{level}", ReflectedLayer(inside, width))
            self.add_module(f"b2_{level}", ReflectedLayer(inside, width, "down"))
            self.add_module(f"b3_{level}", ReflectedLayer(width, width, "up"))
        self.b2_plus_1 = ReflectedLayer(width, width)
        self.out_block = nn.Sequential(ReflectedLayer(width, 1, last=True, relu=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        part = self._modules
        below = part["b2_2"](x)
        inner = part["b1_1"](below) + part["b3_1"](self.b2_plus_1(part["b2_1"](below)))
        return x * self.out_block(part["b1_2"](x) + part["b3_2"](inner))


class GatedBlock(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ReflectedLayer(width, width), ReflectedLayer(width, width, relu=False)
        self.att_func = Gate(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.att_func(self.conv2(self.conv1(x)))


class SARGenerator(nn.Module):
    def __init__(self, conditions: int, width: int) -> None:
        super().__init__()
        layers = star_layers(conditions, width, 1)
        layers[9] = GatedBlock(4 * width, width)
        self.att_func = Gate(3, width)  # never called
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.main(planes(x, c)) + x


class AttBlock(nn.Module):
    """A layer of AttGAN's port."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class AttGenerator(nn.Module):
    """AttGAN's, as its PyTorch port has it: one skip, attributes behind it or not."""

    def __init__(self, attributes: int, width: int, layers: int, *, inject: bool) -> None:
        super().__init__()
        self.inject = inject
        widths = [min(width * 2**k, 16 * width) for k in range(layers)]
        outs = [min(width * 2 ** (layers - k - 1), 16 * width) for k in range(layers - 1)]
        self.enc_layers = nn.ModuleList(
            AttBlock(nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU())
            for i, o in zip([3, *widths[:-1]], widths, strict=True)
        )
        second = outs[0] + outs[0] // 2 + attributes * inject
        ins = [widths[-1] + attributes, second, *outs[1:]]
        self.dec_layers = nn.ModuleList(
            AttBlock(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in zip(ins[:-1], outs, strict=True)
        )
        self.dec_layers.append(AttBlock(nn.ConvTranspose2d(ins[-1], 3, 4, 2, 1), nn.Tanh()))

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        seen = [x]
        for layer in self.enc_layers:
            seen.append(layer(seen[-1]))
        z = planes(seen[-1], a)
        for number, layer in enumerate(self.dec_layers):
            z = layer(z)
            if number == 0:
                z = torch.cat([z, seen[-2]], dim=1)
                z = planes(z, a) if self.inject else z
        return z


class ConvBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
            layers += [] if last else [nn.ReLU()]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """CycleGAN's."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, width, 7),
            nn.InstanceNorm2d(width),
            nn.ReLU(),
        ]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, 2, 1), nn.InstanceNorm2d(2 * wide), nn.ReLU()]
        layers += [ConvBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1)
            layers += [up, nn.InstanceNorm2d(wide // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

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
