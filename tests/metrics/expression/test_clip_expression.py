"""The expression at the end of a clip, and how it grows."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics import metric
from fesbench.metrics.explain import judge_of
from fesbench.records.judges import Judges
from fesbench.vocabulary import EXPRESSIONS
from tests.clip_evidence import clip_inputs

T = 4
FEAR = EXPRESSIONS.index("fear")


def judged(curve: list[float]) -> np.ndarray:
    values = np.full((len(curve), len(EXPRESSIONS)), 0.0)
    values[:, FEAR], values[:, 0] = curve, 1 - np.array(curve)
    return values


def evidence(*curves: list[float], valid: np.ndarray | None = None):
    values = np.concatenate([judged(curve) for curve in curves])
    n = len(curves)
    seen = np.ones(len(values), bool) if valid is None else valid
    inputs = clip_inputs(
        np.zeros((n, T, 8, 8, 3), np.uint8),
        features={("judge", "generated"): (values, seen)},
        labels=np.full(n, FEAR),
        intensity=np.tile([0.0, 0.25, 0.5, 1.0], (n, 1)),
    )
    return inputs


def test_the_curve_is_held_against_the_true_intensity() -> None:
    found = metric("Intensity-correlation").measure(
        evidence([0.0, 0.25, 0.5, 1.0], [0.3] * 4, [1.0, 0.75, 0.5, 0.0], [0.0, 0.2, 0.9, 0.95]), np.arange(4)
    )
    by_hand = np.corrcoef([0.0, 0.2, 0.9, 0.95], [0.0, 0.25, 0.5, 1.0])[0, 1]
    assert found.per_sample == pytest.approx([1, 0, -1, by_hand])


def test_a_frame_without_a_face_shows_nothing() -> None:
    seen = np.array([True, True, True, False])
    found = metric("Intensity-correlation").measure(evidence([0.0, 0.25, 0.5, 1.0], valid=seen), np.arange(1))
    assert found.per_sample == pytest.approx([np.corrcoef([0, 0.25, 0.5, 0], [0, 0.25, 0.5, 1])[0, 1]])


def test_the_last_frame_is_judged() -> None:
    inputs = evidence([0.9, 0.9, 0.9, 0.1], [0.0, 0.0, 0.0, 0.8])
    own = inputs.features("judge", "generated").values[T - 1 :: T]
    last = clip_inputs(
        np.zeros((2, T, 8, 8, 3), np.uint8),
        features={("judge", "generated"): own},
        labels=np.full(2, FEAR),
    )
    found = metric("ECS-apex").measure(last, np.arange(2))
    assert found.per_sample == pytest.approx([0, 1])
    assert "over:last-frame" in str(found.signature)


def test_whole_clips_are_judged_by_their_own_judges_as_a_panel() -> None:
    classes = ("neutral", "fear", "sadness")
    members = np.array(
        [
            [[0.1, 0.7, 0.2], [0.2, 0.3, 0.5], [0.9, 0.1, 0.0], [0.4, 0.4, 0.2]],
            [[0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.8, 0.2, 0.0], [0.4, 0.4, 0.2]],
        ]
    )
    inputs = clip_inputs(
        np.zeros((4, T, 8, 8, 3), np.uint8),
        features={
            ("clip-judge", "generated"): members.mean(axis=0),
            ("clip-judge-members", "generated"): np.concatenate(list(members), axis=1),
        },
        labels=np.full(4, FEAR),
    )
    inputs.columns, inputs.clip_judges = {"clip-judge": classes}, Judges(2, "clip-conv-1", "0a", "0b")
    found = metric("ECS-clip").measure(inputs, np.arange(4))
    # the still clip is neutral, the tie is wrong; the first judge alone is wrong on the second clip
    assert found.per_sample == pytest.approx([1, 1, 0, 0])
    assert found.without_judge == pytest.approx((0.5, 0.25))
    fields = dict(found.signature.fields)
    assert (fields["over"], fields["judges"]) == ("all-frames", "K=2,clip-conv-1,data=0a,digest=0b")
    assert judge_of("ECS-clip") == metric("ECS-clip").card.judge == "clip-judge"
    inputs.face_kept = np.array([True, False, True, True])
    assert metric("ECS-clip").measure(inputs, np.arange(4)).per_sample == pytest.approx([1, 0, 0, 0])
