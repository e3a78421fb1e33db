"""Expression-distance: by hand, as a loop, what it is blind to and what counts as 1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fesbench.errors import UnknownNameError
from fesbench.metrics import METRICS, metric
from fesbench.metrics.expression.distance import ExpressionDistance

NAME = "Expression-distance[judge]"


@pytest.fixture
def judged(make_inputs):
    def make(made, wanted, *, valid=None, target_valid=None, **fields):
        n = len(made)
        sets = {"generated": (made, valid), "target": (wanted, target_valid)}
        return make_inputs(
            np.arange(n) % 3,
            features={
                ("judge", which): (np.asarray(values), np.ones(n, bool) if ok is None else ok)
                for which, (values, ok) in sets.items()
            },
            **fields,
        )

    return make


def answers(n, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(8), n)


def measure(inputs):
    return metric(NAME).measure(inputs, np.arange(len(inputs)))


def test_by_hand(judged):
    eye = np.eye(8)
    half = (eye[0] + eye[1]) / 2
    found = measure(judged([eye[0], eye[0], half, half], [eye[0], eye[3], eye[0], half[::-1]]))
    assert found.per_sample == pytest.approx([0, 1, 0.5, 1])
    assert found.value == pytest.approx(0.625)


def test_as_a_loop_over_classes(judged):
    made, wanted = answers(20), answers(20, seed=1)
    found = measure(judged(made, wanted))
    pairs = [zip(x, y, strict=True) for x, y in zip(made, wanted, strict=True)]
    expected = [sum(max(0.0, a - b) for a, b in pair) for pair in pairs]
    assert found.per_sample == pytest.approx(expected, abs=1e-6)
    assert 0 <= found.low < found.value < found.high <= 1


def test_it_is_a_distance_and_grows_as_answers_part(judged):
    made, wanted = answers(30), answers(30, seed=1)
    assert measure(judged(made, made)).value == 0
    assert measure(judged(made, wanted)).value == measure(judged(wanted, made)).value
    shares, whole = (0.1, 0.4, 0.9), measure(judged(wanted, made)).value
    values = [measure(judged((1 - s) * made + s * wanted, made)).value for s in shares]
    assert values == pytest.approx([s * whole for s in shares], abs=1e-6)


def test_what_cannot_be_read(judged):
    made = answers(6)
    kept = np.array([True] * 4 + [False] * 2)
    lost = measure(judged(made, made, face_kept=kept, face_rule="d"))
    assert lost.per_sample.tolist() == [0] * 4 + [1] * 2
    assert (lost.n_valid, lost.n_requested) == (4, 6)
    unread = measure(judged(made, made, target_valid=kept))
    assert np.isnan(unread.per_sample).tolist() == [False] * 4 + [True] * 2
    assert measure(judged(made, made, target_valid=np.zeros(6, bool))).reason


def test_requests_without_a_target_have_no_value(judged):
    table = pd.DataFrame({"request": [f"r{i}" for i in range(4)], "target": [0, -1, 2, 3]})
    found = measure(judged(answers(4), answers(4), requests=table))
    assert np.isnan(found.per_sample).tolist() == [False, True, False, False]
    table["target"] = -1
    assert "no target image" in measure(judged(answers(4), answers(4), requests=table)).reason


def test_the_name_always_says_whose_answers_are_compared():
    assert {name for name in METRICS.names() if "xpression-distance" in name} == set(ExpressionDistance.named)
    assert metric("Expression-distance[fer]").card.extractor == "fer"
    for bare in ("AED", "Expression-distance"):
        with pytest.raises(UnknownNameError):
            metric(bare)
