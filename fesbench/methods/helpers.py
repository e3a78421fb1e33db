"""Frozen pretrained networks that a method uses and does not learn: from the weights table, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

from fesbench.errors import MethodError, WeightsError
from fesbench.weights.manager import WeightsManager
from fesbench.weights.state_dict import fill, read_state

if TYPE_CHECKING:
    from fesbench.methods.card import MethodCard

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


def check_helpers(cards: Iterable[MethodCard], manager: WeightsManager) -> None:
    """Refuse methods whose helper networks cannot be had here; to be asked before a run starts.

    Raises:
        WeightsError: names every method, the weights that it lacks and the command that gets them.
    """
    lacking = [
        f"method '{card.id}' needs {reason}"
        for card in cards
        for name in card.helpers
        if (reason := manager.available(name))
    ]
    if lacking:
        raise WeightsError("; ".join(lacking))


class Helpers:
    """The helper networks of one method, loaded when first asked for.

    They are no part of the method as a module: not in its state, parameters, checkpoint or training mode.

    Args:
        card: of the method, which names them.
        build: makes the network of a name, with any weights.
    """

    def __init__(self, card: MethodCard, build: Callable[[str], nn.Module]) -> None:
        self._card, self._build = card, build
        self._loader: Loader | None = None
        self._networks: dict[str, nn.Module] = {}

    def load_with(self, loader: Loader) -> None:
        """Take weights from a loader from now on."""
        self._loader, self._networks = loader, {}

    def get(self, name: str, device: torch.device) -> nn.Module:
        """A helper in eval mode, without gradients of its own, on a device.

        Raises:
            MethodError: the card does not name it, or no loader was given.
            WeightsError: its weights cannot be had.
        """
        if name not in self._networks:
            if name not in self._card.helpers:
                raise MethodError(
                    f"method '{self._card.id}' uses helper '{name}', which its card does not name"
                )
            if self._loader is None:
                raise MethodError(f"method '{self._card.id}' needs weights '{name}', and was given no loader")
            # A training that resumes loads at another step than one that was not interrupted.
            with torch.random.fork_rng(devices=[]):
                network = self._loader(name, self._build(name))
            self._networks[name] = network.eval().requires_grad_(False)
        network = self._networks[name]
        where = next((t.device for t in (*network.parameters(), *network.buffers())), device)
        return network if where == device else network.to(device)
