"""Paired differences: by hand, against the plain paired test, and what must cancel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fesbench.errors import DataError
from fesbench.statistics.intervals import cluster_mean, cluster_sums, unexpanded
from fesbench.statistics.paired import difference_of_deleted, difference_of_draws, difference_of_means


def sums(values, who):
    return cluster_sums(np.asarray(values, dtype=float), np.asarray(who))


def test_three_people_by_hand():
    # differences of the subjects' means: 1, 2, 6; equal counts, so 3 +- t(2) * sd / sqrt(3)
    found = difference_of_means(*sums([2, 4, 9], [0, 1, 2]), *sums([1, 2, 3], [0, 1, 2]), seed=0)
    half = stats.t.ppf(0.975, 2) * np.std([1, 2, 6], ddof=1) / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((3, 3 - half, 3 + half))
    assert found.p == pytest.approx(stats.ttest_1samp([1, 2, 6], 0).pvalue)
    assert (found.higher, found.lower, found.people) == (3, 0, 3)


def test_equal_counts_give_the_plain_paired_test():
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), 7)
    a, b = rng.normal(size=210), rng.normal(size=210) + 0.1
    mine = difference_of_means(*sums(a, who), *sums(b, who), seed=3)
    plain, gaps = cluster_mean(a - b, who, seed=3), sums(a - b, who)[0]
    assert mine.value == pytest.approx(plain.value)
    plain_p = stats.ttest_1samp(gaps, 0).pvalue  # t's, or the bootstrap's where that is larger
    assert plain_p - 1e-12 <= mine.p < 2 * plain_p
    assert mine.high - mine.low == pytest.approx(plain.high - plain.low, rel=0.1)  # other draws
    assert mine.higher == (gaps > 0).sum()


@pytest.mark.parametrize("people", [5, 9, 20])
def test_p_and_interval_never_contradict_one_another_and_chance_is_rarely_taken_for_a_difference(people):
    rng, found = np.random.default_rng(people), []
    who = np.repeat(np.arange(people), 7)
    for _ in range(300):
        level = rng.beta(1.0, 0.4, people)
        a, b = ((rng.random(len(who)) < level[who]).astype(float) for _ in range(2))
        found.append(difference_of_means(*sums(a, who), *sums(b, who), seed=0))
    outside = [not row.low <= 0 <= row.high for row in found]
    assert [row.p < 0.05 for row in found] == outside
    assert np.mean(outside) < stats.binom.ppf(0.9995, 300, 0.05) / 300


@pytest.mark.parametrize("size", [1.0, 1e3, 1e9])
def test_an_overwhelming_difference_has_a_p_of_nearly_nothing(size):
    rng, who = np.random.default_rng(0), np.arange(40)
    found = difference_of_means(*sums(size + rng.exponential(size=40), who), *sums(np.zeros(40), who), seed=0)
    assert 0 <= found.p < 1e-4


def test_p_and_interval_of_draws_agree():
    rng = np.random.default_rng(0)
    for _ in range(200):
        draws = rng.normal(rng.normal(scale=1.5), 1.0, size=2000)
        found = difference_of_draws(float(draws.mean()), draws, np.zeros(2000), clusters=20)
        inside = found.low <= 0 <= found.high
        assert abs(found.p - 0.05) < 0.005 or (found.p >= 0.05) == inside


def test_pairs_show_what_separate_intervals_hide():
    rng = np.random.default_rng(0)
    level, who = np.repeat(rng.normal(size=30), 5), np.repeat(np.arange(30), 5)
    a, b = level + 0.1 + 0.02 * rng.normal(size=150), level
    assert cluster_mean(a, who, seed=0).low < cluster_mean(b, who, seed=0).high
    found = difference_of_means(*sums(a, who), *sums(b, who), seed=0)
    assert 0.09 < found.low < found.value < found.high < 0.11
    assert found.p < 0.001
    assert (found.higher, found.people) == (30, 30)


def test_a_difference_is_antisymmetric_and_zero_on_itself():
    rng = np.random.default_rng(2)
    a, b, who = rng.normal(size=90), rng.normal(size=90), np.repeat(np.arange(30), 3)
    x, y = sums(a, who), sums(b, who)
    forth, back = difference_of_means(*x, *y, seed=1), difference_of_means(*y, *x, seed=1)
    assert forth.value == pytest.approx(-back.value)
    assert forth.low == pytest.approx(-back.high, abs=1e-3)
    assert forth.p == back.p
    assert (forth.higher, forth.lower) == (back.lower, back.higher)
    same = difference_of_means(*x, *x, seed=1)
    assert (same.value, same.low, same.high, same.p, same.higher, same.lower) == (0, 0, 0, 1.0, 0, 0)


def test_what_people_share_cancels():
    rng = np.random.default_rng(1)
    level, noise = 10 * rng.normal(size=20), 0.1 * rng.normal(size=20)
    found = difference_of_means(*sums(level + noise, range(20)), *sums(level, range(20)), seed=0)
    assert found.high - found.low < 0.3


def test_unequal_counts_are_weighed_and_a_person_without_values_is_not_asked():
    # a: subject 0 has 1 of 3 images; subject 3 has values under b alone
    found = difference_of_means(
        np.array([3.0, 6, 6, 0]),
        np.array([1.0, 3, 3, 0]),
        np.array([3.0, 3, 3, 5]),
        np.array([3.0, 3, 3, 5]),
        seed=0,
    )
    assert found.value == pytest.approx(15 / 7 - 1)
    assert (found.higher, found.lower, found.people) == (3, 0, 3)
    assert found.low < found.value < found.high


def test_one_person_allows_no_interval():
    found = difference_of_means(np.array([3.0]), np.array([2.0]), np.array([1.0]), np.array([2.0]), seed=0)
    assert (found.value, found.people) == (1.0, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.p)


def test_a_side_without_values_is_refused():
    with pytest.raises(DataError, match="both sides"):
        difference_of_means(np.zeros(2), np.zeros(2), np.ones(2), np.ones(2), seed=0)


values = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 14)), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(values, st.randoms())
def test_changing_sides_changes_signs_and_nothing_else(rows, random):
    first, who = (np.array(column) for column in zip(*rows, strict=True))
    second = np.array([random.uniform(-5, 5) for _ in rows])
    a, b = sums(first, who), sums(second, who)
    one, two = difference_of_means(*a, *b, seed=1), difference_of_means(*b, *a, seed=1)
    assert one.value == pytest.approx(-two.value)
    assert (one.higher, one.lower) == (two.lower, two.higher)
    if len(a[0]) > 1:
        assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)
        assert one.p == pytest.approx(two.p)
        assert one.low <= one.value <= one.high


def test_no_change_is_no_change():
    found = difference_of_means(*sums(range(12), range(12)), *sums(range(12), range(12)), seed=0)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.higher, found.lower) == (0, 0)


def test_jackknife_of_means_is_the_paired_t_test():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=9) + 1, rng.normal(size=9)
    deleted = [(x.sum() - x) / 8 for x in (a, b)]
    found = difference_of_deleted(a.mean() - b.mean(), deleted[0], deleted[1], clusters=9)
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(test.pvalue)


def test_bootstrap_draws_are_subtracted_draw_by_draw():
    rng = np.random.default_rng(6)
    shared = rng.normal(size=2000)
    draws = shared + 0.01 * rng.normal(size=2000) + 1
    draws[3] = np.nan
    found = difference_of_draws(1.0, draws, shared, clusters=40)
    assert found.low == pytest.approx(1 - 0.0205, abs=0.003)
    assert found.p == pytest.approx(unexpanded(2 / 2000, 40))
    few = difference_of_draws(1.0, draws, shared, clusters=4)
    assert few.high - few.low > found.high - found.low
    assert difference_of_draws(0.0, shared, shared, clusters=4).p == 1.0
