from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import methods
from fesbench.methods.sampling import derive_seed
from fesbench.methods.training_set import TrainingSet, image_tensor
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS
from tests.factories import fake_store


def _view(store, rows=None, units=(6, 12), **options) -> TrainingSet:
    problem = Problem(store.size, EXPRESSIONS, units, 0)
    rows = np.arange(len(store.images)) if rows is None else rows
    return TrainingSet(store, rows, problem, 0, **options)


def test_pairs_join_neutral_and_expression_of_one_subject_and_take() -> None:
    store = fake_store(3, 64, takes=2)
    view = _view(store)
    assert (view.n_images, view.n_pairs) == (48, 42)
    table = store.manifest.table
    for (neutral, peak), label in zip(view.pair_rows, view.pair_labels, strict=True):
        a, b = table.iloc[neutral], table.iloc[peak]
        assert (a.identity, a["take"], a.expression) == (b.identity, b["take"], "neutral")
        assert b.expression == EXPRESSIONS[label] != "neutral"


def test_pairs_of_sequences_stay_inside_the_sequence_and_match_frame_by_frame() -> None:
    store = fake_store(2, 64, sequences=True)
    view = _view(store)
    assert view.n_pairs == 2 * 7 * 2
    table = store.manifest.table
    for neutral, peak in view.pair_rows:
        a, b = table.iloc[neutral], table.iloc[peak]
        assert a.sequence == b.sequence
        assert b.frame - a.frame == 10


def test_only_the_given_rows_are_seen() -> None:
    store = fake_store(4, 64)
    view = _view(store, rows=np.arange(8, 24))
    assert set(view.rows) == set(range(8, 24))
    assert view.pair_rows.min() >= 8
    assert view.pair_rows.max() < 24


def test_batches_depend_on_seed_and_step_alone() -> None:
    store = fake_store(3, 64)
    one, two = _view(store), _view(store)
    two.batch("image", 4, 99, 5)
    for step in (0, 3, 7):
        a, b = one.batch("image", 4, step, 5), two.batch("image", 4, step, 5)
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)
    assert not torch.equal(one.batch("image", 4, 0, 5).image, one.batch("image", 4, 0, 6).image)


def test_an_epoch_sees_every_image_once() -> None:
    view = _view(fake_store(3, 64))
    seen = torch.cat([view.batch("image", 6, step, 1, flip=False).image for step in range(4)])
    everything = image_tensor(view.store.images)
    distances = (seen[:, None] - everything[None]).abs().amax(dim=(2, 3, 4))
    assert sorted(distances.argmin(dim=1).tolist()) == list(range(24))


def test_a_pair_is_mirrored_as_one() -> None:
    store = fake_store(3, 64)
    # A face with one dark side shows which way round it is.
    store.images[:, :, :8] = 0
    batch = _view(store).batch("pair", 32, 0, 1)
    left = batch.source.image[..., 0].amax(dim=(1, 2)) == -1
    assert torch.equal(left, batch.target.image[..., 0].amax(dim=(1, 2)) == -1)
    assert 0 < left.sum() < 32


def test_mean_displacement_is_the_mean_over_subjects() -> None:
    store = fake_store(3, 64)
    view = _view(store)
    marks = store.manifest.landmarks.reshape(3, 8, 68, 2)
    happy = EXPRESSIONS.index("happiness")
    np.testing.assert_allclose(
        view.mean_landmark_displacement[happy], (marks[:, happy] - marks[:, 0]).mean(0), atol=1e-4
    )
    assert not view.mean_landmark_displacement[0].any()
    assert view.mean_action_units[happy].tolist() == [1.0, 1.0]
    assert view.mean_action_units[0].tolist() == [0.0, 0.0]


def test_means_leave_out_what_is_not_known() -> None:
    store = fake_store(2, 64)
    happy = EXPRESSIONS.index("happiness")
    store.manifest.action_units[happy] = np.nan
    view = _view(store)
    assert view.mean_action_units[happy].tolist() == [1.0, 1.0]
    batch = view.batch("image", 15, 0, 1, needs={"action_units"})
    assert torch.isfinite(batch.action_units).all()


def test_what_a_set_lacks_is_said() -> None:
    known = methods()
    bare = _view(fake_store(2, 64, action_units=False), units=())
    assert bare.lacks(known["ganimation"].card) == "needs action_units"
    assert bare.lacks(known["stargan"].card) is None
    no_neutral = _view(fake_store(1, 64), rows=np.arange(1, 8))
    assert no_neutral.lacks(known["mr"].card) == "needs neutral and pairs"
    with pytest.raises(DataError, match="not one pair"):
        no_neutral.batch("pair", 1, 0)


def test_a_set_without_any_label_is_refused() -> None:
    with pytest.raises(DataError, match="labelled with one of"):
        TrainingSet(fake_store(1, 64), np.arange(8), Problem(64, ("no-such",), (), 0), 0)


def test_shuffled_labels_keep_their_counts_and_lose_their_images() -> None:
    store = fake_store(20, 64)
    plain, shuffled = _view(store), _view(store, shuffle_labels_seed=3)
    assert sorted(plain.labels) == sorted(shuffled.labels)
    assert (plain.labels == shuffled.labels).mean() < 0.3
    assert np.array_equal(plain.pair_rows, shuffled.pair_rows)
    assert (plain.pair_labels == shuffled.pair_labels).mean() < 0.35
    # The label says nothing any more: mean displacements shrink to what chance leaves.
    size = np.abs(plain.mean_landmark_displacement[1:] - plain.mean_landmark_displacement[1:].mean(0)).mean()
    left = shuffled.mean_landmark_displacement[1:]
    assert np.abs(left - left.mean(0)).mean() < 0.5 * size


def test_label_requests_hold_displaced_landmarks_and_mean_units() -> None:
    store = fake_store(2, 64)
    view = _view(store)
    found = label_requests(view, np.array([0, 8]), [5, 7])
    assert found.target_label.tolist() == [5, 7, 5, 7]
    expected = store.manifest.landmarks[8] + view.mean_landmark_displacement[7]
    np.testing.assert_allclose(found.target_landmarks[3].numpy(), expected, atol=1e-4)
    assert found.target_action_units[0].tolist() == [1.0, 1.0]


def test_image_tensor_spans_minus_one_to_one() -> None:
    pixels = np.array([0, 255], dtype=np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert image_tensor(pixels)[0, 0, 0].tolist() == [-1.0, 1.0]


def test_derived_seeds_are_the_same_in_every_process() -> None:
    assert derive_seed(0, "adversarial", 3) == derive_seed(0, "adversarial", 3)
    assert derive_seed(0, "a") != derive_seed(1, "a")
    assert 0 <= derive_seed(ACTION_UNITS) < 2**63
