"""An exponential moving average of a network's weights, for methods that synthesize with it alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.func import functional_call


class Average(nn.Module):
    """The averaged weights of a network, as buffers under the network's own names.

    Buffers, since no optimizer moves them and checkpoints must hold them. They run through the network
    itself, so that its parameters are counted once.

    Args:
        network: whose weights are taken as the start.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, child in deepcopy(network).named_children():
            self.add_module(name, _to_buffers(child))

    @torch.no_grad()
    def follow(self, network: nn.Module, decay: float) -> None:
        """Keep a share ``decay`` of the average and take the rest from the network; 0 copies it."""
        now = network.state_dict()
        for name, value in self.named_buffers():
            value.lerp_(now[name], 1 - decay)

    def forward(self, network: nn.Module, *inputs: Any) -> Any:
        """The network's answer with the averaged weights in place of its own."""
        return functional_call(network, dict(self.named_buffers()), inputs)


def _to_buffers(module: nn.Module) -> nn.Module:
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
    return module
