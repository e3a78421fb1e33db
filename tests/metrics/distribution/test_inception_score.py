"""Inception score: by hand, against torch-fidelity, its interval and refusals."""

import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.metrics.distribution.inception_score import InceptionScore, inception_score, score_interval
from fesbench.statistics.intervals import jackknife

LOGITS = "inception-tf-2015-logits"


def logits(n, classes, seed, sharpness=3.0):
    return (np.random.default_rng(seed).normal(size=(n, classes)) * sharpness).astype(np.float32)


def torch_fidelity(scores, splits):
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = isc_features_to_metric(torch.from_numpy(scores), splits=splits)
    return found["inception_score_mean"], found["inception_score_std"]


def test_two_sure_classes_by_hand():
    # Half of the images surely of one class, half of another: exp(log 2).
    sure = np.zeros((40, 5))
    sure[:20, 1] = sure[20:, 3] = 800.0
    assert inception_score(sure, splits=1) == (pytest.approx(2.0), 0.0)
    # p = (3/4, 1/4) and (1/4, 3/4): exp(3/4 log(3/2) + 1/4 log(1/2)).
    half = np.log([[3.0, 1.0], [1.0, 3.0]])
    assert inception_score(half, splits=1)[0] == pytest.approx(1.5**0.75 * 0.5**0.25)


def test_pictures_that_all_look_alike_score_one():
    assert inception_score(np.ones((30, 7)), splits=3) == (pytest.approx(1.0), pytest.approx(0.0))


@pytest.mark.parametrize(("n", "splits"), [(200, 10), (333, 10), (57, 1), (20, 7)])
def test_equals_torch_fidelity(n, splits):
    scores = logits(n, 1008, n)
    assert inception_score(scores, splits=splits) == pytest.approx(torch_fidelity(scores, splits), rel=1e-9)


def test_never_below_one_and_at_most_the_number_of_classes():
    for sharpness in (0.0, 0.5, 5.0, 500.0):
        assert 1 <= inception_score(logits(120, 9, 1, sharpness))[0] <= 9


def test_grows_with_sureness_and_falls_as_noise_blurs_it():
    found = [inception_score(logits(300, 50, 2, sharpness))[0] for sharpness in (0.1, 0.5, 2.0, 8.0)]
    assert found == sorted(found)


def test_fewer_pictures_than_splits_are_refused():
    with pytest.raises(DataError, match="10 splits cannot be had"):
        inception_score(logits(9, 5, 0))


@pytest.mark.parametrize("spread", [2.0, 60.0])
def test_interval_equals_plain_deletion(spread):
    # One split, so that deletion leaves every subject else where they were.
    people, scores = np.repeat(np.arange(9) * 2, 6), logits(54, 40, 3, spread)
    quick = score_interval(scores, people, splits=1)
    plain = jackknife(lambda keep: inception_score(scores[keep], splits=1)[0], people)
    assert (quick.value, quick.high) == pytest.approx((plain.value, plain.high), rel=1e-9)
    assert quick.low == pytest.approx(max(1.0, plain.low), rel=1e-9)
    assert quick.replicates.values == pytest.approx(plain.replicates.values, rel=1e-9)


def test_interval_in_splits_holds_the_value():
    people, scores = np.repeat(np.arange(20), 10), logits(200, 40, 4)
    found = score_interval(scores, people)
    assert found.value == pytest.approx(inception_score(scores)[0], rel=1e-12)
    assert found.low < found.value < found.high
    assert found.clusters == 20


@pytest.mark.parametrize("people", [np.zeros(100), np.repeat([0, 1], [99, 1])])
def test_few_people_have_no_interval(people):
    found = score_interval(logits(100, 12, 5), people)
    assert np.isnan(found.low)
    assert found.value > 1


def test_splits_go_by_the_names_of_requests(make_inputs):
    scores = logits(120, 30, 6)
    inputs = make_inputs(np.repeat(np.arange(12), 10), features={(LOGITS, "generated"): scores})
    rows = np.random.default_rng(0).permutation(120)
    one, two = (InceptionScore().measure(inputs, asked) for asked in (np.arange(120), rows))
    assert one.value == two.value
    # torch-fidelity reads a folder's files in the order of their names.
    by_name = np.argsort([f"r{i}.png" for i in range(120)])
    assert one.value == pytest.approx(torch_fidelity(scores[by_name], 10)[0], rel=1e-9)


def test_too_few_for_the_splits_is_said(make_inputs):
    inputs = make_inputs(np.repeat(np.arange(33), 3), features={(LOGITS, "generated"): logits(99, 30, 7)})
    found = InceptionScore().measure(inputs, np.arange(99))
    assert (found.value, found.reason) == (None, "needs 100 images for 10 splits, has 99")
    fields = dict(found.signature.fields)
    assert (fields["splits"], fields["shuffle"]) == ("10", "by-name-seed2020")


def test_needs_no_real_picture_so_that_real_ones_have_a_score_too():
    assert InceptionScore().card.needs == frozenset()
