import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from fesbench.errors import DataError
from fesbench.metrics.expression.score import ExpressionScore, predictions
from fesbench.vocabulary import EXPRESSIONS


@pytest.fixture
def judged(make_inputs):
    def make(probabilities, labels, classes=EXPRESSIONS, valid=None, identities=None):
        valid = np.ones(len(labels), dtype=bool) if valid is None else np.array(valid)
        return make_inputs(
            np.arange(len(labels)) if identities is None else identities,
            features={("judge", "generated"): (np.asarray(probabilities), valid)},
            labels=np.asarray(labels),
            judge_classes=tuple(classes),
        )

    return make


def one_hot(indices, n=8):
    return np.eye(n)[np.asarray(indices)]


def measure(inputs):
    return ExpressionScore().measure(inputs, np.arange(len(inputs)))


def test_by_hand(judged):
    found = measure(judged(one_hot([5, 5, 1, 0]), [5, 6, 1, 7]))
    assert found.per_sample.tolist() == [1, 0, 1, 0]
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_a_class_that_is_never_requested_counts(judged):
    # Neutral (0) is never requested, but its probability is the highest.
    assert measure(judged([[0.5, 0.4, 0.1, 0, 0, 0, 0, 0]], [1])).value == 0


def test_judge_with_fewer_classes_in_another_order(judged):
    classes = ("surprise", "happiness", "neutral")
    inputs = judged(one_hot([1, 0, 2], 3), [5, 7, 7], classes)
    assert measure(inputs).per_sample.tolist() == [1, 1, 0]
    assert [EXPRESSIONS[i] for i in predictions(inputs)] == ["happiness", "surprise", "neutral"]


def test_requests_that_the_judge_cannot_know_are_refused(judged):
    found = measure(judged(one_hot([0, 1], 3), [5, 2], ("happiness", "anger", "fear")))
    assert found.value is None
    assert found.reason == "the judge has no class for contempt"
    assert np.isnan(found.per_sample).all()
    compound = measure(judged(one_hot([0]), [-1]))
    assert compound.reason == "the judge has no class for an expression without a single label"


def test_ties_and_unreadable_pictures_are_errors(judged):
    found = measure(
        judged(
            [[0.5, 0.5, 0, 0, 0, 0, 0, 0]] * 2 + [[1, 0, 0, 0, 0, 0, 0, 0]] * 2,
            [0, 1, 0, 0],
            valid=[True, True, True, False],
        )
    )
    assert found.per_sample.tolist() == [0, 0, 1, 0]
    assert (found.n_valid, found.n_requested) == (3, 4)


def test_agrees_with_scikit_learn(judged):
    rng = np.random.default_rng(0)
    labels = rng.choice(8, 300, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    p = rng.dirichlet(np.ones(8), 300)
    p[np.arange(300), labels] += 0.2
    inputs = judged(p, labels, identities=np.arange(300) // 10)
    found, seen = measure(inputs), predictions(inputs)
    assert found.value == pytest.approx(accuracy_score(labels, seen))


def test_a_picture_that_could_not_be_judged_has_no_prediction(judged):
    inputs = judged(one_hot([1, 5]), [1, 5], valid=[True, False])
    assert predictions(inputs).tolist() == [1, -1]


def test_order_does_not_matter_and_more_errors_are_worse(judged):
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(8), 25)
    p = one_hot(labels)
    inputs = judged(p, labels, identities=np.repeat(np.arange(25), 8))
    assert measure(inputs).value == 1.0
    assert measure(inputs).low < 1.0  # 25 subjects of 25 are not certainty
    last = 1.0
    for share in (0.2, 0.5, 0.9):
        mixed = np.where(rng.random(200)[:, None] < share, np.roll(p, 1, axis=1), p)
        inputs = judged(mixed, labels, identities=np.repeat(np.arange(25), 8))
        found = measure(inputs)
        assert found.value < last
        again = ExpressionScore().measure(inputs, rng.permutation(200))
        assert (again.value, again.low, again.high) == (found.value, found.low, found.high)
        last = found.value


def test_wrong_number_of_classes_is_an_error(judged):
    with pytest.raises(DataError, match="5 probabilities for 8 classes"):
        measure(judged(np.ones((2, 5)), [1, 2]))
