import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from fesbench.errors import DataError
from fesbench.metrics.distribution.memorization import (
    Memorized,
    NearestRatio,
    closest_pairs,
    nearest_training,
)

PEOPLE, PER, TRAINED = 20, 7, 300
WHO = np.repeat(np.arange(PEOPLE), PER)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def trained():
    return np.random.default_rng(1).normal(size=(TRAINED, 16))


@pytest.fixture
def group(make_inputs, trained):
    def make(generated, *, real=None, training=None, valid=None):
        n = len(generated)
        real = np.random.default_rng(2).normal(size=(len(WHO), 16)) if real is None else real
        ok = np.ones(n, dtype=bool) if valid is None else valid
        known = trained if training is None else training
        return make_inputs(
            WHO[:n],
            features={
                ("dlib", "generated"): (generated, ok),
                ("dlib", "training"): known,
                ("dlib", "reference"): real,
            },
        )

    return make


def fresh(seed=3):
    return np.random.default_rng(seed).normal(size=(len(WHO), 16))


def test_by_hand(make_inputs):
    # Training images on the axes; real ones at 45 degrees, so the yardstick is 2 sin(22.5 degrees).
    corner = 2 * np.sin(np.pi / 8)
    given = {
        ("dlib", "training"): [[1, 0], [0, 1]],
        ("dlib", "reference"): [[1, 1]] * 100,
        ("dlib", "generated"): [[2, 0], [1, 1], [0.1, 5], [-1, -1]],
    }
    inputs = make_inputs([0, 1, 2, 3], features=given)
    found = nearest_training(inputs)
    assert found.training.tolist()[0] == 0
    assert found.training.tolist()[2] == 1
    assert found.distance[[0, 1]] == pytest.approx([0, corner], abs=1e-7)
    assert Memorized().measure(inputs, np.arange(4)).per_sample.tolist() == [1, 0, 1, 0]
    ratio = NearestRatio().measure(inputs, np.arange(4)).per_sample
    assert ratio[:2] == pytest.approx([0, 1], abs=1e-6)


def test_distances_are_scikit_learns(group, trained):
    made = fresh()
    found = nearest_training(group(made))
    search = NearestNeighbors(n_neighbors=1).fit(unit(trained.astype(np.float32).astype(float)))
    distance, place = search.kneighbors(unit(made.astype(np.float32).astype(float)))
    assert found.distance == pytest.approx(distance[:, 0])
    assert (found.training == place[:, 0]).all()


def test_an_honest_method_is_near_one_percent_and_one(group):
    inputs, rows = group(fresh()), np.arange(len(WHO))
    assert Memorized().measure(inputs, rows).value < 0.05
    assert NearestRatio().measure(inputs, rows).value == pytest.approx(1, abs=0.05)


def test_a_method_that_hands_out_training_images_is_caught(group, trained):
    rows = np.arange(len(WHO))
    copies = group(trained[rows] * 2.0)
    assert Memorized().measure(copies, rows).value == 1
    assert NearestRatio().measure(copies, rows).value == pytest.approx(0, abs=1e-6)
    third = np.where((rows % 3 == 0)[:, None], trained[rows], fresh())
    found = Memorized().measure(group(third), rows)
    assert found.value == pytest.approx(1 / 3, abs=0.04)
    assert found.per_sample[rows % 3 == 0].all()
    assert found.low < found.value < found.high


def test_nearly_copies_are_caught_and_the_ratio_grows_with_noise(group, trained):
    noise, rows = fresh(9), np.arange(len(WHO))
    ratios, shares = [], []
    for scale in (0, 0.05, 0.3, 1.5):
        inputs = group(trained[rows] + scale * noise)
        ratios.append(NearestRatio().measure(inputs, rows).value)
        shares.append(Memorized().measure(inputs, rows).value)
    assert ratios == sorted(ratios)
    assert shares == sorted(shares, reverse=True)
    assert shares[1] == 1


def test_the_closest_pairs_name_each_training_image_once(group, trained):
    made = fresh()
    made[[5, 9]] = trained[77]
    made[3] = trained[4] + 0.01
    shown = closest_pairs(group(made), 3)
    assert [pair[:2] for pair in shown[:2]] == [(5, 77), (3, 4)]
    assert [pair[2] for pair in shown] == sorted(pair[2] for pair in shown)
    assert len({training for _, training, _ in shown}) == 3
    assert closest_pairs(group(made), 0) == []


def test_lost_faces_are_left_out_and_counted(group, trained):
    valid = np.ones(len(WHO), dtype=bool)
    valid[:4] = False
    rows = np.arange(len(WHO))
    inputs = group(trained[rows], valid=valid)
    found = Memorized().measure(inputs, rows)
    assert np.isnan(found.per_sample[:4]).all()
    assert (found.n_valid, found.value) == (len(WHO) - 4, 1)
    assert all(row >= 4 for row, _, _ in closest_pairs(inputs, 50))


@pytest.mark.parametrize("metric", [Memorized(), NearestRatio()])
def test_too_little_to_compare_with_gives_a_reason(metric, group, trained):
    rows = np.arange(len(WHO))
    few = metric.measure(group(fresh(), real=fresh()[:99]), rows)
    assert few.value is None
    assert few.reason == "needs 100 real test images as a yardstick, has 99"
    none = metric.measure(group(fresh(), training=trained[:0]), rows)
    assert (none.value, none.reason) == (None, "no training image has features")


@pytest.mark.parametrize("metric", [Memorized(), NearestRatio()])
def test_order_does_not_matter_and_the_reference_is_named(metric, group):
    made, rows = fresh(), np.arange(len(WHO))
    whole = metric.measure(group(made), rows)
    part = metric.measure(group(made), rows[::-1])
    assert np.array_equal(part.per_sample, whole.per_sample[::-1])
    assert dict(whole.signature.fields)["ref"] == f"training:{TRAINED},test-real:{len(WHO)}"


def test_features_of_two_extractors_are_refused(group):
    inputs = group(fresh())
    found = inputs.features
    inputs.features = lambda x, which: (
        f := found(x, which),
        type(f)(f.values, f.valid, f"{which}:{f.signature}"),
    )[1]
    with pytest.raises(DataError, match="two extractors"):
        Memorized().measure(inputs, np.arange(len(WHO)))
