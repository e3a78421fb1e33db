import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from fesbench.metrics.common import NEIGHBORS, pairs_within
from fesbench.metrics.distribution.diversity import ExpressionDiversity, SubjectDiversity, pair_interval
from fesbench.metrics.identity.acd import ContentDistance
from fesbench.statistics.intervals import cluster_mean

PEOPLE, PER = 12, 3
WHO = np.repeat(np.arange(PEOPLE), PER)
ASKED = np.tile(np.arange(1, PER + 1), PEOPLE)


@pytest.fixture
def group(make_inputs):
    def make(values, *, who=WHO, asked=ASKED, valid=None, order=None, **fields):
        order = np.arange(len(who)) if order is None else order
        table = pd.DataFrame(
            {"request": [f"r{i:03}" for i in order], "target": 0, "source": who[order], "intensity": 1.0}
        )
        ok = np.ones(len(who), dtype=bool) if valid is None else valid
        return make_inputs(
            who[order],
            features={("dlib", "generated"): (values[order], ok[order])},
            requests=table,
            labels=asked[order],
            **fields,
        )

    return make


def vectors(seed=0, d=8):
    return np.random.default_rng(seed).normal(size=(len(WHO), d))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_between_people_is_the_mean_pairwise_distance_of_each_request(group):
    values = vectors()
    found = SubjectDiversity().measure(group(values), np.arange(len(WHO)))
    expected = np.mean([pdist(unit(values[label == ASKED])).mean() for label in range(1, PER + 1)])
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.low < found.value < found.high
    assert (found.n_valid, found.identities) == (len(WHO), PEOPLE)
    assert found.replicates.kind == "delete-one-identity"


def test_within_a_person_is_the_mean_pairwise_distance_of_each_person(group):
    values = vectors()
    found = ExpressionDiversity().measure(group(values), np.arange(len(WHO)))
    expected = np.mean([pdist(unit(values[person == WHO])).mean() for person in range(PEOPLE)])
    assert found.value == pytest.approx(expected, rel=1e-6)


def test_on_a_face_model_it_is_acd_c_read_the_other_way_round(group):
    inputs = group(vectors())
    rows = np.arange(len(WHO))
    acd = ContentDistance().measure(inputs, rows)
    assert ExpressionDiversity().measure(inputs, rows).value == acd.value
    assert (acd.card.direction, ExpressionDiversity().card.direction) == ("lower", "higher")


def test_a_collapsed_method_scores_zero(group):
    values = np.repeat(vectors()[:1], len(WHO), axis=0)
    for metric in (SubjectDiversity(), ExpressionDiversity()):
        found = metric.measure(group(values), np.arange(len(WHO)))
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_each_kind_of_collapse_shows_in_its_own_column(group):
    rows, values = np.arange(len(WHO)), vectors()
    one_face_a_label = group(values[:PER][ASKED - 1])  # every subject gets the label's one face
    copies = group(values[::PER][WHO])  # every subject gets the own face whatever is asked
    assert SubjectDiversity().measure(one_face_a_label, rows).value == 0
    assert ExpressionDiversity().measure(one_face_a_label, rows).value > 0.5
    assert SubjectDiversity().measure(copies, rows).value > 0.5
    assert ExpressionDiversity().measure(copies, rows).value == 0


def test_diversity_grows_with_spread(group):
    center, noise = np.ones((1, 8)), vectors()
    found = [
        SubjectDiversity().measure(group(center + scale * noise), np.arange(len(WHO))).value
        for scale in (0, 0.1, 0.5, 2)
    ]
    assert found == sorted(found)


def test_lost_faces_are_left_out_and_counted(group):
    valid = np.ones(len(WHO), dtype=bool)
    valid[:PER] = False
    values = vectors()
    rows = np.arange(len(WHO))
    part = SubjectDiversity().measure(group(values, valid=valid), rows)
    rest = SubjectDiversity().measure(group(values), rows[PER:])
    assert part.value == pytest.approx(rest.value)
    assert (part.n_valid, part.n_requested) == (len(WHO) - PER, len(WHO))


