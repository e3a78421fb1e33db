"""What every network of pretrained weights shares: what it lacks here, and how it is loaded on first use."""

from __future__ import annotations

import threading
from abc import abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar

from fesbench.extractors.base import Network
from fesbench.weights.manager import WeightsManager


class LoadedNetwork(Network):
    """A network that is built from its checked weights on first use.

    Attributes:
        packages: what it needs: (module, its package and how to install it).
    """

    packages: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, manager: WeightsManager, device: str | None = None) -> None:
        self._manager = manager
        self._device = device
        self._network: Any = None
        self._lock = threading.Lock()

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
