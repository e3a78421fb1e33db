import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fesbench.errors import DataError
from fesbench.statistics.intervals import (
    bca,
    bootstrap_interval,
    cluster_mean,
    cluster_sums,
    deleted_means,
    expanded,
    jackknife,
    korn_graubard,
)
from fesbench.statistics.significance import (
    holm,
    rank_groups,
    unpaired_difference,
)

# --- means ---


def test_t_interval_by_hand():
    # Equal clusters {1,3}, {5,7}, {9,11}: means 2, 6, 10, so 6 +- t(2) * 4 / sqrt(3).
    found = cluster_mean([1, 3, 5, 7, 9, 11], [0, 0, 1, 1, 2, 2], seed=0)
    half = 4.302652729911275 * 4 / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((6, 6 - half, 6 + half))
    assert found.clusters == 3


def test_unequal_clusters_give_the_mean_over_values():
    found = cluster_mean([0, 0, 0, 1], [0, 0, 0, 1], seed=0)
    # residual sums -0.75 and 0.75; variance 2 * (0.5625 + 0.5625) / 16
    assert found.value == 0.25
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(2 * 1.125) / 4)


def test_bca_equals_scipy_on_the_same_resamples():
    values = np.sort(np.random.default_rng(3).exponential(size=25))
    draws = values[np.random.default_rng(11).integers(0, 25, (2000, 25))].mean(axis=1)
    deleted = (values.sum() - values) / 24
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(11)
    ).confidence_interval
    assert bca(values.mean(), draws, deleted) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_interval_is_the_outer_bound_of_t_and_expanded_bca():
    values = np.sort(np.random.default_rng(3).exponential(size=25))
    found = cluster_mean(values, np.arange(25), seed=11, replicates=2000)
    draws = values[np.random.default_rng(11).integers(0, 25, (2000, 25))].mean(axis=1)
    low, high = bca(values.mean(), draws, (values.sum() - values) / 24, expanded(0.95, 25))
    t = stats.t.interval(0.95, 24, values.mean(), values.std(ddof=1) / 5)
    assert t[0] < low  # skewed to the right: t reaches too far below and not far enough above
    assert t[1] < high
    assert (found.low, found.high) == pytest.approx((t[0], high))


def test_expanded_level_by_hand():
    # K = 12: t(11) = 2.20099, times sqrt(12/11) = 2.29886; the normal tail beyond it is 0.010756
    assert expanded(0.95, 12) == pytest.approx(1 - 2 * 0.010756, abs=1e-5)
    assert expanded(0.95, 10_000) == pytest.approx(0.95, abs=1e-4)


def test_bootstrap_interval_of_few_clusters_is_a_t_interval_within_the_bounds():
    draws = np.array([0.8, 0.9, 1.0, np.nan])
    found = bootstrap_interval(0.9, draws, clusters=4, bounds=(0.0, 1.0))
    assert found.low == pytest.approx(0.9 - stats.t.ppf(0.975, 3) * 0.1)
    assert found.high == 1.0


def test_jackknife_keeps_what_a_paired_comparison_needs():
    values = np.array([3.0, 1, 4, 1])
    found = jackknife(lambda mask: float(values[mask].mean()), np.array(["d", "a", "c", "b"]))
    assert found.replicates.clusters == ("a", "b", "c", "d")
    assert found.replicates.values == pytest.approx([8 / 3, 8 / 3, 5 / 3, 2])


def test_pictures_of_one_person_do_not_count_twice():
    rng = np.random.default_rng(0)
    people = rng.normal(size=40)
    once = cluster_mean(people, np.arange(40), seed=1)
    often = cluster_mean(np.repeat(people, 50), np.repeat(np.arange(40), 50), seed=1)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def _coverage(cluster_of, trials=300):
    covered, people, per = 0, 25, 8
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        values = np.repeat(rng.normal(size=people), per) + 0.3 * rng.normal(size=people * per)
        found = cluster_mean(values, cluster_of(people, per), seed=trial, replicates=500)
        covered += found.low <= 0 <= found.high
    return covered / trials


def test_coverage_holds_with_identities_and_fails_with_images():
    assert 0.90 <= _coverage(lambda k, n: np.repeat(np.arange(k), n)) <= 0.99
    assert _coverage(lambda k, n: np.arange(k * n)) < 0.75


