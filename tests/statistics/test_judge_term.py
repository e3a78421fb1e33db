"""Judges as a second factor: by hand, where p and interval agree, and the simulation of docs/ in short."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fesbench.statistics.intervals import Interval, cluster_mean, cluster_sums
from fesbench.statistics.judges import NO_JUDGES, JudgeTerm, widened
from fesbench.statistics.paired import difference_of_deleted, difference_of_draws, difference_of_means
from fesbench.statistics.significance import rank_groups

SCRIPT = Path(__file__).parents[2] / "docs" / "judge_coverage.py"
THREE = [0.5, 0.6, 0.7]
RATES = (0.0, 1.0)


def test_the_error_is_the_root_of_the_sum_of_squares():
    term = JudgeTerm.of(THREE)
    assert (term.error, term.freedom) == (pytest.approx(math.sqrt(0.02)), 2)
    assert term.margin() == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(0.02))
    assert JudgeTerm.of([0.6]) == JudgeTerm.of([]) == NO_JUDGES
    assert NO_JUDGES.margin() == 0


def test_one_panel_cancels_what_both_methods_owe_it():
    alike = [value - 0.1 for value in THREE]
    assert JudgeTerm.between(THREE, alike, same=True).error == pytest.approx(0, abs=1e-12)
    apart = JudgeTerm.between(THREE, alike, same=False)
    assert (apart.error, apart.freedom) == (pytest.approx(math.sqrt(0.04)), 4)
    assert JudgeTerm.between(THREE, [], same=False).error == pytest.approx(math.sqrt(0.02))


def test_half_widths_add_as_squares():
    plain = Interval(0.2, -0.1, 0.6, "t", 9)
    found = widened(plain, [0.1, 0.2, 0.3], bounds=None, trials=9)
    margin = stats.t.ppf(0.975, 2) * math.sqrt(0.02)
    assert found.low == pytest.approx(0.2 - math.hypot(0.3, margin))
    assert found.high == pytest.approx(0.2 + math.hypot(0.4, margin))
    assert found.method == "t; 3 judges"


def test_a_rate_is_widened_in_log_odds_and_stays_a_rate():
    plain = Interval(0.9, 0.85, 0.94, "t", 9)
    found = widened(plain, [0.85, 0.9, 0.95], bounds=RATES, trials=100)

    def odds(rate):
        return math.log((rate * 100 + 0.5) / ((1 - rate) * 100 + 0.5))

    spread = [odds(rate) for rate in (0.85, 0.9, 0.95)]
    half = stats.t.ppf(0.975, 2) * math.sqrt(sum((x - np.mean(spread)) ** 2 for x in spread))
    low = 1 / (1 + math.exp(half - odds(0.9)))
    assert found.low == pytest.approx(0.9 - math.hypot(0.05, 0.9 - low))
    assert 0.94 < found.high <= 1
    assert widened(Interval(1.0, 0.8, 1.0, "", 9), [1.0, 1.0, 0.5], bounds=RATES, trials=9).high == 1.0


def test_judges_who_agree_or_none_change_nothing():
    plain = cluster_mean([0, 1, 1, 0, 1, 1], [0, 0, 1, 1, 2, 2], seed=0, bounds=RATES)
    for without in ([], [0.6], [2 / 3] * 5):
        found = widened(plain, without, bounds=RATES, trials=6)
        assert (found.low, found.high) == (plain.low, plain.high)
    alone = cluster_mean([0, 1], [0, 0], seed=0, bounds=RATES)
    assert math.isnan(widened(alone, THREE, bounds=RATES, trials=2).low)


@pytest.mark.parametrize("people", [5, 12])
@pytest.mark.parametrize("members", [3, 5])
def test_p_inverts_the_interval_over_both_factors(people, members):
    rng, who, found = np.random.default_rng(members), np.repeat(np.arange(people), 7), []
    for _ in range(150):
        a, b = (
            cluster_sums((rng.random(len(who)) < rng.beta(more, 1, people)[who]).astype(float), who)
            for more in (6, 1)
        )
        plain = difference_of_means(*a, *b, seed=0)
        term = JudgeTerm.of((plain.value + 0.05 * rng.normal(size=members)).tolist())
        whole = difference_of_means(*a, *b, seed=0, judges=term)
        assert whole.low <= plain.low <= plain.high <= whole.high
        assert whole.p >= plain.p
        assert f"judges with {members - 1} degrees" in whole.method
        found.append((whole.p < 0.05, not whole.low <= 0 <= whole.high))
    assert all(small == outside for small, outside in found)
    assert any(outside for _, outside in found)


def test_p_of_a_difference_that_judges_alone_make_is_students():
    # every subject has the same difference, so that nothing but the judges' part is left
    sums, counts = np.full(12, 3.0), np.full(12, 7.0)
    found = difference_of_means(sums, counts, sums - 1, counts, seed=0, judges=JudgeTerm(0.06, 4))
    assert found.p == pytest.approx(2 * stats.t.sf(found.value / 0.06, 4), rel=1e-6)


def test_where_the_subjects_allow_no_bounds_there_is_no_p_over_judges():
    gap = np.array([0.1, 0.2, math.nan, 0.4, 0.1])
    found = difference_of_deleted(0.2, gap, np.zeros(5), clusters=5, judges=JudgeTerm.of(THREE))
    assert not np.isfinite([found.low, found.high]).any()
    assert math.isnan(found.p)


@pytest.mark.parametrize("pair", [difference_of_deleted, difference_of_draws])
def test_replicates_have_the_judges_part_as_well(pair):
    rng = np.random.default_rng(0)
    draws = 0.5 + 0.01 * rng.normal(size=2000 if pair is difference_of_draws else 12)
    plain = pair(0.5, draws, np.zeros(len(draws)), clusters=12)
    whole = pair(0.5, draws, np.zeros(len(draws)), clusters=12, judges=JudgeTerm(0.2, 2))
    assert whole.low == pytest.approx(0.5 - math.hypot(0.5 - plain.low, stats.t.ppf(0.975, 2) * 0.2))
    assert (whole.p < 0.05) == (whole.low > 0)
    assert plain.p < whole.p


def test_ranks_heed_judges_who_do_not_agree_on_the_order():
    who = np.repeat(np.arange(20), 5)
    rng = np.random.default_rng(0)
    values = {"a": rng.random(100) < 0.9, "b": rng.random(100) < 0.5}

    def ranks(without):
        return rank_groups(["a", "b"], values, who, True, 0, without_judge=without)

    assert ranks(None) == ranks({"a": THREE, "b": THREE}) == {"a": 1, "b": 2}
    assert ranks({"a": THREE, "b": THREE[::-1]}) == {"a": 1, "b": 1}


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("judge_coverage_simulation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("members", [3, 5])
@pytest.mark.parametrize("quantity", ["rate 0.8", "equal methods"])
def test_subjects_and_judges_are_covered(coverage, quantity, members):
    found = coverage.simulate(quantity, "1", members, 40, trials=200)
    # an interval that holds 94 % falls below once in two thousand tests
    assert found.crossed * 200 >= stats.binom.ppf(0.0005, 200, 0.94)
    assert found.subjects * 200 < stats.binom.ppf(0.0005, 200, 0.94), "judges who matter were not drawn"
