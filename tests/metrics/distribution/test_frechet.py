from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.errors import DataError
from fesbench.metrics import metric
from fesbench.metrics.distribution.frechet_distance import SMALLEST, FrechetDistance
from fesbench.metrics.distribution.frechet_math import frechet_distance, frechet_jackknife
from fesbench.metrics.distribution.kernel import KernelDistance
from fesbench.metrics.distribution.real_halves import band_of, real_halves
from fesbench.statistics.intervals import jackknife


def features(n, d, seed, shift=0.0, dtype=np.float32):
    """Correlated features with a decaying spectrum, as network features have."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).normal(size=(d, d)) / np.sqrt(d)
    return (rng.normal(size=(n, d)) / np.arange(1, d + 1) ** 0.5 @ basis + shift).astype(dtype)


def svd_reference(a, b):
    """The definition by singular value decompositions of centered features, no covariance formed."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    x, y = (a - a.mean(0)) / np.sqrt(len(a) - 1), (b - b.mean(0)) / np.sqrt(len(b) - 1)
    _, s, v = np.linalg.svd(x, full_matrices=False)
    _, t, w = np.linalg.svd(y, full_matrices=False)
    root = np.linalg.svd((s[:, None] * v) @ (t[:, None] * w).T, compute_uv=False).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + (s**2).sum() + (t**2).sum() - 2 * root


def torch_fidelity_fid(a, b):
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    stats = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    return fid_statistics_to_metric(*stats, verbose=False)[KEY_METRIC_FID]


def test_one_dimension_by_hand():
    # means 2 and 5, standard deviations sqrt(2) and sqrt(8): 9 + (2 sqrt 2 - sqrt 2)^2 = 11
    assert frechet_distance([[1.0], [3.0]], [[3.0], [7.0]]) == pytest.approx(11.0, rel=1e-12)


def test_diagonal_gaussians_by_hand():
    # Variances (2/3) a^2 on each axis: sum over axes of (s1 - s2)^2, plus the squared shift 1 + 4.
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    a, b = cross * [2.0, 1.0], cross * [3.0, 5.0] + [1.0, 2.0]
    assert frechet_distance(a, b) == pytest.approx(5 + 2 / 3 * (1 + 16), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(60, 60, 200), (200, 300, 50), (60, 300, 100), (2, 3, 5), (50, 50, 50)]
)
def test_equals_svd_reference(n, m, d):
    a, b = features(n, d, 1), features(m, d, 2, shift=0.1)
    assert frechet_distance(a, b) == pytest.approx(svd_reference(a, b), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(100, 256), (600, 128)])
def test_equals_torch_fidelity(n, d):
    a, b = features(n, d, 3), features(n, d, 4, shift=0.05)
    assert frechet_distance(a, b) == pytest.approx(torch_fidelity_fid(a, b), abs=1e-4, rel=1e-5)


def test_full_rank_case_equals_torch_fidelity_in_float64():
    a, b = features(600, 64, 3, dtype=np.float64), features(500, 64, 4, shift=0.05, dtype=np.float64)
    assert frechet_distance(a, b) == pytest.approx(torch_fidelity_fid(a, b), rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(20, 64), (300, 64), (5, 3)])
def test_identical_inputs_are_zero_and_never_negative(n, d):
    a = features(n, d, 5)
    assert 0 <= frechet_distance(a, a) <= 1e-9
    assert 0 <= frechet_distance(a, a[::-1]) <= 1e-9


@pytest.mark.parametrize("n", [30, 400])
def test_dead_and_repeated_features_are_no_obstacle(n):
    a, b = features(n, 30, 6), features(n, 30, 7)
    dead = np.zeros((n, 10), dtype=np.float32)
    assert frechet_distance(np.hstack((a, dead)), np.hstack((b, dead))) == pytest.approx(
        frechet_distance(a, b)
    )
    twice = [np.hstack((x, x)).astype(np.float64) for x in (a, b)]
    assert frechet_distance(*twice) == pytest.approx(2 * frechet_distance(a, b), rel=1e-9)
    assert 0 <= frechet_distance(twice[0], twice[0]) <= 1e-9


