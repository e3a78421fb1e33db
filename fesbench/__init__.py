"""fesbench: benchmark and evaluation suite for facial expression synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "check", "compare", "evaluate"]

if TYPE_CHECKING:
    from fesbench.external.evaluate import evaluate
    from fesbench.gate.check import check
    from fesbench.gate.comparison import compare

_LAZY = {
    "check": "fesbench.gate.check",
    "compare": "fesbench.gate.comparison",
    "evaluate": "fesbench.external.evaluate",
}


def __getattr__(name: str) -> Any:
    """``fesbench.evaluate`` and its like are imported when first used: they bring heavy libraries along."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fesbench' has no attribute '{name}'")
