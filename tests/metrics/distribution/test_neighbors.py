"""Precision, recall, density, coverage: by hand-made points, the definitions as loops, torch-fidelity."""

import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.metrics import metric
from fesbench.metrics.distribution.neighbors import (
    COVERAGE,
    DENSITY,
    PRECISION,
    RECALL,
    Neighborhood,
    neighborhoods,
)
from fesbench.statistics.intervals import jackknife

KINDS = (PRECISION, RECALL, DENSITY, COVERAGE)


def values(*args, **kwargs):
    return {kind: found.value for kind, found in neighborhoods(*args, **kwargs).items()}


def by_loops(generated, reference, k):
    """The papers' formulas, one image after another."""

    def distance(p, q):
        return np.sqrt(((p - q) ** 2).sum())

    def radius(points, i):
        return sorted(distance(points[i], q) for j, q in enumerate(points) if j != i)[k - 1]

    real = [radius(reference, i) for i in range(len(reference))]
    made = [radius(generated, j) for j in range(len(generated))]
    held = [
        [distance(y, x) <= r * (1 + 1e-9) for x, r in zip(reference, real, strict=True)] for y in generated
    ]
    known = [
        [distance(x, y) <= r * (1 + 1e-9) for y, r in zip(generated, made, strict=True)] for x in reference
    ]
    return {
        PRECISION: sum(any(row) for row in held) / len(generated),
        RECALL: sum(any(row) for row in known) / len(reference),
        DENSITY: sum(map(sum, held)) / (k * len(generated)),
        COVERAGE: sum(any(row[i] for row in held) for i in range(len(reference))) / len(reference),
    }


def test_points_on_a_line_by_hand():
    # k = 1. Real radii at 0, 1, 3: 1, 1, 2, so balls [-1, 1], [0, 2], [1, 5]. Generated 0.5, 1.5, 9: radii
    # 1, 1, 7.5, so balls [-0.5, 1.5], [0.5, 2.5], [1.5, 16.5].
    real, made = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [1.5], [9.0]])
    found = values(made, real, k=1)
    # 0.5 lies in two balls, 1.5 in two, 9 in none; every real ball holds one, and every real point is held.
    assert found == {PRECISION: 2 / 3, RECALL: 1.0, DENSITY: 4 / 3, COVERAGE: 1.0}


def test_a_collapsed_method_by_hand():
    # All generated images are the real one in the middle: their balls have no radius.
    real = np.arange(7.0)[:, None]
    found = values(np.full((6, 1), 3.0), real, k=2)
    # Radii of the real balls: 2, 1, 1, 1, 1, 1, 2; those at 2, 3, 4 reach 3.
    assert found == {PRECISION: 1.0, RECALL: 1 / 7, DENSITY: 3 / 2, COVERAGE: 3 / 7}


@pytest.mark.parametrize(("n", "m", "d", "k"), [(30, 40, 5, 5), (25, 12, 60, 3), (12, 30, 2, 1)])
def test_equals_the_definitions_by_loops(n, m, d, k):
    rng = np.random.default_rng(n)
    made, real = rng.normal(size=(n, d)) + 0.3, rng.normal(size=(m, d))
    assert values(made, real, k=k) == pytest.approx(by_loops(made, real, k), abs=1e-12)


@pytest.mark.parametrize(("n", "m", "k"), [(200, 150, 5), (150, 200, 3)])
def test_precision_and_recall_equal_torch_fidelity(n, m, k):
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(k)
    made, real = rng.normal(size=(n, 16)) * 0.9 + 0.2, rng.normal(size=(m, 16))
    theirs = prc_features_to_metric(
        torch.from_numpy(made),
        torch.from_numpy(real),
        prc_neighborhood=k,
        prc_batch_size=10000,
        save_cpu_ram=False,
        verbose=False,
    )
    found = values(made, real, k=k)
    # torch-fidelity takes its means in single precision.
    assert (found[PRECISION], found[RECALL]) == pytest.approx(
        (theirs["precision"], theirs["recall"]), abs=1e-7
    )
    assert 0.05 < found[PRECISION] < 1
    assert 0.05 < found[RECALL] < 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_equal_sets_are_wholly_within_each_other(scale):
    points = np.random.default_rng(0).normal(size=(80, 300)).astype(np.float32) * scale + 5 * scale
    found = values(points[::-1], points)
    # Each real ball holds its center and its k neighbors.
    assert found == {PRECISION: 1.0, RECALL: 1.0, DENSITY: pytest.approx(6 / 5), COVERAGE: 1.0}


def test_copies_of_one_picture_lie_on_a_radius_of_zero():
    # Two faces, each seven times, far from the origin: rounding must not push a copy off its own place.
    faces = np.random.default_rng(1).normal(size=(2, 512)) + 1e3
    points = np.repeat(faces, 7, axis=0)
    found = values(points, points[::-1])
    assert found == {PRECISION: 1.0, RECALL: 1.0, DENSITY: pytest.approx(7 / 5), COVERAGE: 1.0}