@pytest.mark.parametrize("decay", [1, 3, 6])
def test_nearly_singular_features(decay):
    # Cholesky factors lose small variances; the distance must not.
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, 41.0) ** -decay
    a, b = (rng.normal(size=(200, 40)) * spectrum for _ in range(2))
    assert frechet_distance(a, b) == pytest.approx(svd_reference(a, b), rel=1e-9)
    assert 0 <= frechet_distance(a, a) <= 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 40), st.integers(0, 10_000))
def test_symmetric_order_free_and_shift_free(n, m, d, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 2
    value = frechet_distance(a, b)
    assert value >= 0
    assert frechet_distance(b, a) == pytest.approx(value, rel=1e-8, abs=1e-9)
    assert frechet_distance(rng.permutation(a), b) == pytest.approx(value, rel=1e-8, abs=1e-9)
    assert frechet_distance(a + 3, b + 3) == pytest.approx(value, rel=1e-8, abs=1e-9)
    assert frechet_distance(2 * a, 2 * b) == pytest.approx(4 * value, rel=1e-8, abs=1e-9)


def test_grows_with_noise():
    clean, rng = features(200, 32, 8, dtype=np.float64), np.random.default_rng(0)
    noise = rng.normal(size=clean.shape)
    found = [frechet_distance(clean + scale * noise, clean) for scale in (0.0, 0.1, 0.3, 1.0, 3.0)]
    assert found == sorted(found)
    assert found[-1] > 10 * found[1]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((1, 3)), np.ones((4, 3))),
        (np.ones((4, 3)), np.ones((4, 2))),
        (np.full((4, 3), np.nan), np.ones((4, 3))),
    ],
)
def test_refuses_what_has_no_distance(a, b):
    with pytest.raises(DataError):
        frechet_distance(a, b)


@pytest.mark.parametrize(("d", "shared"), [(200, True), (200, False), (20, True)])
def test_jackknife_equals_plain_deletion(d, shared):
    people = np.repeat(np.arange(8) * 3, 5)
    a, b = features(40, d, 9), features(40, d, 10, shift=0.1)
    quick = frechet_jackknife(a, b, people, people if shared else None)

    def without(mask):
        return frechet_distance(a[mask], b[mask] if shared else b)

    plain = jackknife(without, people)
    assert (quick.value, quick.low, quick.high) == pytest.approx(
        (plain.value, plain.low, plain.high), rel=1e-9
    )
    assert quick.clusters == 8
    assert quick.low < quick.value < quick.high


def test_jackknife_groups_many_identities_when_large(monkeypatch):
    monkeypatch.setattr("fesbench.metrics.distribution.frechet_math.CHEAP", 10)
    people = np.repeat(np.arange(40), 2)
    interval = frechet_jackknife(features(80, 30, 1), features(80, 30, 2), people, people)
    assert interval.method == "jackknife, delete one of 20 identity groups"
    assert interval.clusters == 40


def test_one_identity_has_no_interval():
    interval = frechet_jackknife(features(12, 5, 1), features(12, 5, 2), np.zeros(12), np.zeros(12))
    assert np.isnan(interval.low)


# --- the metrics on evidence ---


@pytest.fixture
def inputs(make_inputs):
    people = np.repeat(np.arange(10), 4)
    given = {
        (name, which): features(40, 12, seed, shift)
        for name in ("inception-tf-2015", "dlib")
        for which, seed, shift in (("generated", 1, 0.0), ("reference", 2, 0.2))
    }
    return make_inputs(
        people,
        features=given,
        labels=np.tile([1, 2, 3, 4], 10),
        reference_identity=people,
        reference_labels=np.tile([1, 2, 3, 4], 10),
    )


