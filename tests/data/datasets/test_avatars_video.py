"""The data set of avatar clips: its rows, its determinism, and that it is clips to a training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.avatar_clips import ClipSpec, render_clip
from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError, UnknownNameError
from fesbench.methods.card import Problem
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS

ADAPTER = dataset("avatars-video")
SMALL = {"identities": [1, 0, 1], "frames": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("clips")))
        return prepare("avatars-video", size=32, alignment="none@1", options=SMALL)


def test_every_subject_shows_every_expression_frame_by_frame(store: AlignedStore) -> None:
    table = store.manifest.table
    assert len(table) == 2 * 7 * 5
    for who in ("v0000", "v0001"):
        for number, label in enumerate(EXPRESSIONS[1:]):
            clip = table[table["sequence"] == f"{who}_{label}"]
            assert list(clip["identity"].unique()) == [who]
            assert list(clip["frame"]) == [0, 1, 2, 3, 4]
            assert list(clip["expression"]) == ["neutral", *[label] * 4]
            truth = render_clip(ClipSpec(int(who[1:]), label, take=number), 32, 5, seed=1)
            assert (store.images[clip.index] == truth.images).all()
            assert clip["intensity"].to_numpy() == pytest.approx(truth.intensity)
            assert (store.manifest.landmarks[clip.index] == truth.landmarks).all()
            assert (store.manifest.action_units[clip.index] == truth.action_units).all()
    assert table["publishable"].all()


def test_any_range_of_entries_is_the_same(store: AlignedStore) -> None:
    plan = ADAPTER.plan(None, ADAPTER.check_options(SMALL), 32)
    assert len(plan) == 70
    for start, stop in ((3, 12), (68, 99)):
        for k, item in enumerate(plan.read(start, stop)):
            assert isinstance(item, Item)
            assert (item.image == store.images[start + k]).all()
            assert item.row["image"] == store.manifest.table["image"][start + k]


def test_a_training_set_finds_its_clips(store: AlignedStore) -> None:
    found = TrainingSet(store, np.arange(35), Problem(32, EXPRESSIONS, (12,), 0), 0)
    batch = found.batch("clip", 7, 0, flip=False, length=5)
    assert sorted(batch.label.tolist()) == [1, 2, 3, 4, 5, 6, 7]
    assert (batch.frame == np.arange(5)).all()
    assert (batch.intensity.diff(dim=1) > 0).all()


def test_the_fingerprint_follows_options_and_size() -> None:
    plans = [
        ADAPTER.plan(None, ADAPTER.check_options(options), size).fingerprint
        for options, size in (
            (SMALL, 32),
            (SMALL, 64),
            ({**SMALL, "seed": 2}, 32),
            ({**SMALL, "frames": 6}, 32),
        )
    ]
    assert len(set(plans)) == 4


@pytest.mark.parametrize(
    "options",
    [{"identities": 3}, {"identities": [0, 0, 0]}, {"frames": 2}, {"seed": -1}, {"identities": [1, -1, 0]}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(DataError):
        ADAPTER.check_options(options)


def test_unknown_options_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        ADAPTER.check_options({"takes": 2})
    with pytest.raises(DataError, match="--from"):
        ADAPTER.plan(tmp_path, ADAPTER.check_options({}), 64)
