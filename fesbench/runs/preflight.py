"""What a run will need and cannot have here, asked before all else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fesbench.errors import WeightsError
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import WHERE_PRESENT

if TYPE_CHECKING:
    from fesbench.methods.base import Method
    from fesbench.weights.manager import WeightsManager


def inapplicable(
    protocol: Protocol, methods: Iterable[type[Method]], preset: str = "paper"
) -> dict[str, str]:
    """The methods that a protocol does not give what they train on, or that cannot be built for its image
    size, by its rules alone, with the reason.

    Args:
        protocol: with the size of the run.
        methods: what was chosen.
        preset: theirs, which may be narrower than the paper's and take smaller images.
    """
    from fesbench.methods.card import Problem
    from fesbench.runs.answerable import unbuildable
    from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

    lacking = "needs unlabelled images of another domain, and the protocol grants none (data.unlabelled)"
    problem = Problem(protocol.data.size, protocol.labels or EXPRESSIONS, ACTION_UNITS, 0)
    found = {}
    for kind in methods:
        reason = lacking if "unlabelled" in kind.card.needs and not protocol.data.unlabelled else ""
        if not reason and preset in kind.presets:
            reason = unbuildable(kind, problem, kind.presets[preset])
        if reason:
            found[kind.card.id] = reason
    return found


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
        from fesbench.weights.manager import WeightsManager

        check_helpers(helped, preset, WeightsManager(fesbench_home()))
    reasons = metric_reasons(protocol)
    if reason := network(DETECTOR).available():
        reasons["faces_not_found"] = reason
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if name not in WHERE_PRESENT)
    if strict and listed:
        raise WeightsError(f"--strict, and these metrics cannot run: {listed}")
    return reasons


def check_helpers(methods: Iterable[type[Method]], preset: str, manager: WeightsManager) -> None:
    """Refuse methods whose helper networks cannot be had here; to be asked before a run starts.

    Raises:
        WeightsError: names every method, the weights that it lacks, the command that gets them, and the
            presets of the method that do without.
    """
    lacking = [
        f"method '{kind.card.id}' needs {reason}{_ways_out(kind, name)}"
        for kind in methods
        for name in kind.helpers_of(kind.hyper_of(preset))
        if (reason := manager.available(name))
    ]
    if lacking:
        raise WeightsError("; ".join(lacking))


def _ways_out(method: type[Method], helper: str) -> str:
    """The presets that do without a helper, as the end of a sentence."""
    free = [name for name, hyper in method.presets.items() if helper not in method.helpers_of(hyper)]
    return f", or --preset {' or '.join(free)}, which leaves it out" if free else ""