@pytest.mark.parametrize("k", [5, 12])
def test_coverage_with_few_identities(k):
    covered = 0
    for trial in range(300):
        rng = np.random.default_rng(trial)
        values = np.repeat(rng.normal(size=k), 6) + 0.3 * rng.normal(size=6 * k)
        found = cluster_mean(values, np.repeat(np.arange(k), 6), seed=0)
        covered += found.low <= 0 <= found.high
    assert 0.91 <= covered / 300 <= 0.985


def test_all_right_is_not_certain():
    found = cluster_mean(np.ones(80), np.repeat(np.arange(40), 2), seed=0, bounds=(0, 1))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 40, 1))  # Clopper-Pearson, 40 of 40
    none = cluster_mean(np.zeros(80), np.repeat(np.arange(40), 2), seed=0, bounds=(0, 1))
    assert none.high == pytest.approx(1 - found.low)


def test_one_identity_has_no_interval():
    found = cluster_mean([1.0, 2.0], [4, 4], seed=0)
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 30)), min_size=2, max_size=80), st.integers(0, 99))
def test_order_does_not_matter_and_interval_holds_the_value(rows, seed):
    values, clusters = (np.array(column) for column in zip(*rows, strict=True))
    found = cluster_mean(values, clusters, seed=3, replicates=200)
    order = np.random.default_rng(seed).permutation(len(values))
    again = cluster_mean(values[order], clusters[order], seed=3, replicates=200)
    assert found == again or math.isnan(found.low)
    assert values.min() - 1e-9 <= found.value <= values.max() + 1e-9


def test_global_random_state_is_left_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = cluster_mean(np.arange(50.0), np.arange(50), seed=4)
    np.random.seed(2)
    assert cluster_mean(np.arange(50.0), np.arange(50), seed=4) == first
    assert cluster_mean(np.arange(50.0), np.arange(50), seed=5) != first
    np.random.seed(1)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize(
    ("values", "clusters"), [([1.0, np.nan], [0, 1]), ([np.inf, 1.0], [0, 1]), ([], []), ([1.0], [0, 1])]
)
def test_refuses_missing_values(values, clusters):
    with pytest.raises(DataError):
        cluster_mean(values, clusters, seed=0)


def test_cluster_sums_by_hand():
    sums, counts = cluster_sums([1, 2, 3, 4], ["b", "a", "b", "b"])
    assert sums.tolist() == [2, 8]
    assert counts.tolist() == [1, 3]


# --- jackknife ---


def test_jackknife_of_a_mean_is_the_textbook_standard_error():
    values = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    found = jackknife(lambda mask: float(values[mask].mean()), np.arange(8))
    half = stats.t.ppf(0.975, 7) * values.std(ddof=1) / math.sqrt(8)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_jackknife_by_groups_keeps_the_number_of_identities():
    values = np.arange(60.0)
    found = jackknife(lambda mask: float(values[mask].mean()), np.arange(60), groups=20)
    assert found.clusters == 60
    assert "20 identity groups" in found.method
    assert found.value == 29.5


# --- rates ---

rates = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=60)


@given(rates)
def test_a_rate_always_has_an_interval_around_it_and_mirrored_answers_mirror_it(rows):
    answers, who = (np.array(column) for column in zip(*rows, strict=True))
    if len(np.unique(who)) == 1:
        return
    found = cluster_mean(answers, who, seed=0, bounds=(0.0, 1.0))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.01
    mirrored = cluster_mean(1 - answers, who, seed=0, bounds=(0.0, 1.0))
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=0.02)


def test_three_subjects_of_equal_rates_prove_little():
    answers, who = np.tile([1, 1, 1, 1, 1, 0], 3), np.repeat(np.arange(3), 6)
    found = cluster_mean(answers, who, seed=0, bounds=(0.0, 1.0))
    assert found.value == pytest.approx(15 / 18)
    assert found.low < 0.6
    assert found.high > 0.96


def test_equal_means_of_subjects_leave_the_spread_of_their_images():
    values, who = np.tile([1.0, 2.0, 3.0], 4), np.repeat(np.arange(4), 3)
    found = cluster_mean(values, who, seed=0)
    half = stats.t.ppf(0.975, 3) * values.std() / np.sqrt(12)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))


