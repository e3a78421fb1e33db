"""A short form of the simulation in docs/coverage.py, with bounds that a wrong interval would break."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest
from scipy import stats

from fesbench.statistics.intervals import cluster_mean

SCRIPT = Path(__file__).parents[2] / "docs" / "coverage.py"
TRIALS = 250


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage_simulation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("people", [8, 40])
@pytest.mark.parametrize("quantity", ["score", "success rate", "difference"])
def test_people_are_covered_and_pictures_are_not(coverage, quantity, people):
    found = coverage.simulate(quantity, people, trials=TRIALS)
    # an interval that holds 93 to 97 % falls outside these bounds once in a thousand tests
    low, high = stats.binom.ppf(0.0005, TRIALS, 0.93), stats.binom.ppf(0.9995, TRIALS, 0.97)
    # rates are held by the outer bounds of three intervals, which cost width
    assert low <= found.fesbench * TRIALS <= (TRIALS if quantity == "success rate" else high)
    assert found.naive * TRIALS < stats.binom.ppf(0.0005, TRIALS, 0.95)


@pytest.mark.parametrize(("rate", "people"), [(0.9, 10), (0.95, 20), (0.95, 40)])
def test_high_rates_are_covered(coverage, rate, people):
    # Student's t and the bootstrap alone hold 91 to 93 % here
    assert coverage.rate_coverage(rate, 0.6, people, trials=300) * 300 >= stats.binom.ppf(0.0005, 300, 0.97)


def test_an_interval_that_is_too_short_is_caught(coverage, monkeypatch):
    short = partial(cluster_mean, level=0.8)
    monkeypatch.setattr(coverage, "cluster_mean", short)
    found = coverage.simulate("score", 8, trials=TRIALS)
    assert found.fesbench * TRIALS < stats.binom.ppf(0.0005, TRIALS, 0.93)
