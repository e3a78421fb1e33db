"""What every network of pretrained weights shares: what it lacks here, and how it is loaded on first use."""

from __future__ import annotations

import threading
from abc import abstractmethod
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from typing import Any, ClassVar

from fesbench.extractors.base import Network
from fesbench.extractors.settings import Settings
from fesbench.weights.manager import WeightsManager


class LoadedNetwork(Network):
    """A network that is built from its checked weights on first use.

    Attributes:
        packages: what it needs: (module, its package and how to install it).
    """

    packages: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(
        self, manager: WeightsManager, device: str | None = None, settings: Settings | None = None
    ) -> None:
        self._manager = manager
        self.settings = settings or self.settings
        self._device = device
        self._network: Any = None
        self._lock = threading.Lock()

    @property
    def signature(self) -> str:
        """Its name, each weights file and the settings."""
        marks = (self._manager.mark(name) for name in self.weights)
        return ":".join([self.name, *marks, str(self.settings)])

    @property
    def cache_key(self) -> str:
        """Every setting by its value, and the major versions of the libraries that compute."""
        computing = {"torch", *(module for module, _ in self.packages)}
        versions = (f"{module}-{major_version(module)}" for module in sorted(computing))
        return f"{self.signature}#{self.settings.digest}@{','.join(versions)}"

    def available(self) -> str | None:
        """None, or the first missing package or weights."""
        for module, remedy in self.packages:
            if find_spec(module) is None:
                return f"package: {remedy}"
        reasons = (self._manager.available(name) for name in self.weights)
        return next((reason for reason in reasons if reason), None)

    @abstractmethod
    def _build(self) -> Any:
        """The network from its checked files, ready for inference."""

    def _load(self) -> Any:
        with self._lock:
            if self._network is None:
                self._network = self._build()
            return self._network

    def _placed(self, network: Any) -> Any:
        """A torch network on the device that was asked for, or on the GPU where there is one."""
        import torch

        return network.to(self._device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def close(self) -> None:
        """Forget the network."""
        self._network = None


@cache
def major_version(module: str) -> str:
    """The first number of a module's version; "" where it is not installed."""
    if find_spec(module) is None:
        return ""
    # Not every distribution says which modules it holds (dlib-bin).
    holders = _holders().get(module)
    found = version(holders[0]) if holders else str(import_module(module).__version__)
    return found.partition(".")[0]


_holders = cache(packages_distributions)
"""The distributions of each module, read once: it opens the list of files of every installed package."""
