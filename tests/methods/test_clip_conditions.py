"""What a request for a clip says of how it develops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.clips import clip_rows
from fesbench.methods.conditions import request_batch
from fesbench.methods.native import Native
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS

FRAMES = 5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("clips")))
        options = {"identities": [2, 0, 1], "frames": FRAMES}
        return prepare("avatars-video", size=32, alignment="none@1", options=options)


@pytest.fixture(scope="module")
def training(store: AlignedStore) -> TrainingSet:
    return TrainingSet(store, np.arange(2 * 7 * FRAMES), Problem(32, EXPRESSIONS, (), 0), 0)


def row_of(store: AlignedStore, who: str, label: str, frame: int) -> int:
    table = store.manifest.table
    found = table[(table["sequence"] == f"{who}_{label}") & (table["frame"] == frame)]
    return int(found.index[0])


def asked(store: AlignedStore, *, given: str = "label", driver: int = -1, length: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "request": f"r{level}",
                "task": "sequence" if given == "label" else "motion-transfer",
                "source": row_of(store, "v0002", "fear", 0),
                "driver": driver,
                "target": row_of(store, "v0002", "fear", FRAMES - 1),
                "source_expression": "neutral",
                "target_expression": "fear",
                "second_expression": "",
                "intensity": level,
                "given": given,
                "noise_seed": 1,
                "length": length,
            }
            for level in (1.0, 0.5)
        ]
    )


def test_the_frames_of_a_clip_are_found_by_its_peak(store: AlignedStore) -> None:
    peaks = np.array([row_of(store, "v0001", "anger", FRAMES - 1), -1, row_of(store, "v0000", "fear", 4)])
    found = clip_rows(store.manifest.table, peaks, 3)
    for place, (who, label) in {0: ("v0001", "anger"), 2: ("v0000", "fear")}.items():
        assert found[place].tolist() == [row_of(store, who, label, frame) for frame in (0, 2, 4)]
    assert (found[1] == -1).all()
    stills = store.manifest.table.assign(sequence="")
    assert (clip_rows(stills, peaks, 3) == -1).all()


def test_a_label_brings_its_mean_development(store: AlignedStore, training: TrainingSet) -> None:
    batch = request_batch(asked(store), store, training, training.problem)
    points, strength = store.manifest.landmarks, store.manifest.table["intensity"].to_numpy()
    rows = [[row_of(store, who, "fear", frame) for frame in (0, 2, 4)] for who in ("v0000", "v0001")]
    moved = np.mean([points[r] - points[r[:1]] for r in rows], axis=0)
    source = points[row_of(store, "v0002", "fear", 0)]
    assert batch.clip_landmarks is not None
    assert batch.clip_intensity is not None
    assert batch.clip_landmarks[0].numpy() == pytest.approx(source + moved, abs=1e-4)
    assert batch.clip_landmarks[1].numpy() == pytest.approx(source + moved / 2, abs=1e-4)
    assert batch.clip_intensity[0].numpy() == pytest.approx(np.mean([strength[r] for r in rows], axis=0))
    assert batch.clip_intensity[1] == pytest.approx(batch.clip_intensity[0] / 2)
    assert batch.driver is None
    assert batch.driver_landmarks is None


def test_a_label_without_clips_moves_evenly_to_its_images(store: AlignedStore, training: TrainingSet) -> None:
    rows = np.array([row_of(store, "v0000", "fear", frame) for frame in (0, FRAMES - 1)])
    few = TrainingSet(store, rows, training.problem, 0)
    assert np.isnan(few.mean_motion(3).landmarks[training.problem.labels.index("fear")]).all()
    batch = request_batch(asked(store), store, few, few.problem)
    assert batch.clip_landmarks is not None
    middle = (batch.source_landmarks + batch.target_landmarks) / 2
    assert torch.allclose(batch.clip_landmarks[:, 1], middle, atol=1e-4)
    assert torch.allclose(batch.clip_landmarks[:, 2], batch.target_landmarks)


def test_images_have_no_development(store: AlignedStore, training: TrainingSet) -> None:
    one = asked(store).assign(task="expression", length=1)
    batch = request_batch(one, store, training, training.problem)
    assert batch.clip_landmarks is None
    assert batch.clip_intensity is None


def test_a_driver_is_granted_whole_and_takes_the_label_away(store: AlignedStore, training) -> None:
    driver = row_of(store, "v0001", "fear", FRAMES - 1)
    batch = request_batch(asked(store, given="driver", driver=driver), store, training, training.problem)
    rows = [row_of(store, "v0001", "fear", frame) for frame in (0, 2, 4)]
    assert batch.driver is not None
    assert batch.driver_landmarks is not None
    assert batch.clip_landmarks is not None
    assert batch.driver.shape == (2, 3, 3, 32, 32)
    assert ((batch.driver[0] + 1) * 127.5).permute(0, 2, 3, 1).numpy() == pytest.approx(store.images[rows])
    points = store.manifest.landmarks
    assert (batch.driver_landmarks[0].numpy() == points[rows]).all()
    source = points[row_of(store, "v0002", "fear", 0)]
    eyes = [np.linalg.norm(p[36] - p[45]) for p in (source, points[rows[0]])]
    wanted = source + (points[rows] - points[rows[0]]) * eyes[0] / eyes[1]
    assert batch.clip_landmarks[0].numpy() == pytest.approx(wanted, abs=1e-3)
    assert batch.target_landmarks[0].numpy() == pytest.approx(wanted[-1], abs=1e-3)
    assert (batch.target_label == -1).all()
    assert torch.isnan(batch.clip_intensity).all()
    assert torch.isnan(batch.target_action_units).all()


def test_a_driver_that_is_no_clip_is_refused(store: AlignedStore, training: TrainingSet) -> None:
    for driver in (-1, row_of(store, "v0001", "fear", 0)):
        rows = asked(store, given="driver", driver=driver)
        if driver < 0:
            with pytest.raises(MethodError, match="end of no clip"):
                request_batch(rows, store, training, training.problem)
        else:
            # any image of a sequence names its clip
            assert request_batch(rows, store, training, training.problem).driver is not None


def test_a_native_form_reaches_clips_and_landmarks(store: AlignedStore, training: TrainingSet) -> None:
    driver = row_of(store, "v0001", "fear", FRAMES - 1)
    batch = request_batch(asked(store, given="driver", driver=driver), store, training, training.problem)
    small = Native.parse("28-gray-bicubic-aa").batch(batch)
    assert small.driver is not None
    assert small.clip_landmarks is not None
    assert small.driver.shape == (2, 3, 1, 28, 28)
    expected = (batch.clip_landmarks + 0.5) * 28 / 32 - 0.5
    assert torch.allclose(small.clip_landmarks, expected)
    plain = Native.parse("28-gray-bicubic-aa").batch(
        request_batch(asked(store), store, training, training.problem)
    )
    assert plain.driver is None


def test_shuffled_labels_shuffle_the_motions(store: AlignedStore, training: TrainingSet) -> None:
    rows = np.arange(2 * 7 * FRAMES)
    mixed = TrainingSet(store, rows, training.problem, 0, shuffle_labels_seed=3).mean_motion(3)
    assert np.nanmax(np.abs(mixed.landmarks - training.mean_motion(3).landmarks)) > 0.5
    assert not training.mean_motion(3).landmarks[0].any()
    assert not training.mean_motion(3).intensity[0].any()


def test_a_label_without_clips_rises_evenly(store: AlignedStore) -> None:
    few = TrainingSet(store, np.arange(FRAMES), Problem(32, EXPRESSIONS, (), 0), 0).mean_motion(3)
    assert few.intensity[3] == pytest.approx([0, 0.5, 1])
    assert np.isnan(few.landmarks[3]).all()