def test_one_trial_a_subject_is_nearly_clopper_pearson():
    answers = np.array([1.0] * 30 + [0.0] * 10)
    low, high = korn_graubard(answers, np.ones(40), (0.0, 1.0))
    plain = stats.binomtest(30, 40).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((plain.low, plain.high), abs=0.01)
    scaled = korn_graubard(10 * answers + 5, np.ones(40), (5.0, 15.0))
    assert scaled == pytest.approx((5 + 10 * low, 5 + 10 * high))


# --- several rows ---


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    with pytest.raises(DataError):
        holm([0.5, np.nan])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_raw_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-12).all()


# --- ranks ---


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(30), 7)
    base = np.repeat(rng.normal(size=30), 7)
    noise = lambda: 0.2 * rng.normal(size=210)  # noqa: E731
    return clusters, {
        "best": base + 2,
        "good": base + 1 + noise(),
        "alike": base + 1 + noise(),
        "poor": base + noise(),
    }


def test_rank_groups_tie_what_cannot_be_told_apart(rows):
    clusters, values = rows
    expected = {"best": 1, "good": 2, "alike": 2, "poor": 3}
    assert rank_groups(list(values), values, clusters, True, seed=0) == expected
    assert rank_groups(list(values)[::-1], values, clusters, True, seed=0) == expected
    upside_down = {name: -v for name, v in values.items()}
    assert rank_groups(list(values), upside_down, clusters, False, seed=0) == expected


def test_rank_groups_of_pure_noise_are_rarely_split():
    clusters, split = np.repeat(np.arange(25), 4), 0
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        values = {f"m{i}": rng.normal(size=100) for i in range(5)}
        split += max(rank_groups(list(values), values, clusters, True, seed=0).values()) > 1
    assert split <= 2


def test_two_identities_can_prove_nothing():
    values = {"a": np.array([1.0, 1.0]), "b": np.array([0.0, 0.0])}
    assert rank_groups(["a", "b"], values, [0, 1], True, seed=0) == {"a": 1, "b": 1}


def test_rank_groups_of_nothing_and_of_one(rows):
    clusters, values = rows
    assert rank_groups([], {}, clusters, True, seed=0) == {}
    assert rank_groups(["best"], values, clusters, True, seed=0) == {"best": 1}


# --- groups of different subjects ---


def test_an_unpaired_difference_of_few_people_is_welchs() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.0, 1.0, 1.5])
    found = unpaired_difference(a, np.arange(4), b, np.arange(3), seed=0)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.clusters == 7


def test_an_unpaired_difference_resamples_people_not_pictures() -> None:
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(40), 25)
    a, b = (rng.normal(0, 1, 40)[people] for _ in range(2))
    clustered = unpaired_difference(a, people, b, people, seed=0)
    naive = unpaired_difference(a, np.arange(1000), b, np.arange(1000), seed=0)
    assert clustered.high - clustered.low > 3 * (naive.high - naive.low)
    assert clustered.low < clustered.value < clustered.high
    assert "independent cluster bootstrap" in clustered.method


def test_an_unpaired_difference_of_ten_people_is_no_shorter_than_welchs() -> None:
    a, b = np.random.default_rng(5).normal(size=(2, 10))
    found = unpaired_difference(a, np.arange(10), b, np.arange(10), seed=0)
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.low <= welch.low + 1e-12
    assert found.high >= welch.high - 1e-12


def test_means_without_each_person() -> None:
    found = deleted_means([1.0, 2.0, 6.0, 9.0], ["b", "b", "a", "c"])
    assert found is not None
    assert (found.kind, found.clusters) == ("delete-one-identity", ("a", "b", "c"))
    assert found.values.tolist() == [4.0, 7.5, 3.0]
    assert deleted_means([1.0, 2.0], ["a", "a"]) is None


def test_an_unpaired_difference_needs_two_people_on_either_side() -> None:
    with pytest.raises(DataError, match="two subjects"):
        unpaired_difference([1.0, 2.0], ["a", "b"], [1.0, 2.0], ["c", "c"], seed=0)