def test_far_apart_is_nothing():
    points = np.random.default_rng(0).normal(size=(20, 4))
    assert values(points + 100, points) == dict.fromkeys(KINDS, 0.0)


def test_fall_with_noise_and_order_does_not_matter():
    rng = np.random.default_rng(2)
    real, made, noise = (rng.normal(size=(120, 8)) for _ in range(3))
    found = [values(made + s * noise, real) for s in (0.0, 0.7, 1.5, 4.0)]
    for kind in (PRECISION, DENSITY, COVERAGE):
        assert [each[kind] for each in found] == sorted((each[kind] for each in found), reverse=True)
        assert found[0][kind] > found[-1][kind] + 0.2
    assert values(rng.permutation(made), rng.permutation(real)) == pytest.approx(values(made, real))


def test_lost_modes_are_seen_by_recall_and_coverage_alone():
    rng = np.random.default_rng(3)
    modes = rng.normal(size=(4, 6)) * 50
    real = modes[np.repeat(np.arange(4), 30)] + rng.normal(size=(120, 6))
    made = modes[np.repeat(np.arange(2), 60)] + rng.normal(size=(120, 6))
    found = values(made, real)
    assert found[PRECISION] > 0.9
    assert found[DENSITY] > 0.8
    assert found[RECALL] <= 0.5
    assert found[COVERAGE] <= 0.5


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_interval_equals_plain_deletion(kind, shared):
    people = np.repeat(np.arange(7) * 2, [9, 4, 6, 5, 8, 6, 7])
    rng = np.random.default_rng(4)
    made, real = rng.normal(size=(45, 5)) + 0.5, rng.normal(size=(45, 5))
    quick = neighborhoods(made, real, people, people if shared else None)[kind]
    plain = jackknife(lambda mask: values(made[mask], real[mask] if shared else real)[kind], people)
    assert (quick.value, quick.low, quick.high) == pytest.approx(
        (plain.value, plain.low, plain.high), abs=1e-12
    )
    assert quick.clusters == 7


def test_many_people_are_deleted_in_groups():
    rng = np.random.default_rng(5)
    found = neighborhoods(rng.normal(size=(90, 4)), rng.normal(size=(90, 4)))[COVERAGE]
    assert found.method == "jackknife, delete one of 50 identity groups"
    assert found.low < found.value < found.high


def test_all_in_is_no_proof_of_certainty():
    points = np.random.default_rng(6).normal(size=(60, 3))
    found = neighborhoods(points, points, np.repeat(np.arange(10), 6), np.repeat(np.arange(10), 6))[PRECISION]
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025**0.1)


@pytest.mark.parametrize(
    ("a", "b"), [((5, 3), (20, 3)), ((20, 3), (5, 3)), ((20, 3), (20, 4)), ((20,), (20,))]
)
def test_too_few_or_unlike_features_are_refused(a, b):
    with pytest.raises(DataError, match="5 neighbors need more than 5 samples"):
        neighborhoods(np.ones(a), np.ones(b))


@pytest.fixture
def inputs(make_inputs):
    rng, people = np.random.default_rng(7), np.repeat(np.arange(10), 4)
    valid = np.ones(40, dtype=bool)
    valid[[0, 1, 2, 3, 10]] = False
    given = {
        ("dlib", "generated"): (rng.normal(size=(40, 6)), valid),
        ("dlib", "reference"): rng.normal(size=(40, 6)),
    }
    return make_inputs(people, features=given, reference_identity=people)


@pytest.mark.parametrize("kind", [PRECISION, DENSITY])
def test_a_face_that_is_not_found_lies_in_no_ball(kind, inputs, all_rows):
    found = metric(f"{kind}[dlib]").measure(inputs, all_rows(inputs))
    features = inputs.features("dlib", "generated").values[inputs.features("dlib", "generated").valid]
    alone = values(features, inputs.features("dlib", "reference").values)[kind]
    assert found.value == pytest.approx(alone * 35 / 40)
    assert (found.n_valid, found.n_requested) == (35, 40)
    assert dict(found.signature.fields)["missing"] == "outside"


def test_the_four_share_their_distances(inputs, all_rows, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "fesbench.metrics.distribution.neighbors.neighborhoods",
        lambda *given, **more: calls.append(1) or neighborhoods(*given, **more),
    )
    for kind in KINDS:
        assert Neighborhood(name=kind).with_extractor("dlib").measure(inputs, all_rows(inputs)).value > 0
    assert len(calls) == 1


def test_k_is_in_the_signature_and_moves_the_value(inputs, all_rows, monkeypatch):
    before = metric("Density[dlib]").measure(inputs, all_rows(inputs))
    monkeypatch.setattr("fesbench.metrics.distribution.neighbors.NEIGHBORS", 3)
    after = metric("Density[dlib]").measure(inputs, all_rows(inputs))
    assert type(before.signature).difference(before.signature, after.signature) == ("k",)
    assert before.value != after.value
