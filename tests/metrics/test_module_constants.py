"""A module's number that moves a metric's values stands in the metric's settings, and so in its signature."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import fesbench.metrics
from fesbench.metrics import METRICS

NO_VALUE = {
    "metrics.table": "prints the table",
    "metrics.motion.mds": "draws a picture",
    "metrics.motion.landmark_motion": "figures of a library function, no score of a record",
}
"""Modules without values."""

REFUSES, INTERVAL, SPEED = "below it there is no score", "moves an interval's groups, no value", "speed alone"
MOVE_NOTHING = {
    "metrics.augmentation.RESAMPLING_SEED": INTERVAL,
    "metrics.control.action_unit_error.ACTION_UNITS": "FACS' own numbers",
    "metrics.control.face_hull._CHIN": "iBUG's number of the chin",
    "metrics.control.face_hull._ON_EDGE": "rounding tolerance of a distance",
    "metrics.identity.clip_distance.MISSING": "that of metrics.identity.acd",
    "metrics.motion.timing.STILL": "rounding tolerance of a squared way",
    "metrics.control.landmarks._OUTER_EYES": "iBUG's numbers of what the signature calls outer-eyes",
    "metrics.distribution.clip_distributions.SMALLEST": REFUSES,
    "metrics.distribution.frechet_distance.SMALLEST": REFUSES,
    "metrics.distribution.frechet_math.CHEAP": INTERVAL,
    "metrics.distribution.frechet_math.GROUPS": INTERVAL,
    "metrics.distribution.frechet_math.ROUNDING": "tells rounding from an error",
    "metrics.distribution.frechet_math.WELL_CONDITIONED": SPEED,
    "metrics.distribution.frechet_variants.JACKKNIFE_GROUPS": INTERVAL,
    "metrics.distribution.frechet_variants.SMALLEST": REFUSES,
    "metrics.distribution.inception_score.SMALLEST_SPLIT": REFUSES,
    "metrics.distribution.kernel.HELD_KERNEL": SPEED,
    "metrics.distribution.kernel._BLOCK": SPEED,
    "metrics.distribution.kernel._COLUMNS": SPEED,
    "metrics.distribution.memorization.FEWEST_REAL": REFUSES,
    "metrics.distribution.memorization._CHUNK": SPEED,
    "metrics.distribution.moments.BLOCK": SPEED,
    "metrics.distribution.moments.WELL_CONDITIONED": SPEED,
    "metrics.distribution.neighbors.GROUPS": INTERVAL,
    "metrics.distribution.neighbors.HELD_DISTANCES": SPEED,
    "metrics.distribution.neighbors.ROUNDING": "rounding tolerance of a distance",
    "metrics.distribution.real_halves.CHEAP": "number of splits of the band, which the record holds",
    "metrics.distribution.real_halves.FEWEST_SUBJECTS": REFUSES,
    "metrics.distribution.real_halves.FEW_SPLITS": "number of splits of the band, which the record holds",
    "metrics.distribution.real_halves.SPLITS": "number of splits of the band, which the record holds",
    "metrics.fidelity.ssim_psnr.LUMA": "Rec. 601's own, which the signature calls luma-601",
    "metrics.identity.acd.MISSING": "the signature calls it sqrt2",
    "metrics.identity.verification_math._CHUNK": SPEED,
}
"""Constants that move no value, with the reason."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(fesbench.metrics.__path__, "fesbench.metrics."):
        if not found.ispkg and found.name.removeprefix("fesbench.") not in NO_VALUE:
            yield importlib.import_module(found.name)


def numbers(module: ModuleType) -> Iterator[str]:
    """Names of the module's own constants that are numbers, or tuples or dictionaries of them."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) is None
        if name.strip("_").isupper() and own and any(type(leaf) in (int, float) for leaf in leaves(value)):
            yield name


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, tuple) else [value]


def moved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: moved(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(part) for part in value)
    return value if isinstance(value, str) else value + 1 if isinstance(value, int) else value * 1.01


def settings() -> dict[str, dict[str, str]]:
    return {name: metric.settings() for name, metric in METRICS.all().items()}


CONSTANTS = [
    (module.__name__.removeprefix("fesbench."), name) for module in modules() for name in numbers(module)
]


@pytest.mark.parametrize(("module", "name"), CONSTANTS)
def test_it_stands_in_a_signature_or_moves_nothing(module: str, name: str, monkeypatch: Any) -> None:
    before = settings()
    value = getattr(sys.modules[f"fesbench.{module}"], name)
    for other in modules():
        # Imported by name it is the same object under the same name.
        if vars(other).get(name) is value:
            monkeypatch.setattr(other, name, moved(value))
    assert (settings() != before) != (f"{module}.{name}" in MOVE_NOTHING), "into settings(), or give a reason"


def test_reasons_are_for_constants_that_are() -> None:
    assert set(MOVE_NOTHING) <= {f"{module}.{name}" for module, name in CONSTANTS}
