"""A fixed workload, timed beside every method, so that speeds compare across machines by their ratio.

A frozen stack of six 3 x 3 convolutions on 64-pixel images (0.32 GFLOP an image), in plain float32. Its
weights are of no importance but drawn from a seed of their own: no denormal numbers, the same for every
subject.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

WORKLOAD = "conv3x3-6x32@64"
"""Its name in records; another workload gets another name, and is not compared with this one."""
SIDE, WIDTH, LAYERS, SEED = 64, 32, 6, 0


class ReferenceNetwork(nn.Module):
    """Images (N, 3, 64, 64) -> the same shape."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [3, *[WIDTH] * (LAYERS - 1), 3]
        layers: list[nn.Module] = []
        draw = torch.Generator().manual_seed(SEED)
        for inputs, outputs in pairwise(sizes):
            # built without torch's own initialization, which would move the global random state
            layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, 3, padding=1)
            with torch.no_grad():
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=draw) * (2 / (9 * inputs)) ** 0.5
                )
                layer.bias.zero_()
            layers += [layer, nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def synthesize(self, images: torch.Tensor) -> torch.Tensor:
        """One pass."""
        found: torch.Tensor = self.layers(images)
        return found


def reference_requests(count: int) -> torch.Tensor:
    """Images to time it on."""
    draw = torch.Generator().manual_seed(SEED)
    return torch.rand((count, 3, SIDE, SIDE), generator=draw) * 2 - 1
