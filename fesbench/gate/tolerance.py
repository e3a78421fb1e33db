"""How much a score may move before the gate says so: defaults, and a small TOML file that changes them.

::

    expressions = false          # also judge scores of single expressions
    ignore = ["latency_p50_ms"]  # scores that are not judged

    [metrics]
    ECS = 0.02                   # in the metric's own unit
    "TAR@FAR=1%" = 0.05
    FID = "5%"                   # of the baseline's score

    [cost]
    images_per_second = "25%"    # costs are ratios: always a percentage
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fesbench.errors import UsageError
from fesbench.metrics.explain import card_of

COST_TOLERANCES: Mapping[str, float] = {
    "parameters": 0.05,
    "parameters_synthesis": 0.05,
    "flops": 0.05,
    "images_per_second": 0.25,
    "latency_p50_ms": 0.25,
    "memory_mb": 0.10,
}
"""Of the baseline's cost. Times are looser: even as ratios they tremble on shared machines."""

FRACTION, RANGE_SHARE, RELATIVE = 0.01, 0.005, 0.05
"""For metrics that no file names: shares of subjects' images, other bounded ranges, unbounded ones."""


@dataclass(frozen=True)
class Tolerance:
    """An amount in the metric's unit, or a share of the baseline's score."""

    amount: float
    relative: bool = False

    def of(self, baseline: float) -> float:
        """In the metric's unit."""
        return self.amount * abs(baseline) if self.relative else self.amount


@dataclass(frozen=True)
class Tolerances:
    """What the gate allows."""

    metrics: Mapping[str, Tolerance] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=lambda: COST_TOLERANCES)
    expressions: bool = False
    ignore: frozenset[str] = frozenset()

    def of(self, metric: str) -> Tolerance:
        """A metric's tolerance: the file's, or the default for its range."""
        return self.metrics[metric] if metric in self.metrics else default_tolerance(metric)


def default_tolerance(metric: str) -> Tolerance:
    """0.01 for fractions, 0.5 % of another finite range, 5 % of the baseline's score without one."""
    card = card_of(metric)
    if card is None or not math.isfinite(card.high - card.low):
        return Tolerance(RELATIVE, relative=True)
    return Tolerance(FRACTION if card.unit == "fraction" else RANGE_SHARE * (card.high - card.low))


def load_tolerances(path: Path, metrics: Collection[str]) -> Tolerances:
    """Read a tolerance file.

    Args:
        path: TOML.
        metrics: names that the file may speak of.

    Raises:
        UsageError: absent, no TOML, an unknown key, or a value that is no tolerance; names file and key.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; leave --tolerance out for the defaults") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from None
    _known(path, "", raw, ("expressions", "ignore", "metrics", "cost"))
    expressions, ignore = raw.get("expressions", False), raw.get("ignore", [])
    if not isinstance(expressions, bool):
        raise UsageError(f"{path}: 'expressions' must be true or false, not {expressions!r}")
    if not isinstance(ignore, list):
        raise UsageError(f"{path}: 'ignore' must be a list of names, not {ignore!r}")
    own, cost = (_section(path, raw, name) for name in ("metrics", "cost"))
    _known(path, "metrics.", own, metrics)
    _known(path, "cost.", cost, COST_TOLERANCES)
    _known(path, "ignore: ", ignore, [*metrics, *COST_TOLERANCES])
    costs = {}
    for name, value in cost.items():
        found = _tolerance(path, f"cost.{name}", value)
        if not found.relative:
            raise UsageError(f"{path}: 'cost.{name}' must be a percentage such as \"25%\", not {value!r}")
        costs[name] = found.amount
    return Tolerances(
        metrics={name: _tolerance(path, f"metrics.{name}", value) for name, value in own.items()},
        cost={**COST_TOLERANCES, **costs},
        expressions=expressions,
        ignore=frozenset(ignore),
    )


def _section(path: Path, raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{path}: '{name}' must be a table, [{name}]")
    return found


def _known(path: Path, place: str, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"{path}: '{place}{name}' is not known; known: {', '.join(sorted(set(known)))}")


def _tolerance(path: Path, key: str, value: Any) -> Tolerance:
    relative = isinstance(value, str) and value.endswith("%")
    try:
        amount = float(value[:-1]) / 100 if relative else float(value)
    except (TypeError, ValueError):
        amount = -1.0
    plain = relative or (isinstance(value, int | float) and not isinstance(value, bool))
    if not plain or not math.isfinite(amount) or amount < 0:
        raise UsageError(
            f"{path}: '{key}' must be a number >= 0 or a percentage such as \"5%\", not {value!r}"
        )
    return Tolerance(amount, relative)
