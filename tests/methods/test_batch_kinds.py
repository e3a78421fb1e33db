"""The kinds of batches besides images and pairs, and what a set says that it lacks."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.methods.batches import ClipBatch, PairBatch
from fesbench.methods.card import MethodCard, Need, Phase, Problem
from fesbench.methods.training_set import TrainingSet, image_tensor
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import FakeStore, fake_store

HAPPY = EXPRESSIONS.index("happiness")


def _view(store: FakeStore, rows: np.ndarray | None = None, **options) -> TrainingSet:
    rows = np.arange(len(store.images)) if rows is None else rows
    return TrainingSet(store, rows, Problem(64, EXPRESSIONS, (6, 12), 0), 0, **options)


def _films() -> FakeStore:
    """Sequences of frames 0, 1, 10 and 11, of which 10 is halfway to the peak."""
    store = fake_store(3, 64, sequences=True)
    table = store.manifest.table
    table.loc[table["frame"] == 10, "intensity"] = 0.5
    store.images[:, 0, 0, 0] = np.arange(len(store.images))
    return store


def test_an_epoch_of_any_pairs_has_every_image_as_target_and_sources_of_the_same_subject() -> None:
    view = _view(fake_store(3, 64))
    pairs = [view.batch("any-pair", 6, step, 1, flip=False) for step in range(4 * 40)]
    first = torch.cat([pair.target.identity * 8 + pair.target.label for pair in pairs[:4]])
    assert sorted(first.tolist()) == list(range(24))
    met = set()
    for pair in pairs:
        assert isinstance(pair, PairBatch)
        assert torch.equal(pair.source.identity, pair.target.identity)
        assert (pair.source.label != pair.target.label).all()
        met |= set(zip(pair.source.label.tolist(), pair.target.label.tolist(), strict=True))
    assert len(met) == 8 * 7
    again = _view(fake_store(3, 64)).batch("any-pair", 6, 33, 1, flip=False)
    assert torch.equal(again.source.image, pairs[33].source.image)


def test_take_pairs_join_two_labels_of_one_subject_in_one_take_in_either_order() -> None:
    store = fake_store(3, 64, takes=2)
    store.images[:, 0, 0, 0] = np.repeat([0, 1], 8).tolist() * 3
    view, met = _view(store), set()
    for step in range(100):
        pair = view.batch("take-pair", 6, step, 1, flip=False)
        assert torch.equal(pair.source.identity, pair.target.identity)
        assert torch.equal(pair.source.image[:, 0, 0, 0], pair.target.image[:, 0, 0, 0])
        met |= set(zip(pair.source.label.tolist(), pair.target.label.tolist(), strict=True))
    assert met == {(a, b) for a in range(8) for b in range(8) if a != b}


def test_take_pairs_of_films_stay_in_their_sequence() -> None:
    view, met = _view(_films()), set()
    for step in range(60):
        pair = view.batch("take-pair", 6, step, intensities=True)
        met |= set(zip(pair.source.label.tolist(), pair.target.label.tolist(), strict=True))
    assert met == {ends for k in range(1, 8) for ends in ((0, k), (k, 0))}


def test_a_set_of_one_expression_a_take_says_that_it_has_no_take_pairs() -> None:
    store = fake_store(2, 64)
    store.manifest.table["take"] = np.arange(len(store.images))
    card = MethodCard("it", "", "", 2000, frozenset({"any-pairs", "take-pairs"}), frozenset({"expression"}))
    assert _view(store).lacks(card) == "needs take-pairs"
    with pytest.raises(DataError, match="not one take-pair"):
        _view(store).batch("take-pair", 1, 0)


def test_driver_pairs_join_two_subjects_with_one_label() -> None:
    view = _view(fake_store(4, 64))
    for step in range(20):
        pair = view.batch("driver-pair", 8, step)
        assert torch.equal(pair.source.label, pair.target.label)
        assert (pair.source.identity != pair.target.identity).all()
    with pytest.raises(DataError, match="not one driver-pair"):
        _view(fake_store(1, 64)).batch("driver-pair", 1, 0)


def test_two_label_sets_are_drawn_apart_and_the_larger_makes_the_epoch() -> None:
    view = _view(fake_store(5, 64))
    sad = ("sadness", "anger")
    phase = Phase("x", "unpaired", 5, 1, 1, labels=sad, source_labels=("neutral",))
    assert view.examples(phase) == 10
    pairs = [view.step_batch(phase, step, 3) for step in range(2)]
    assert all((pair.source.label == 0).all() for pair in pairs)
    seen = torch.cat([pair.target.identity * 8 + pair.target.label for pair in pairs]).tolist()
    assert sorted(seen) == sorted(who * 8 + EXPRESSIONS.index(name) for who in range(5) for name in sad)
    assert any((pair.source.identity != pair.target.identity).any() for pair in pairs)


def test_a_label_filter_keeps_those_labels_alone() -> None:
    view = _view(fake_store(3, 64))
    assert (view.batch("image", 9, 0, labels=("happiness",)).label == HAPPY).all()
    assert (view.batch("pair", 9, 0, labels=("happiness",)).target.label == HAPPY).all()
    with pytest.raises(DataError, match="not one image of bliss"):
        view.batch("image", 1, 0, labels=("bliss",))


def test_unlabelled_images_are_those_given_and_carry_no_label() -> None:
    store = fake_store(4, 64)
    view = _view(store, np.arange(16), unlabelled_rows=np.arange(16, 32))
    batch = view.batch("unlabelled", 16, 0, flip=False)
    assert (batch.label == -1).all()
    far = (batch.image[:, None] - image_tensor(store.images[16:])[None]).abs().amax(dim=(2, 3, 4))
    assert sorted(far.argmin(dim=1).tolist()) == list(range(16))
    assert far.amin(dim=1).max() == 0
    pair = view.batch("cross-domain", 8, 0)
    assert (pair.source.label >= 0).all()
    assert set(pair.target.identity.tolist()) <= {2, 3}


def test_clips_run_from_neutral_to_the_peak_at_equal_steps_of_time() -> None:
    store = _films()
    view = _view(store)
    clip = view.batch("clip", 4, 0, flip=False, length=5)
    assert isinstance(clip, ClipBatch)
    assert clip.video.shape == (4, 5, 3, 64, 64)
    assert (clip.landmarks.shape, clip.action_units.shape) == ((4, 5, 68, 2), (4, 5, 2))
    # times 0, 2.75, 5.5, 8.25, 11; of two as near the earlier
    assert clip.frame.tolist() == [[0, 1, 1, 10, 11]] * 4
    assert clip.intensity.tolist() == [[0.0, 0.0, 0.0, 0.5, 1.0]] * 4
    rows = ((clip.video[:, :, 0, 0, 0] + 1) * 127.5).round().long().numpy()
    table = store.manifest.table
    for row, label in zip(rows, clip.label.tolist(), strict=True):
        assert table["sequence"].iloc[row].nunique() == 1
        assert table["expression"].iloc[row[-1]] == EXPRESSIONS[label]
    epoch = torch.cat([view.batch("clip", 7, step, length=3).identity for step in range(3)])
    assert sorted(epoch.tolist()) == [0] * 7 + [1] * 7 + [2] * 7


def test_a_mirrored_clip_is_mirrored_in_every_frame() -> None:
    clip = _view(_films()).batch("clip", 2, 0, flip=False, length=3)
    flipped = clip.flip(torch.tensor([True, False]))
    assert torch.equal(flipped.video[0], clip.video[0].flip(-1))
    assert torch.equal(flipped.video[1], clip.video[1])
    torch.testing.assert_close(flipped.landmarks[0, :, 48, 0], 63 - clip.landmarks[0, :, 54, 0])


def test_weaker_expressions_serve_only_where_they_are_asked_for() -> None:
    store = _films()
    view, peaks = _view(store), np.flatnonzero(store.manifest.table["frame"] != 10)
    plain = _view(store, peaks)
    assert np.array_equal(view.rows, plain.rows)
    assert np.array_equal(view.mean_landmark_displacement, plain.mean_landmark_displacement)
    assert torch.equal(view.batch("image", 9, 4, 2).image, plain.batch("image", 9, 4, 2).image)
    assert (view.batch("image", 60, 0).intensity != 0.5).all()
    assert (view.batch("image", 84, 0, intensities=True).intensity == 0.5).sum() == 21
    assert (view.batch("pair", 42, 0, intensities=True).target.intensity == 0.5).sum() == 21


@pytest.mark.parametrize("need", get_args(Need))
def test_every_need_is_checked(need: str) -> None:
    card = MethodCard("x", "x", "x", 2000, frozenset({need}), frozenset())  # type: ignore[arg-type]
    full = _view(_films(), np.arange(56), unlabelled_rows=np.arange(56, 84))
    assert full.lacks(card) is None
    store = fake_store(1, 64, action_units=False)
    store.manifest.landmarks[:] = np.nan
    bare = TrainingSet(store, np.array([0]), Problem(64, (), (), 0), 0)
    assert bare.lacks(card) == f"needs {need}"
