"""mSCR: rates by hand, a literal count, and what makes .5 whatever the judge says."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics import metric
from fesbench.metrics.expression.structured_confusion import PAIRS, StructuredConfusion
from fesbench.vocabulary import EXPRESSIONS

CODE = {name: code for code, name in enumerate(EXPRESSIONS)}


@pytest.fixture
def seen(make_inputs):
    """Factory: what was asked and what was seen, by name; "" is a tie of all classes."""

    def make(asked, answers, who=None, **fields):
        judged = np.stack([np.eye(8)[CODE[a]] if a else np.full(8, 1 / 8) for a in answers])
        return make_inputs(
            np.arange(len(asked)) if who is None else who,
            features={("judge", "generated"): judged, ("fer", "generated"): judged[:, :3]},
            labels=np.array([CODE[a] for a in asked]),
            **fields,
        )

    return make


def measure(inputs, rows=None):
    return StructuredConfusion().measure(inputs, np.arange(len(inputs)) if rows is None else rows)


def test_rates_by_hand(seen):
    asked = ["fear"] * 4 + ["surprise"] * 2 + ["anger", "disgust", "happiness"]
    answers = ["surprise", "fear", "", "sadness", "fear", "surprise", "disgust", "disgust", "surprise"]
    inputs = seen(asked, answers)
    # fear: 1 of 4 as surprise; surprise: 1 of 2 as fear; anger: 1 of 1 as disgust; disgust: 0 of 1.
    assert measure(inputs).value == pytest.approx((0.25 + 0.5 + 1 + 0) / 4)
    assert measure(inputs, np.arange(4)).value == pytest.approx(0.25)
    assert dict(measure(inputs).signature.fields)["pairs"] == "fear-surprise,anger-disgust"
    assert measure(inputs, np.array([8])).reason


def test_as_a_literal_count(seen):
    rng = np.random.default_rng(1)
    asked, answers = rng.choice(EXPRESSIONS[1:], 400).tolist(), rng.choice(EXPRESSIONS, 400).tolist()
    found = measure(seen(asked, answers, who=np.arange(400) % 20))
    rates = []
    for pair in PAIRS:
        for one, other in (pair, pair[::-1]):
            of_it = [answer for question, answer in zip(asked, answers, strict=True) if question == one]
            rates.append(of_it.count(other) / len(of_it))
    assert found.value == pytest.approx(np.mean(rates))
    assert 0 < found.low < found.value < found.high < 1
    assert found.replicates is not None


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_one_image_for_both_has_a_half_whatever_is_seen(seen, share):
    who = np.repeat(np.arange(10), 4)
    asked = ["fear", "surprise", "anger", "disgust"] * 10
    answers = []
    for subject in range(10):
        one = subject < 10 * share
        answers += ["fear" if one else "surprise"] * 2 + ["anger" if one else "disgust"] * 2
    assert measure(seen(asked, answers, who=who)).value == pytest.approx(0.5)


def test_the_truth_has_none_and_a_lost_face_is_not_rewarded(seen):
    asked = ["fear", "surprise", "anger", "disgust"] * 3
    who = np.repeat(np.arange(3), 4)
    truth = measure(seen(asked, asked, who=who))
    assert (truth.value, truth.low) == (0.0, 0.0)
    assert truth.high > 0
    lost = seen(asked, asked, who=who, face_kept=np.zeros(12, dtype=bool), face_rule="d")
    assert (measure(lost).value, measure(lost).n_valid) == (0.5, 0)


def test_half_a_pair_is_no_pair(seen):
    found = measure(seen(["fear", "anger"], ["surprise", "disgust"]))
    assert (found.value, found.reason) == (None, "no two expressions that look alike are both asked for")
    found = measure(seen(["fear", "surprise", "anger"], ["surprise"] * 3))
    assert found.value == 0.5
    assert dict(found.signature.fields)["pairs"] == "fear-surprise"


def test_a_judge_without_such_classes_is_refused(seen):
    inputs = seen(["fear", "surprise"], ["fear", "fear"])
    inputs.columns = {"fer": ("happiness", "sadness", "anger")}
    found = metric("mSCR[fer]").measure(inputs, np.arange(2))
    assert "no class" in found.reason
