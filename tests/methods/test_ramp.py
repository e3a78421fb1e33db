"""Methods that make images answer clips: frame by frame, along the label's mean intensity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem, applicable, ramps
from fesbench.methods.conditions import request_batch
from fesbench.methods.ramp import frame_of
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.runs.answerable import answerable
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import FakeStore, fake_clips, fake_store

UNITS = (1, 2, 4, 5, 6, 7, 12, 15, 23, 26)


@pytest.fixture(scope="module")
def store() -> FakeStore:
    return fake_clips(3, 32, frames=5)


def training_on(store: FakeStore) -> TrainingSet:
    return TrainingSet(store, np.arange(len(store.images)), Problem(32, EXPRESSIONS, UNITS, 0), 0)


def asked(store: FakeStore, length: int = 3, intensity: float = 1.0) -> RequestBatch:
    """Clips of happiness and surprise from the first two subjects."""
    rows = [
        {
            "request": f"{who}_{label}",
            "task": "sequence",
            "source": 35 * who,
            "driver": -1,
            "source_expression": "neutral",
            "target_expression": label,
            "second_expression": "",
            "intensity": intensity,
            "given": "label",
            "noise_seed": who,
            "length": length,
        }
        for who in range(2)
        for label in ("happiness", "surprise")
    ]
    training = training_on(store)
    return request_batch(pd.DataFrame(rows), store, training, training.problem)


def build(name: str) -> Method:
    kind = methods()[name]
    method: Method = kind(Problem(32, EXPRESSIONS, UNITS, 0), kind.presets["tiny"])
    return method


def test_a_frame_s_conditions_lie_between_the_source_s_and_the_target_s(store) -> None:
    requests = asked(store, intensity=0.5)
    frames = [frame_of(requests, t) for t in range(3)]
    assert all(
        (f.length, f.task, f.clip_intensity, f.clip_landmarks) == (1, "intensity", None, None) for f in frames
    )
    assert [frame.intensity.tolist() for frame in frames] == [[0] * 4, [0.25] * 4, [0.5] * 4]
    torch.testing.assert_close(frames[0].target_landmarks, requests.source_landmarks)
    torch.testing.assert_close(frames[2].target_landmarks, requests.target_landmarks, atol=1e-4, rtol=0)
    halfway = (requests.source_landmarks + requests.target_landmarks) / 2
    torch.testing.assert_close(frames[1].target_landmarks, halfway, atol=1e-3, rtol=0)
    happy = [UNITS.index(unit) for unit in (6, 12)]
    found = [frame.target_action_units[0, happy].tolist() for frame in frames]
    assert found == [[0, 0], [0.25, 0.25], [0.5, 0.5]]
    assert frames[2].target_action_units[0].sum() == 1


@pytest.mark.parametrize("name", ["ganimation", "exprgan", "attgan", "copy", "mean-shift", "warp"])
def test_every_frame_is_the_image_of_its_intensity(name, store) -> None:
    method, requests = build(name), asked(store)
    for phase in method.phases():
        if phase.closed_form:
            method.fit(phase, training_on(store))
    assert requests.clip_intensity is not None
    assert requests.clip_intensity.tolist() == [[0, 0.5, 1]] * 4
    clips = method.answer(requests)
    assert clips.shape == (4, 3, 3, 32, 32)
    for frame in range(3):
        alone = method.answer(frame_of(requests, frame))
        torch.testing.assert_close(clips[:, frame], alone, atol=1e-5, rtol=0)
    if name != "copy":
        assert (clips[:, 2] - clips[:, 0]).abs().amax((1, 2, 3)).min() > 1e-3
    if name in ("copy", "warp"):
        torch.testing.assert_close(clips[:, 0], requests.source, atol=1e-3, rtol=0)


def test_what_controls_intensity_and_no_clips_is_ramped() -> None:
    found = {name for name, kind in methods().items() if ramps(kind.card, "sequence", "label")}
    assert {"ganimation", "exprgan", "cdiff", "g2gan"} <= found
    assert not found & {"stargan", "gcgan", "real"}
    for name, kind in methods().items():
        reason = applicable(kind.card, "sequence", "label")
        assert (reason is None) == (name in found or "sequence" in kind.card.controls)
    card = methods()["ganimation"].card
    assert not ramps(replace(card, controls=card.controls | {"sequence"}), "sequence", "label")
    assert not ramps(card, "expression", "label")
    assert not ramps(card, "sequence", "landmarks")


def test_what_grants_no_label_is_not_ramped(store) -> None:
    assert not ramps(methods()["ganimation"].card, "motion-transfer", "driver")
    with pytest.raises(MethodError, match="development of a label"):
        build("ganimation").answer(replace(asked(store), given="driver"))


@pytest.mark.parametrize(
    ("name", "reason"), [("ganimation", "needs sequences"), ("stargan", "does not control sequence")]
)
def test_a_run_asks_for_ramped_clips_only_where_there_are_clips_to_follow(name, reason, store) -> None:
    kind = methods()[name]
    rows = [{"task": "sequence", "domain": "in", "given": "label", "target": -1}]
    for data, refused in ((store, reason), (fake_store(2, 32), reason)):
        training = training_on(data)
        kept, left_out = answerable(kind, training.problem, training, pd.DataFrame(rows))
        ramped = name == "ganimation" and data is store
        assert len(kept) == ramped
        assert [item.reason for item in left_out] == ([] if ramped else [f"not applicable: {refused}"])
