import math

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fesbench.errors import DataError
from fesbench.metrics.identity.acd import ContentDistance, InputDistance, acd, acd_c, acd_i

FORMS = (InputDistance(), ContentDistance())


def requests(identities, expressions, **columns):
    n = len(identities)
    table = {"request": [f"r{i}" for i in range(n)], "target": range(n), "target_expression": expressions}
    given = {"second_expression": "", "action_unit": 0, "intensity": 1.0, "source": identities}
    return pd.DataFrame(table | given | columns)


# --- videos ---


def test_acd_of_a_video_by_hand():
    video = [[0, 0], [3, 4], [0, 4]]  # distances 5, 4, 3
    assert acd(video) == pytest.approx(4)
    assert acd_c is acd
    assert acd_i(video, [0, 0]) == pytest.approx((0 + 5 + 4) / 3)


def test_acd_is_scipys_mean_pairwise_distance():
    video = np.random.default_rng(0).normal(size=(16, 128))
    assert acd(video) == pytest.approx(pdist(video).mean())


def test_a_frozen_video_has_no_content_distance_and_order_does_not_matter():
    rng = np.random.default_rng(1)
    assert acd(np.repeat(rng.normal(size=(1, 8)), 5, axis=0)) == 0
    video = rng.normal(size=(6, 8))
    assert acd(video[::-1]) == pytest.approx(acd(video))


def test_acd_grows_with_jitter():
    rng = np.random.default_rng(2)
    center, noise = rng.normal(size=8), rng.normal(size=(10, 8))
    found = [acd(center + scale * noise) for scale in (0, 0.1, 1, 3)]
    assert found == sorted(found)
    assert found[3] == pytest.approx(3 * found[2])


@pytest.mark.parametrize("frames", [[[1.0, 2.0]], [1.0, 2.0], [[np.nan], [1.0]]])
def test_too_few_or_bad_frames_are_refused(frames):
    with pytest.raises(DataError, match="ACD needs finite features"):
        acd(frames)


def test_a_source_of_other_dimensions_is_refused():
    with pytest.raises(DataError, match="source's features"):
        acd_i([[1.0, 2.0]], [1.0])


# --- stills ---


@pytest.fixture
def stills(make_inputs):
    """Two subjects with three expressions each, at unit vectors 0, 90 and 180 degrees for the first."""
    output = [[1, 0], [0, 2], [-3, 0], [1, 0], [1, 0], [1, 0]]
    source = [[5, 0]] * 6
    who = [0, 0, 0, 1, 1, 1]
    expressions = ["anger", "fear", "happiness"] * 2

    def make(valid=(True,) * 6, order=range(6), **columns):
        order = list(order)
        table = requests(who, expressions, **columns).iloc[order].reset_index(drop=True)
        given = {
            ("dlib", "generated"): (np.array(output)[order], np.array(valid)[order]),
            ("dlib", "source"): np.array(source)[order],
        }
        codes = np.array([1, 4, 5] * 2)[order]
        return make_inputs(np.array(who)[order], features=given, requests=table, labels=codes)

    return make


def test_input_distance_by_hand(stills):
    found = InputDistance().measure(stills(), np.arange(6))
    assert found.per_sample == pytest.approx([0, math.sqrt(2), 2, 0, 0, 0])


def test_content_distance_by_hand(stills):
    found = ContentDistance().measure(stills(), np.arange(6))
    root = math.sqrt(2)
    assert found.per_sample == pytest.approx([(root + 2) / 2, root, (root + 2) / 2, 0, 0, 0])
    # The mean over the requests is MoCoGAN's mean over pairs, subject by subject.
    assert found.value == pytest.approx((acd([[1, 0], [0, 1], [-1, 0]]) + 0) / 2)
    assert found.identities == 2


def test_a_lost_face_counts_as_unrelated(stills):
    lost = (True, True, True, True, True, False)
    near = InputDistance().measure(stills(valid=lost), np.arange(6))
    assert near.per_sample[5] == pytest.approx(math.sqrt(2))
    within = ContentDistance().measure(stills(valid=lost), np.arange(6))
    assert within.per_sample[3:] == pytest.approx([math.sqrt(2) / 2] * 2 + [math.sqrt(2)])
    assert (near.n_valid, within.n_valid, within.n_requested) == (5, 5, 6)


def test_one_expression_alone_has_nothing_to_compare(stills):
    found = ContentDistance().measure(stills(), np.array([0, 3]))
    assert found.value is None
    assert found.reason == "no subject has outputs for two requests of one intensity"


def test_other_levels_of_one_expression_are_no_pair(stills):
    weak = stills(intensity=[0.5, 1.0, 1.0, 0.5, 0.5, 1.0])
    found = ContentDistance().measure(weak, np.arange(6))
    assert np.isnan(found.per_sample).tolist() == [True, False, False, False, False, True]


def test_other_sources_of_one_person_are_no_pair(stills):
    takes = stills(source=[0, 0, 9, 1, 1, 1])
    found = ContentDistance().measure(takes, np.arange(6))
    assert np.isnan(found.per_sample).tolist() == [False, False, True, False, False, False]


def test_order_does_not_matter(stills):
    order = [4, 2, 0, 5, 1, 3]
    for metric in FORMS:
        plain = metric.measure(stills(), np.arange(6)).per_sample
        assert np.array_equal(metric.measure(stills(order=order), np.arange(6)).per_sample, plain[order])


def test_other_face_models_have_their_own_name():
    assert InputDistance("arcface").card.name == "ACD-I-expressions[arcface]"
    assert ContentDistance().with_extractor("arcface").card.extractor == "arcface"
