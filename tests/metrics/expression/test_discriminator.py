import numpy as np
import pytest

from fesbench.extractors.registry import REAL
from fesbench.metrics.expression.discriminator import (
    DISCRIMINATOR,
    DiscriminatorAccuracy,
    DiscriminatorRealism,
)

CLASSES = ("neutral", "happiness", "anger")
NEUTRAL, ANGER, HAPPINESS, SURPRISE = 0, 1, 5, 7


def one_hot(columns):
    return np.eye(3)[np.asarray(columns)]


@pytest.fixture
def judged(make_inputs):
    def make(**fields):
        features = {
            (DISCRIMINATOR, "generated"): one_hot([1, 1, 2, 0]),
            (DISCRIMINATOR, "target"): one_hot([1, 2, 2, 2]),
            (DISCRIMINATOR, "training"): one_hot([0, 1, 1, 2, 0]),
        }
        given = {
            "labels": np.array([HAPPINESS, HAPPINESS, ANGER, ANGER]),
            "columns": {DISCRIMINATOR: CLASSES},
            "training_labels": np.array([NEUTRAL, HAPPINESS, ANGER, ANGER, HAPPINESS]),
            "training_identity": np.array([7, 7, 7, 8, 8]),
        }
        return make_inputs([0, 0, 1, 2], **({"features": features} | given | fields))

    return make


NAMES = {"generated": "D-acc-generated", "target": "D-acc-real", "training": "D-acc-real-train"}


def measure(which, inputs, rows=None):
    return DiscriminatorAccuracy(name=NAMES[which]).measure(inputs, np.arange(4) if rows is None else rows)


def test_by_hand(judged):
    inputs = judged()
    assert measure("generated", inputs).per_sample.tolist() == [1, 1, 1, 0]
    assert measure("target", inputs).per_sample.tolist() == [1, 0, 1, 1]
    # Of the training images those that show what is asked for: right, wrong, right, wrong.
    training = measure("training", inputs)
    assert (training.value, training.n_valid, training.identities) == (0.5, 4, 2)
    assert training.per_sample is None
    assert training.replicates.values.tolist() == [0.5, 0.5]
    assert training.replicates.clusters == (7, 8)


def test_of_one_expression(judged):
    inputs = judged()
    assert measure("training", inputs, [2, 3]).value == 0.5
    assert measure("target", inputs, [2, 3]).value == 1


def test_it_says_that_it_judges_itself():
    for which in ("generated", "target", "training"):
        metric = DiscriminatorAccuracy(name=NAMES[which])
        assert "self-assessment" in metric.card.title
        assert metric.settings()["judge"] == "self"
    assert DiscriminatorAccuracy(name="D-acc-real").card.needs == {"target"}


def test_what_the_head_has_no_class_for_is_not_valid(judged):
    inputs = judged(labels=np.array([HAPPINESS, HAPPINESS, SURPRISE, -1]))
    found = measure("generated", inputs)
    assert (found.value, found.n_valid, found.n_requested) == (1.0, 2, 4)
    nothing = measure("generated", judged(labels=np.full(4, SURPRISE)))
    assert nothing.value is None


def test_a_request_without_a_true_image_is_not_valid(judged):
    inputs = judged()
    inputs.requests["target"] = [0, -1, 2, -1]
    found = measure("target", inputs)
    assert (found.value, found.n_valid) == (1.0, 2)


def test_unknown_training_labels_have_a_reason(judged):
    found = measure("training", judged(training_labels=None))
    assert (found.value, found.reason) == (None, "the training images' labels are not known")


BINARY = {
    "generated": [0.1, 0.4, 0.9, 0.5],
    "target": [0.9, 0.5, 0.6, 0.2],
    "training": [0.9, 0.8, 0.1, 0.7, 0.3],
}


@pytest.fixture
def called(judged):
    """The same classes, and behind them the probability of being real."""
    plain = judged()

    def make(**fields):
        features = {
            (DISCRIMINATOR, which): np.c_[plain.feature_set(DISCRIMINATOR, which).values, real]
            for which, real in BINARY.items()
        }
        return judged(columns={DISCRIMINATOR: (*CLASSES, REAL)}, features=features, **fields)

    return make


def binary(which, inputs):
    name = NAMES[which].replace("D-acc", "D-acc-binary")
    return DiscriminatorRealism(name=name).measure(inputs, np.arange(4))


def test_real_and_generated_by_hand(called):
    inputs = called()
    assert binary("generated", inputs).per_sample.tolist() == [1, 1, 0, 0], "one half is no answer"
    assert binary("target", inputs).per_sample.tolist() == [1, 0, 1, 0]
    training = binary("training", inputs)
    assert (training.value, training.n_valid) == (0.5, 4)
    assert training.signature != measure("training", inputs).signature
    inputs.requests["target"] = [0, -1, 2, -1]
    found = binary("target", inputs)
    assert (found.value, found.n_valid) == (1.0, 2)


def test_the_probability_of_being_real_is_no_class(called, judged):
    """It is the highest output of most images here, and nothing changes for the classes."""
    for which in NAMES:
        assert measure(which, called()).value == measure(which, judged()).value


def test_a_discriminator_that_gives_no_probability_has_a_reason(judged):
    found = binary("generated", judged())
    assert (found.value, found.reason) == (None, "its discriminator gives no probability of being real")
