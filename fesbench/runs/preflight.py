"""What a run will need and cannot have here, asked before all else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fesbench.errors import WeightsError
from fesbench.protocol.protocol import Protocol

if TYPE_CHECKING:
    from fesbench.methods.base import Method


def inapplicable(protocol: Protocol, methods: Iterable[type[Method]]) -> dict[str, str]:
    """The methods that a protocol does not give what they train on, by its rules alone, with the reason."""
    reason = "needs unlabelled images of another domain, and the protocol grants none (data.unlabelled)"
    if protocol.data.unlabelled:
        return {}
    return {kind.card.id: reason for kind in methods if "unlabelled" in kind.card.needs}


def preflight(
    protocol: Protocol, *, strict: bool, methods: Iterable[type[Method]] = (), preset: str = "paper"
) -> dict[str, str]:
    """Which metrics, and which count of every record, cannot be had here, and why; asked before all else.

    Packages, weights with their digests and licenses, and images that are too small for a network.

    Args:
        protocol: names the metrics.
        strict: a metric that cannot run is an error.
        methods: what will run.
        preset: theirs, which decides which helper networks they need.

    Raises:
        WeightsError: a method lacks the weights of a helper network that this preset uses; or ``strict``, and
            a metric cannot run.
    """
    from fesbench.extractors.registry import network
    from fesbench.metrics.selection import DETECTOR, metric_reasons

    helped = [kind for kind in methods if kind.card.helpers]
    if helped:
        from fesbench.files import fesbench_home
        from fesbench.methods.helpers import check_helpers
        from fesbench.weights.manager import WeightsManager

        check_helpers(helped, preset, WeightsManager(fesbench_home()))
    reasons = metric_reasons(protocol)
    if reason := network(DETECTOR).available():
        reasons["faces_not_found"] = reason
    if strict and reasons:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise WeightsError(f"--strict, and these metrics cannot run: {listed}")
    return reasons
