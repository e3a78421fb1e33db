"""Frozen pretrained networks that a method uses and does not learn: from the weights table, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.weights.manager import WeightsManager
from fesbench.weights.state_dict import fill, read_state

Loader = Callable[[str, nn.Module], nn.Module]
"""Gives a network its pretrained weights: (entry of the weights table, network as built) -> network."""


def checked_weights(manager: WeightsManager) -> Loader:
    """Weights from the checked files of the weights table.

    The loader raises WeightsError for a file that is missing, not the right one, under terms that nobody has
    accepted, or that does not fit the network.
    """

    def load(name: str, network: nn.Module) -> nn.Module:
        holds = f"the network that '{name}' stands for"
        filled: nn.Module = fill(network, read_state(manager, name, holds), manager, name, holds)
        return filled

    return load


class Helpers:
    """The helper networks of one method, loaded when first asked for.

    They are no part of the method as a module: not in its state, parameters, checkpoint or training mode.

    Args:
        method: id of the method.
        names: what it uses.
        build: makes the network of a name, with any weights.
    """

    def __init__(self, method: str, names: Sequence[str], build: Callable[[str], nn.Module]) -> None:
        self.names, self._method, self._build = tuple(names), method, build
        self._loader: Loader | None = None
        self._networks: dict[str, nn.Module] = {}

    def load_with(self, loader: Loader) -> None:
        """Take weights from a loader from now on."""
        self._loader, self._networks = loader, {}

    def get(self, name: str, device: torch.device) -> nn.Module:
        """A helper in eval mode, without gradients of its own, on a device.

        Raises:
            MethodError: the method does not use it with its hyper-parameters, or no loader was given.
            WeightsError: its weights cannot be had.
        """
        if name not in self._networks:
            if name not in self.names:
                named = ", ".join(self.names) or "none"
                raise MethodError(f"method '{self._method}' asks for helper '{name}'; it names {named}")
            if self._loader is None:
                raise MethodError(f"method '{self._method}' needs weights '{name}', and was given no loader")
            # A training that resumes loads at another step than one that was not interrupted.
            with torch.random.fork_rng(devices=[]):
                network = self._loader(name, self._build(name))
            self._networks[name] = network.eval().requires_grad_(False)
        network = self._networks[name]
        where = next((t.device for t in (*network.parameters(), *network.buffers())), device)
        return network if where == device else network.to(device)
