"""An output that lost its source's face counts as missing, whatever a recognizer or a judge makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics.expression.score import ExpressionScore
from fesbench.metrics.identity.acd import MISSING, ContentDistance, InputDistance
from fesbench.metrics.identity.fvs import FaceVerification
from fesbench.metrics.identity.similarity import FaceSimilarity, Rank1, Verification
from fesbench.vocabulary import EXPRESSIONS

WHO = np.repeat(np.arange(8), 2)
KEPT = np.array([True, False] * 8)


@pytest.fixture
def crowd(make_inputs):
    """Eight subjects, two outputs each; every output has its source's embedding and its requested label."""
    people = np.eye(8)[WHO]
    labels = np.array([1, 2] * 8)
    features = {
        ("dlib", "generated"): people,
        ("dlib", "source"): people,
        ("dlib", "gallery"): np.eye(8),
        ("judge", "generated"): np.eye(len(EXPRESSIONS))[labels],
    }

    def make(**fields):
        return make_inputs(WHO, features=features, labels=labels, **fields)

    return make


@pytest.mark.parametrize(
    ("metric", "whole", "half"),
    [
        (FaceSimilarity(), 1.0, 0.5),
        (FaceVerification(), 1.0, 0.5),
        (Rank1(), 1.0, 0.5),
        (ExpressionScore(), 1.0, 0.5),
        (InputDistance(), 0.0, MISSING / 2),
        (ContentDistance(), 0.0, MISSING),
        (ExpressionScore(name="ECS-unchecked"), 1.0, 1.0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_lost_face_counts_as_missing(metric, whole, half, crowd, all_rows) -> None:
    before = crowd(face_kept=np.ones(16, dtype=bool), face_rule="detector:1")
    after = crowd(face_kept=KEPT, face_rule="detector:1")
    assert metric.measure(before, all_rows(before)).value == pytest.approx(whole)
    assert metric.measure(after, all_rows(after)).value == pytest.approx(half)


def test_it_is_rejected_in_verification(crowd, all_rows) -> None:
    metric = Verification(name="TAR@FAR=1%", far=0.5)
    found = metric.measure(crowd(face_kept=KEPT, face_rule="detector:1"), all_rows(crowd()))
    assert (found.value, found.n_valid) == (0.5, 8)


def test_signatures_say_who_looked_for_a_face(crowd, all_rows) -> None:
    looked = crowd(face_kept=KEPT, face_rule="detector:1")
    for inputs, word in ((looked, "detector:1"), (crowd(), "unchecked")):
        for metric in (FaceSimilarity(), ExpressionScore()):
            assert dict(metric.measure(inputs, all_rows(inputs)).signature.fields)["face"] == word
    unchecked = ExpressionScore(name="ECS-unchecked").measure(looked, all_rows(looked))
    assert "face" not in dict(unchecked.signature.fields)
