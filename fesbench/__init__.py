"""fesbench: benchmark and evaluation suite for facial expression synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate"]

if TYPE_CHECKING:
    from fesbench.external import evaluate


def __getattr__(name: str) -> Any:
    """``fesbench.evaluate`` is imported when first used: it brings torch along."""
    if name == "evaluate":
        from fesbench.external import evaluate

        return evaluate
    raise AttributeError(f"module 'fesbench' has no attribute '{name}'")
