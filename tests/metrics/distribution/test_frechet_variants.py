"""FID over expressions and FID extrapolated to infinite n."""

import numpy as np
import pytest

from fesbench.metrics.distribution.frechet_distance import FrechetDistance
from fesbench.metrics.distribution.frechet_math import frechet_distance
from fesbench.metrics.distribution.frechet_variants import (
    FrechetExtrapolated,
    FrechetOverExpressions,
    frechet_extrapolated,
)
from fesbench.statistics.intervals import jackknife

INCEPTION = "inception-tf-2015"
labels = np.tile([1, 2, 3], 24)
PEOPLE = np.repeat(np.arange(12), 6)


def features(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) / np.arange(1, d + 1) ** 0.5 + shift


@pytest.fixture
def inputs(make_inputs):
    def make(**fields):
        given = {
            (INCEPTION, "generated"): features(72, 9, 1) + 0.5 * (labels == 2)[:, None],
            (INCEPTION, "reference"): features(72, 9, 2),
        }
        known = {"labels": labels, "reference_identity": PEOPLE, "reference_labels": labels}
        return make_inputs(PEOPLE, features=given, **(known | fields))

    return make


def sets(inputs):
    return (inputs.features(INCEPTION, which).values for which in ("generated", "reference"))


# --- over expressions ---


def test_average_is_the_mean_of_the_expressions_figures(inputs):
    found = FrechetOverExpressions().measure(inputs(), np.arange(72))
    alone = [
        FrechetDistance().measure(inputs(), np.flatnonzero(labels == label)).value for label in (1, 2, 3)
    ]
    assert found.value == pytest.approx(np.mean(alone), rel=1e-12)
    assert found.card.name == "FID-avg"
    assert dict(found.signature.fields)["mean"] == "over-expressions"


def test_right_faces_with_wrong_expressions_show_in_the_average_alone(make_inputs):
    # Each expression's generated images are the real ones of another expression.
    real = features(72, 9, 3) + 3.0 * labels[:, None]
    swapped = real.reshape(24, 3, 9)[:, [1, 2, 0]].reshape(72, 9)
    given = {(INCEPTION, "generated"): swapped, (INCEPTION, "reference"): real}
    shown = make_inputs(PEOPLE, features=given, labels=labels, reference_labels=labels)
    assert FrechetDistance().measure(shown, np.arange(72)).value == pytest.approx(0, abs=1e-6)
    assert FrechetOverExpressions().measure(shown, np.arange(72)).value > 10


@pytest.mark.parametrize("shared", [True, False])
def test_average_interval_equals_plain_deletion(inputs, shared):
    shown = inputs() if shared else inputs(reference_identity=None)
    found = FrechetOverExpressions().measure(shown, np.arange(72))
    x, y = sets(shown)

    def average(keep):
        kept = keep if shared else np.ones(72, dtype=bool)
        parts = [frechet_distance(x[keep & (labels == e)], y[kept & (labels == e)]) for e in (1, 2, 3)]
        return float(np.mean(parts))

    plain = jackknife(average, PEOPLE)
    assert (found.value, found.high) == pytest.approx((plain.value, plain.high), rel=1e-9)
    assert found.low == pytest.approx(max(0.0, plain.low), rel=1e-9)
    assert found.replicates.values == pytest.approx(plain.replicates.values, rel=1e-9)


def test_an_expression_with_few_pictures_is_named(inputs):
    rows = np.concatenate([np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:9]])
    found = FrechetOverExpressions().measure(inputs(), rows)
    assert found.value is None
    assert found.reason.endswith("9 generated and 24 reference of disgust")


@pytest.mark.parametrize("fields", [{"labels": np.full(72, -1)}, {"reference_labels": None}])
def test_requests_without_one_expression_have_no_average(inputs, fields):
    found = FrechetOverExpressions().measure(inputs(**fields), np.arange(72))
    assert found.reason == "needs requests and reference images of single expressions"


# --- extrapolated ---


def gaussians(n, seed, d=48):
    """Two samples whose true Fréchet distance is known, and that distance."""
    rng = np.random.default_rng(seed)
    scale, wider = np.arange(1, d + 1) ** -0.5, 1.3
    a, b = rng.normal(size=(n, d)) * scale * wider + 0.05, rng.normal(size=(n, d)) * scale
    return a, b, d * 0.05**2 + ((wider - 1) ** 2 * scale**2).sum()


@pytest.mark.parametrize("n", [100, 200, 500])
def test_less_biased_than_the_plain_distance(n):
    plain, freed, truth = [], [], 0.0
    for seed in range(8):
        a, b, truth = gaussians(n, seed)
        plain.append(frechet_distance(a, b) - truth)
        freed.append(frechet_extrapolated(a, b, np.arange(n), None, seed=0).value - truth)
    assert np.mean(plain) > 0
    # The spread of eight means must not decide it.
    assert abs(np.mean(freed)) + 2 * np.std(freed) / np.sqrt(8) < 0.5 * np.mean(plain)


def test_removes_a_bias_of_the_form_c_over_n(monkeypatch):
    monkeypatch.setattr(
        "fesbench.metrics.distribution.frechet_variants.frechet_of_subsets",
        lambda x, y, kept: np.array([2.5 + 30 / len(i) + 10 / len(j) for i, j in kept]),
    )
    found = frechet_extrapolated(*np.zeros((2, 80, 3)), np.arange(80), np.arange(80), seed=1)
    assert (found.value, found.low, found.high) == pytest.approx((2.5, 2.5, 2.5), abs=1e-9)


def test_shared_people_leave_both_sides_together():
    # Generated images that are the real ones: every subset of subjects is at distance 0.
    x, people = features(60, 20, 5), np.repeat(np.arange(15), 4)
    found = frechet_extrapolated(x, x, people, people, seed=3)
    assert found.value == pytest.approx(0, abs=1e-8)
    assert frechet_extrapolated(x, x, people, people + 100, seed=3).value < -0.01


def test_seed_decides_and_nothing_else_does():
    a, b, _ = gaussians(90, 4)
    people = np.repeat(np.arange(18), 5)
    one = frechet_extrapolated(a, b, people, people, seed=1)
    state = np.random.get_state()[1].copy()
    assert frechet_extrapolated(a, b, people, people, seed=1) == one
    assert frechet_extrapolated(a, b, people, people, seed=2).value != one.value
    assert (np.random.get_state()[1] == state).all()
    order = np.random.default_rng(0).permutation(90)
    mixed = frechet_extrapolated(a[order], b, people[order], people, seed=1)
    assert (mixed.value, mixed.low) == pytest.approx((one.value, one.low), rel=1e-8)
    assert one.low < one.value < one.high


@pytest.mark.parametrize(
    ("rows", "reason"), [(49, "needs 50 images a side, has 49"), (56, "needs 8 subjects, has 7")]
)
def test_too_small_sets_are_refused(make_inputs, rows, reason):
    people = np.repeat(np.arange(10), 8)
    given = {(INCEPTION, which): features(80, 4, s) for s, which in enumerate(("generated", "reference"))}
    shown = make_inputs(people, features=given, reference_identity=people)
    found = FrechetExtrapolated().measure(shown, np.arange(rows))
    assert found.value is None
    assert found.reason.startswith(reason)
    assert dict(found.signature.fields)["subset"] == "people:1,0.75,0.6,0.5x3-seed0"
