"""KID: by loops, against torch-fidelity, its subsets, and its interval."""

import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.metrics.distribution.kernel import KernelDistance, kernel_distance, subset_kernel_distance
from fesbench.statistics.intervals import jackknife


def features(n, d, seed, shift=0.0):
    """Correlated features with a decaying spectrum, as network features have."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(n, d)) / np.arange(1, d + 1) ** 0.5 @ basis + shift


def mmd_by_loops(x, y):
    k = lambda p, q: (p @ q / x.shape[1] + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return 1000 * (xx + yy - 2 * sum(k(p, q) for p in x for q in y) / (n * m))


def test_two_points_a_side_by_hand():
    # d = 1; kernels: x with x' (1*2+1)^3 = 27, y with y' (0*3+1)^3 = 1, between 1, 64, 1, 343.
    found = kernel_distance([[1.0], [2.0]], [[0.0], [3.0]]).value
    assert found == pytest.approx(1000 * (27 + 1 - (1 + 64 + 1 + 343) / 2))


def test_equals_the_definition_by_loops():
    x, y = features(6, 4, 1), features(9, 4, 2)
    assert kernel_distance(x, y).value == pytest.approx(mmd_by_loops(x, y), rel=1e-10)


def torch_fidelity_kid(x, y, size, subsets):
    from torch_fidelity.metric_kid import kid_features_to_metric

    found = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return 1000 * found["kernel_inception_distance_mean"]


def test_all_samples_equal_torch_fidelity_on_one_subset_of_all():
    x, y = features(50, 64, 1), features(50, 64, 2, shift=0.3)
    assert kernel_distance(x, y).value == pytest.approx(torch_fidelity_kid(x, y, 50, 1), rel=1e-9)


def test_subsets_equal_torch_fidelity_draw_for_draw():
    x, y = features(70, 32, 1), features(90, 32, 2, shift=0.2)
    ours = subset_kernel_distance(x, y, subsets=12, size=40, seed=2020).value
    assert ours == pytest.approx(torch_fidelity_kid(x, y, 40, 12), rel=1e-9)
    other_seed = subset_kernel_distance(x, y, subsets=12, size=40, seed=1).value
    assert other_seed != pytest.approx(ours, rel=1e-6)
    # Both estimate the same: the figure of all samples lies amid those of subsets.
    assert kernel_distance(x, y).value == pytest.approx(ours, rel=0.1)


@pytest.mark.parametrize("shared", [True, False])
def test_interval_equals_plain_deletion(shared):
    people = np.repeat(np.arange(6) * 3, [3, 4, 5, 3, 4, 5])
    x, y = features(24, 8, 1), features(24, 8, 2, shift=0.2)
    quick = kernel_distance(x, y, people, people if shared else None)
    plain = jackknife(lambda keep: kernel_distance(x[keep], y[keep] if shared else y).value, people)
    assert (quick.value, quick.low, quick.high) == pytest.approx(
        (plain.value, plain.low, plain.high), rel=1e-8
    )


def test_reference_people_of_their_own_are_kept():
    people, others = np.repeat(np.arange(6), 4), np.repeat([0, 1, 2, 7, 8, -5], 4)
    x, y = features(24, 8, 1), features(24, 8, 2, shift=0.2)
    quick = kernel_distance(x, y, people, others)
    deleted = [kernel_distance(x[people != who], y[others != who]).value for who in range(6)]
    assert quick.replicates.values == pytest.approx(deleted, rel=1e-9)


def test_one_subset_of_everything_has_the_interval_of_all_samples():
    people = np.repeat(np.arange(8), 5)
    x, y = features(40, 8, 1), features(40, 8, 2, shift=0.2)
    one, all_ = (
        subset_kernel_distance(x, y, people, people, subsets=1, size=40, seed=0),
        kernel_distance(x, y, people, people),
    )
    assert (one.value, one.low, one.high) == pytest.approx((all_.value, all_.low, all_.high), rel=1e-9)


def test_blocks_do_not_matter(monkeypatch):
    people = np.repeat(np.arange(10), 3)
    x, y = features(30, 8, 1), features(30, 8, 2)
    whole = kernel_distance(x, y, people, people)
    monkeypatch.setattr("fesbench.metrics.distribution.kernel._BLOCK", 7)
    parts = kernel_distance(x, y, people, people)
    assert (parts.value, parts.low, parts.high) == pytest.approx(
        (whole.value, whole.low, whole.high), rel=1e-9
    )


def test_unbiased_around_zero_and_grows_with_shift():
    found = [kernel_distance(features(30, 8, 2 * s), features(30, 8, 2 * s + 1)).value for s in range(60)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(60)
    assert min(found) < 0 < max(found)
    x, y = features(60, 8, 1), features(60, 8, 2)
    shifted = [kernel_distance(x + s, y).value for s in (0.0, 0.2, 0.5, 1.0)]
    assert shifted == sorted(shifted)


def people_with_faces(rng, spread=1.0):
    """15 subjects with 4 images each that share the subject's face: not independent."""
    return np.repeat(rng.normal(size=(15, 32)), 4, axis=0) * spread + 0.5 * rng.normal(size=(60, 32))


