import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from fesbench.errors import DataError
from fesbench.metrics.identity.similarity import FaceSimilarity, Rank1, Verification
from fesbench.metrics.identity.verification_math import (
    enough_pairs,
    make_pairs,
    rank1,
    replicate_tar,
    tar_at_far,
    tar_interval,
    threshold,
)


def pairs_of(similarity, probe, gallery, found=None):
    similarity = np.asarray(similarity, dtype=np.float64)
    found = np.ones(similarity.shape, dtype=bool) if found is None else found
    return make_pairs(similarity, found, np.asarray(probe), np.asarray(gallery))


def faces(people, per, seed=0, noise=0.6, d=16):
    """Gallery (subjects, d), probes (subjects * per, d) around it, identities of the probes."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, d))
    probes = np.repeat(centers, per, axis=0) + noise * rng.normal(size=(people * per, d))
    return centers, probes, np.repeat(np.arange(people), per)


@pytest.fixture
def crowd(make_inputs):
    def make(people=40, per=7, noise=0.6, valid=None, **fields):
        gallery, probes, who = faces(people, per, noise=noise)
        ok = np.ones(len(who), dtype=bool) if valid is None else valid
        given = {
            ("dlib", "generated"): (probes, ok),
            ("dlib", "gallery"): gallery,
            ("dlib", "source"): gallery[who],
        }
        return make_inputs(who, features=given, gallery_identity=np.arange(people), **fields)

    return make


# --- FSS ---


def test_fss_by_hand(make_inputs):
    given = {
        ("dlib", "source"): [[1, 0], [2, 0], [0, 3], [1, 1]],
        ("dlib", "generated"): ([[5, 0], [0, 1], [0, -1], [9, 9]], [True, True, True, False]),
    }
    found = FaceSimilarity().measure(make_inputs([0, 1, 2, 3], features=given), np.arange(4))
    assert found.per_sample.tolist() == [1, 0, -1, 0]
    assert (found.value, found.n_valid, found.n_requested) == (0.0, 3, 4)


def test_fss_agrees_with_scikit_learn(crowd, all_rows):
    from sklearn.metrics.pairwise import paired_cosine_distances

    inputs = crowd()
    found = FaceSimilarity().measure(inputs, all_rows(inputs)).per_sample
    a, b = (inputs.features("dlib", which).values for which in ("source", "generated"))
    assert found == pytest.approx(1 - paired_cosine_distances(a, b), abs=1e-6)


def test_fss_of_a_copy_is_one_and_falls_with_noise(make_inputs, crowd, all_rows):
    values = [
        FaceSimilarity().measure(e := crowd(noise=noise), all_rows(e)).value for noise in (0, 0.2, 0.6, 2)
    ]
    assert values[0] == pytest.approx(1.0, abs=1e-6)
    assert values == sorted(values, reverse=True)


def test_an_invalid_face_with_bad_numbers_counts_zero(make_inputs):
    given = {
        ("dlib", "source"): [[1, 0], [1, 0]],
        ("dlib", "generated"): ([[np.nan, 0], [1, 0]], [False, True]),
    }
    assert FaceSimilarity().measure(
        make_inputs([0, 1], features=given), np.arange(2)
    ).per_sample.tolist() == [0, 1]


def test_valid_features_must_be_finite(make_inputs):
    given = {("dlib", "source"): [[1, 0]], ("dlib", "generated"): [[np.nan, 0]]}
    with pytest.raises(DataError, match="not finite"):
        FaceSimilarity().measure(make_inputs([0], features=given), np.arange(1))


# --- thresholds ---


def test_threshold_by_hand():
    impostors = np.arange(100, 0, -1) / 100  # 1.00, 0.99, ...
    assert threshold(impostors, 0.01) == 0.99  # one impostor may pass: the cut lies just above the second
    assert threshold(impostors, 0.019) == 0.99
    assert threshold(impostors, 0.02) == 0.98


def test_ties_at_the_threshold_count_as_accepted():
    impostors = np.array([0.9, 0.8, 0.8, 0.8] + [0.1] * 96)
    # Two may pass, but 0.8 is shared by three: the cut rises above the tie.
    assert threshold(impostors, 0.02) == 0.8
    # A genuine pair exactly at the cut is rejected, one just above is accepted.
    for genuine, expected in ((0.85, 0.0), (0.8501, 1.0)):
        assert tar_at_far(pairs_of([[genuine, 0.85, 0.1]], [0], [0, 1, 2]), 0.4) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=20, max_size=200), st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_threshold_is_the_smallest_that_holds_the_rate(values, far):
    impostors = np.sort(np.array(values, dtype=np.float64))[::-1]
    cut = threshold(impostors, far)
    assert (impostors > cut).mean() <= far + 1e-12
    assert (impostors >= cut).mean() > far - 1e-12


def test_tar_agrees_with_scikit_learn():
    gallery, probes, who = faces(30, 5)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    similarity = unit(probes) @ unit(gallery).T
    pairs = pairs_of(similarity, who, np.arange(30))
    same = who[:, None] == np.arange(30)[None, :]
    fpr, tpr, _ = roc_curve(same.ravel(), similarity.ravel(), drop_intermediate=False)
    for far in (0.01, 0.05):
        assert tar_at_far(pairs, far) == pytest.approx(tpr[fpr <= far].max())


def test_ten_pairs_beyond_the_level():
    assert enough_pairs(1000, 0.01)
    assert not enough_pairs(999, 0.01)
    assert enough_pairs(10_000, 0.001)


# --- the bootstrap of TAR ---


def slow_replicate(similarity, probe, gallery, drawn, far):
    """One replicate pair by pair: copies of an identity differ, and their mutual pairs are dropped."""
    genuine, impostor = [], []
    for i, a in enumerate(drawn):
        for j, b in enumerate(drawn):
            block = similarity[np.ix_(probe == a, gallery == b)].ravel()
            if i == j:
                genuine += block.tolist()
            elif a != b:
                impostor += block.tolist()
    return float((np.array(genuine) > threshold(np.sort(impostor)[::-1], far)).mean())


@pytest.mark.parametrize("far", [0.01, 0.1])
def test_replicates_equal_pair_by_pair_resampling(far):
    gallery, probes, who = faces(12, 4, noise=1.2)
    similarity = probes @ gallery.T
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 12, (20, 12))
    weights = np.stack([np.bincount(row, minlength=12) for row in drawn])
    quick = replicate_tar(pairs_of(similarity, who, np.arange(12)), far, weights)
    slow = [slow_replicate(similarity, who, np.arange(12), row, far) for row in drawn]
    assert quick == pytest.approx(slow)


def test_weights_of_one_give_the_figure():
    gallery, probes, who = faces(40, 7, noise=1.5)
    pairs = pairs_of(probes @ gallery.T, who, np.arange(40))
    assert replicate_tar(pairs, 0.01, np.ones((1, 40), dtype=np.int64))[0] == tar_at_far(pairs, 0.01)


def test_interval_is_quick_and_holds_the_figure():
    gallery, probes, who = faces(40, 7, noise=1.5)
    pairs = pairs_of(probes @ gallery.T, who, np.arange(40))
    start = time.process_time()
    found = tar_interval(pairs, 0.01, seed=0)
    assert time.process_time() - start < 1.0
    assert found.low < found.value < found.high
    assert found == tar_interval(pairs, 0.01, seed=0)
    assert found.clusters == 40


def test_interval_of_a_perfect_rate_is_not_empty():
    gallery, _, who = faces(40, 2, noise=0.0)
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    found = tar_interval(pairs_of(unit[who] @ unit.T, who, np.arange(40)), 0.01, seed=0)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 40))


# --- the metrics ---


def test_verification_and_rank_on_evidence(crowd, all_rows):
    inputs = crowd(noise=1.0)
    tar = Verification(name="TAR@FAR=1%").measure(inputs, all_rows(inputs))
    strict = Verification(name="TAR@FAR=0.1%").measure(inputs, all_rows(inputs))
    rank = Rank1().measure(inputs, all_rows(inputs))
    assert tar.low < tar.value < tar.high
    assert strict.value <= tar.value
    assert rank.low < rank.value < rank.high
    assert "|far:0.01|" in str(tar.signature)
    shuffled = np.random.default_rng(0).permutation(len(inputs))
    again = Verification(name="TAR@FAR=1%").measure(inputs, shuffled)
    assert (again.value, again.low, again.high) == (tar.value, tar.low, tar.high)
    assert Rank1().measure(inputs, shuffled).value == rank.value


def test_strict_level_is_refused_on_few_pairs(crowd):
    inputs = crowd()
    rows = np.arange(0, 280, 7)  # one expression: 40 x 39 pairs
    assert Verification(name="TAR@FAR=1%").measure(inputs, rows).value is not None
    found = Verification(name="TAR@FAR=0.1%").measure(inputs, rows)
    assert found.value is None
    assert found.reason == "needs 10000 impostor pairs, has 1560"


def test_lost_faces_are_rejections_and_never_help(crowd, all_rows):
    everybody = crowd(noise=1.0)
    rng = np.random.default_rng(1)
    lost = rng.random(280) < 0.2
    some = crowd(noise=1.0, valid=~lost)
    for metric in (Verification(name="TAR@FAR=1%"), Rank1(), FaceSimilarity()):
        whole, part = (metric.measure(e, all_rows(e)) for e in (everybody, some))
        assert part.value < whole.value
        assert (part.n_valid, part.n_requested) == (int((~lost).sum()), 280)
    assert (Rank1().measure(some, all_rows(some)).per_sample[lost] == 0).all()


def test_the_signature_names_a_gallery_rule_that_holds_for_takes_and_sequences(crowd, all_rows):
    inputs = crowd()
    for metric in (Verification(name="TAR@FAR=1%"), Rank1()):
        signature = str(metric.measure(inputs, all_rows(inputs)).signature)
        assert "|gallery:one-neutral-per-person|" in signature
        assert "take" not in signature


def test_a_probe_that_resembles_somebody_else_is_wrong(make_inputs, all_rows):
    given = {
        ("dlib", "generated"): [[1, 0], [1, 0.1], [0, 1]],
        ("dlib", "gallery"): [[1, 0], [0, 1]],
    }
    inputs = make_inputs([0, 1, 1], features=given, gallery_identity=np.array([0, 1]))
    assert Rank1().measure(inputs, all_rows(inputs)).per_sample.tolist() == [1, 0, 1]


def test_ties_fail_rank_one(make_inputs, all_rows):
    given = {("dlib", "generated"): [[1, 0]], ("dlib", "gallery"): [[2, 0], [3, 0]]}
    inputs = make_inputs([0], features=given, gallery_identity=np.array([0, 1]))
    assert Rank1().measure(inputs, all_rows(inputs)).value == 0


def test_nobody_in_the_gallery_gives_a_reason(crowd, all_rows):
    inputs = crowd(people=5, per=3)
    inputs.gallery_identity = inputs.gallery_identity + 100
    for metric in (Rank1(), Verification(name="TAR@FAR=1%")):
        found = metric.measure(inputs, all_rows(inputs))
        assert (found.value, found.n_valid) == (None, 0)
        assert "gallery" in found.reason


def test_random_faces_are_at_chance(make_inputs, all_rows):
    rng = np.random.default_rng(0)
    given = {
        ("dlib", "generated"): rng.normal(size=(400, 16)),
        ("dlib", "gallery"): rng.normal(size=(40, 16)),
    }
    inputs = make_inputs(np.repeat(np.arange(40), 10), features=given)
    assert Rank1().measure(inputs, all_rows(inputs)).value < 0.08
    assert Verification(name="TAR@FAR=1%").measure(inputs, all_rows(inputs)).value < 0.05


@pytest.mark.parametrize("far", [0.0, 1.0, -0.1])
def test_impossible_levels_are_refused(far):
    with pytest.raises(DataError, match="lies between 0 and 1"):
        enough_pairs(10_000, far)


@pytest.mark.parametrize(("apart", "right"), [(0.0, 0), (5e-7, 0), (2e-6, 1)])
def test_what_rounding_parts_is_tied_in_ranks_and_at_the_threshold(apart, right):
    found = np.ones((1, 3), dtype=bool)
    similarity = np.array([[0.9, 0.9 - apart, 0.1]])
    assert rank1(similarity, found, np.array([0]), np.arange(3)).tolist() == [right]
    assert tar_at_far(pairs_of(similarity, [0], [0, 1, 2]), 0.4) == right
