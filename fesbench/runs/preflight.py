"""What a run will need and cannot have here, asked before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fesbench.errors import WeightsError
from fesbench.protocol.protocol import Protocol

if TYPE_CHECKING:
    pass


def preflight(protocol: Protocol, *, strict: bool) -> dict[str, str]:
    """Which metrics, and which count of every record, cannot be had here, and why; asked before all else.

    Packages, weights with their digests and licenses, and images that are too small for a network.

    Raises:
        WeightsError: ``strict``, and a metric cannot run.
    """
    from fesbench.extractors.registry import network
    from fesbench.metrics.selection import DETECTOR, metric_reasons

    reasons = metric_reasons(protocol)
    if reason := network(DETECTOR).available():
        reasons["faces_not_found"] = reason
    if strict and reasons:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise WeightsError(f"--strict, and these metrics cannot run: {listed}")
    return reasons