@pytest.mark.parametrize("spread", [1.0, 1.3])
def test_interval_covers_where_people_are_the_unit(spread):
    # Without a difference (spread 1) the jackknife is too wide rather than too short.
    rng, codes, found, plain = np.random.default_rng(11), np.repeat(np.arange(15), 4), [], []
    for _ in range(250):
        x, y = people_with_faces(rng, spread), people_with_faces(rng)
        found.append(kernel_distance(x, y, codes, codes))
        plain.append(kernel_distance(x, y))
    truth = np.mean([each.value for each in found])
    covered, naive = (np.mean([e.low <= truth <= e.high for e in made]) for made in (found, plain))
    assert covered >= 0.92
    assert naive < covered - 0.05


@pytest.mark.parametrize(("a", "b"), [((1, 3), (4, 3)), ((4, 3), (4, 2)), ((4,), (4,))])
def test_what_has_no_distance_is_refused(a, b):
    with pytest.raises(DataError, match="KID needs two samples a side"):
        kernel_distance(np.ones(a), np.ones(b))


def test_subsets_larger_than_a_side_are_refused():
    with pytest.raises(DataError, match="subsets of 30 cannot be drawn from 40 and 20 samples"):
        subset_kernel_distance(features(40, 3, 1), features(20, 3, 2), subsets=2, size=30, seed=0)


def test_few_people_have_no_interval():
    found = kernel_distance(features(12, 5, 1), features(12, 5, 2), np.zeros(12), np.zeros(12))
    assert np.isnan(found.low)
    assert "too few" in found.method


def test_the_column_with_subsets_says_its_size(make_inputs, all_rows, monkeypatch):
    given = {("inception-tf-2015", w): features(60, 6, s) for w, s in (("generated", 1), ("reference", 2))}
    people = np.repeat(np.arange(15), 4)
    inputs = make_inputs(people, features=given, reference_identity=people)
    found = KernelDistance(name="KID-1000").measure(inputs, all_rows(inputs))
    assert (found.card.name, found.value) == ("KID-1000", None)
    assert found.reason == "needs 1000 images a side, has 60 generated and 60 reference"
    assert dict(found.signature.fields)["subset"] == "100x1000-seed2020"
    assert dict(KernelDistance().measure(inputs, all_rows(inputs)).signature.fields)["subset"] == "all"
    monkeypatch.setattr("fesbench.metrics.distribution.kernel.SUBSET_SIZE", 40)
    monkeypatch.setattr("fesbench.metrics.distribution.kernel.SUBSETS", 5)
    small = KernelDistance(name="KID-1000", smallest=40)
    rows = np.random.default_rng(0).permutation(60)
    one, two = small.measure(inputs, all_rows(inputs)), small.measure(inputs, rows)
    # The draws go by the requests' names, not by the order in which they are asked for.
    assert one.value == pytest.approx(two.value, rel=1e-12)
    assert one.low < one.value < one.high
    assert dict(one.signature.fields)["subset"] == "5x40-seed2020"