def test_order_does_not_matter(group):
    order = np.random.default_rng(5).permutation(len(WHO))
    rows = np.arange(len(WHO))
    for metric in (SubjectDiversity(), ExpressionDiversity()):
        plain, mixed = (metric.measure(group(vectors(), order=o), rows) for o in (None, order))
        assert mixed.value == pytest.approx(plain.value, rel=1e-12)
        assert (mixed.low, mixed.high) == pytest.approx((plain.low, plain.high), rel=1e-9)


def test_by_a_pair_extractor(group):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(WHO), 4, 4, 3)).astype(np.uint8)
    inputs = group(
        vectors(), generated=images, pairs=lambda a, b: np.abs(a.astype(float) - b).mean(axis=(1, 2, 3))
    )
    flat = images.reshape(len(WHO), -1).astype(float)
    rows = np.arange(len(WHO))
    people = SubjectDiversity("lpips-alex").measure(inputs, rows)
    expected = np.mean([pdist(flat[k == ASKED], "cityblock").mean() for k in range(1, PER + 1)]) / 48
    assert people.value == pytest.approx(expected, rel=1e-6)
    person = ExpressionDiversity("lpips-alex").measure(inputs, rows)
    expected = np.mean([pdist(flat[k == WHO], "cityblock").mean() for k in range(PEOPLE)]) / 48
    assert person.value == pytest.approx(expected, rel=1e-6)
    assert people.card.name == "Diversity[lpips-alex]"
    assert dict(people.signature.fields)["dist"] == "own"
    assert dict(people.signature.fields)["x"].startswith("lpips-alex:")


def test_one_person_or_one_request_gives_a_reason(group):
    inputs = group(vectors())
    assert "two subjects" in SubjectDiversity().measure(inputs, np.arange(PER)).reason
    assert "two requests" in ExpressionDiversity().measure(inputs, np.arange(0, len(WHO), PER)).reason


def test_two_people_have_a_figure_and_no_interval(group):
    found = SubjectDiversity().measure(group(vectors()), np.arange(2 * PER))
    assert found.value > 0
    assert (found.low, found.high) == (None, None)


# --- pairs ---


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 40, 41])
def test_small_groups_are_paired_completely(n):
    found = pairs_within(np.zeros(n, dtype=int), np.arange(n), np.arange(n))
    assert {frozenset(pair) for pair in found.tolist()} == {
        frozenset(pair) for pair in itertools.combinations(range(n), 2)
    }
    assert len(found) == n * (n - 1) // 2


@pytest.mark.parametrize("n", [42, 43, 100])
def test_large_groups_are_paired_evenly(n):
    found = pairs_within(np.zeros(n, dtype=int), np.arange(n)[::-1], np.arange(n))
    assert len({frozenset(pair) for pair in found.tolist()}) == len(found) == n * NEIGHBORS
    assert set(np.bincount(found.ravel())) == {2 * NEIGHBORS}


def test_pairs_stay_in_their_group():
    groups = np.array([0, 1, 0, 2, 1, 0])
    found = pairs_within(groups, np.arange(6), np.arange(6))
    assert sorted(map(sorted, found.tolist())) == [[0, 2], [0, 5], [1, 4], [2, 5]]


def test_the_interval_of_pairs_covers_where_a_mean_of_persons_means_does_not():
    rng, people, trials = np.random.default_rng(7), 12, 300
    # The mean of |x - y| of two standard normal numbers.
    truth = 2 / np.sqrt(np.pi)
    first, second = np.triu_indices(people, k=1)
    ours = naive = 0
    for _ in range(trials):
        x = rng.normal(size=people)
        distance = np.abs(x[first] - x[second])
        found = pair_interval(distance, np.stack([first, second], axis=1))
        ours += found.low <= truth <= found.high
        each = np.abs(x[:, None] - x[None, :]).sum(axis=1) / (people - 1)
        other = cluster_mean(each, np.arange(people), seed=0, replicates=200)
        naive += other.low <= truth <= other.high
    assert ours / trials > 0.88
    assert naive < ours