@pytest.mark.parametrize("metric", [FrechetDistance(), FrechetDistance("dlib"), KernelDistance()])
def test_metric_pooled(metric, inputs, all_rows):
    found = metric.measure(inputs, all_rows(inputs))
    assert found.low < found.value < found.high
    assert (found.n_requested, found.n_valid, found.identities) == (40, 40, 10)
    assert "ref:test-real:40" in str(found.signature)
    rows = np.random.default_rng(0).permutation(40)
    assert metric.measure(inputs, rows).value == pytest.approx(found.value, rel=1e-9)


def test_the_pooled_score_alone_has_the_band_of_real_halves(inputs, all_rows):
    found = FrechetDistance().measure(inputs, all_rows(inputs))
    a, b = (inputs.features("inception-tf-2015", which).values for which in ("generated", "reference"))
    people = inputs.clusters
    wanted = band_of([real_halves(a, b, people, people, smallest=SMALLEST)])
    assert astuple(found.null) == pytest.approx(astuple(wanted), rel=1e-9)
    assert (found.null.n, found.null.inside) == (20, True)
    assert dict(found.signature.fields)["target"] == "E[FD_n]"
    assert FrechetDistance().measure(inputs, np.flatnonzero(inputs.labels == 2)).null is None
    assert KernelDistance().measure(inputs, all_rows(inputs)).null is None


def test_one_expression_meets_its_own_reference(inputs):
    rows = np.flatnonzero(inputs.labels == 2)
    found = FrechetDistance().measure(inputs, rows)
    a = inputs.features("inception-tf-2015", "generated").values[rows]
    b = inputs.features("inception-tf-2015", "reference").values[rows]
    assert found.value == pytest.approx(frechet_distance(a, b))
    assert dict(found.signature.fields)["ref"] == "test-real[contempt]:10"


def test_undetected_faces_are_counted(make_inputs, all_rows):
    valid = np.ones(40, dtype=bool)
    valid[:5] = False
    given = {("dlib", "generated"): (features(40, 6, 1), valid), ("dlib", "reference"): features(40, 6, 2)}
    inputs = make_inputs(np.repeat(np.arange(10), 4), features=given)
    found = FrechetDistance("dlib").measure(inputs, all_rows(inputs))
    assert (found.n_valid, found.n_requested) == (35, 40)
    assert found.value == pytest.approx(frechet_distance(features(40, 6, 1)[5:], features(40, 6, 2)))


@pytest.mark.parametrize("metric", [FrechetDistance(), KernelDistance()])
def test_too_few_images_is_said(metric, inputs):
    found = metric.measure(inputs, np.arange(SMALLEST - 1))
    assert found.value is None
    assert "needs 10 images a side, has 9 generated" in found.reason


@pytest.mark.parametrize(
    ("extractor", "name"),
    [
        ("inception-tf-2015", "FID"),
        ("inception-clean-fid", "FID-clean"),
        ("inception-tf-2015-clean", "FD-inception-tf-2015-clean"),
        ("clip-vit-b-32", "CLIP-FD"),
        ("dinov2-vit-b-14", "DINOv2-FD"),
        ("dinov2-vit-l-14", "FD-dinov2-vit-l-14"),
        ("arcface", "FD-arcface"),
    ],
)
def test_each_network_file_and_resize_has_its_own_name(extractor, name):
    assert FrechetDistance().with_extractor(extractor).card.name == name
    assert metric(name).card.extractor == extractor


def test_two_extractors_are_not_mixed(make_inputs, all_rows):
    inputs = make_inputs(np.arange(12), features={})
    calls = iter(("a", "b"))
    base = make_inputs(
        np.arange(12), features={("dlib", w): features(12, 3, 1) for w in ("generated", "reference")}
    )

    def mixed(extractor, which):
        found = base.features(extractor, which)
        return type(found)(found.values, found.valid, next(calls))

    inputs.features = mixed
    with pytest.raises(DataError, match="different extractors"):
        FrechetDistance("dlib").measure(inputs, all_rows(inputs))
