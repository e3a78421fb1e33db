"""pix2pix's networks, which other methods take over: U-Net generator and 70x70 PatchGAN."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import MethodError

Norm = Callable[[int], nn.Module]
"""Makes the norm behind a convolution of so many channels."""


class BatchOfOneNorm(nn.Module):
    """Batch norm as pix2pix uses it: in training mode, on a batch of one, also at test.

    Each image is normalized by its own statistics, so larger batches are only a faster way of doing the same,
    and no output depends on its neighbors in a batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        return F.instance_norm(x, weight=self.weight, bias=self.bias)


def batch_norm(width: int) -> nn.BatchNorm2d:
    """Batch norm with weights N(1, 0.02), for batches large enough to have statistics."""
    found = nn.BatchNorm2d(width)
    nn.init.normal_(found.weight, 1.0, 0.02)
    return found


class UNet(nn.Module):
    """The U-Net generator, down to 1x1; no norm in the outermost and the innermost encoder.

    Args:
        size: side of the images, a power of two, at least 32.
        channels: of the input.
        width: of the first level, doubled up to eight times itself.
        dropout: probability, in some decoders.
        dropped: levels of those decoders, 0 = outermost; None = the three innermost, as in the Torch code.
        norm: makes the norms.
        skips: without them it is an encoder-decoder, all of whose knowledge of the input passes the 1x1 code.

    Raises:
        MethodError: another ``size``.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        width: int,
        dropout: float = 0.0,
        *,
        dropped: Collection[int] | None = None,
        norm: Norm = BatchOfOneNorm,
        skips: bool = True,
    ) -> None:
        super().__init__()
        depth = size.bit_length() - 1
        if size != 1 << depth or depth < 5:
            raise MethodError(f"the U-Net needs a power of two of at least 32 as image size, not {size}")
        widths = [width * min(8, 1 << level) for level in range(depth)]
        ins = [channels, *widths[:-1]]
        self.encoders = nn.ModuleList(
            nn.Conv2d(i, o, 4, 2, 1, bias=False) for i, o in zip(ins, widths, strict=True)
        )
        self.encoder_norms = nn.ModuleList(norm(w) for w in widths[1:-1])
        outs = [3, *widths[:-1]]
        self.decoders = nn.ModuleList(
            nn.ConvTranspose2d(2 * w if skips and level < depth - 1 else w, o, 4, 2, 1, bias=level == 0)
            for level, (w, o) in enumerate(zip(widths, outs, strict=True))
        )
        self.decoder_norms = nn.ModuleList(norm(o) for o in outs[1:])
        self.depth, self.dropout, self.skips = depth, dropout, skips
        self.dropped = range(depth - 3, depth) if dropped is None else dropped

    def forward(self, x: Tensor, noise: list[torch.Generator] | None = None) -> Tensor:
        """(N, channels, S, S) -> (N, 3, S, S) in [-1, 1].

        Args:
            x: input planes.
            noise: one CPU generator per image for its dropout; default: in training torch's global generator,
                else no dropout.
        """
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.leaky_relu(x, 0.2) if level else x)
            if 0 < level < self.depth - 1:
                x = self.encoder_norms[level - 1](x)
            skips.append(x)
        for level in range(self.depth - 1, 0, -1):
            wide = torch.cat([skips[level], x], dim=1) if self.skips and level < self.depth - 1 else x
            x = self.decoder_norms[level - 1](self.decoders[level](F.relu(wide)))
            if level in self.dropped:
                x = self._drop(x, noise)
        last = torch.cat([skips[0], x], dim=1) if self.skips else x
        return torch.tanh(self.decoders[0](F.relu(last)))

    def _drop(self, x: Tensor, noise: list[torch.Generator] | None) -> Tensor:
        if noise is None:
            return F.dropout(x, self.dropout, self.training)
        kept = torch.stack([torch.rand(x.shape[1:], generator=generator) for generator in noise])
        return x * (kept >= self.dropout).to(x) / (1 - self.dropout)


def convert_unet(tensors: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """The authors' PyTorch generator, whose blocks lie one in another, by the names of ``UNet``.

    Args:
        tensors: by the authors' names, such as ``model.model.1.model.3.model.2.weight``.
        owner: beginning of our names, such as "generator.".

    Raises:
        MethodError: a name of another network.
    """
    places = {name: [int(number) for number in re.findall(r"model\.(\d+)", name)] for name in tensors}
    deepest = max((len(path) - 1 for path in places.values()), default=0)
    outer = {0: "encoders.0", 3: "decoders.0"}
    found = {}
    for name, tensor in tensors.items():
        path, kind = places[name], name.rpartition(".")[2]
        level = len(path) - 1
        inner = {1: f"encoders.{level}", 2: f"encoder_norms.{level - 1}", 5: f"decoders.{level}"}
        inner |= {6: f"decoder_norms.{level - 1}"}
        if level == deepest:
            inner = {1: f"encoders.{level}", 3: f"decoders.{level}", 4: f"decoder_norms.{level - 1}"}
        ours = (inner if level > 0 else outer).get(path[-1]) if path else None
        if ours is None or name != "model." + "".join(f"model.{k}." for k in path) + kind:
            raise MethodError(f"the file holds '{name}', which the authors' U-Net does not have")
        if kind in ("weight", "bias"):  # running statistics are never used: batches of one in training mode
            found[f"{owner}{ours}.{kind}"] = tensor
    return found


class PatchCritic(nn.Module):
    """The 70x70 PatchGAN on input and output together; logits.

    Args:
        channels: of input and output together.
        width: of the first layer, doubled in the following ones.
        norm: makes the norms.
        depth: strided layers (the code's ``n_layers``): 3 see 70 pixels, 2 see 34, 1 sees 16.
    """

    def __init__(self, channels: int, width: int, *, norm: Norm = BatchOfOneNorm, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level, stride in zip(range(1, depth + 1), [2] * (depth - 1) + [1], strict=True):
            layers += [
                nn.Conv2d(width << (level - 1), width << level, 4, stride, 1, bias=False),
                norm(width << level),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.body = nn.Sequential(*layers, nn.Conv2d(width << depth, 1, 4, 1, 1))

    def forward(self, planes: Tensor, image: Tensor) -> Tensor:
        """Input and output, of ``channels`` together -> logits (N, 1, s, s), s = S / 2^depth - 2."""
        found: Tensor = self.body(torch.cat([planes, image], dim=1))
        return found
