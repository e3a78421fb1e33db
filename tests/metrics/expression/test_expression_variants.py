import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from fesbench.errors import DataError
from fesbench.metrics.expression.score import ExpressionScore, KnownExpressionScore, predictions
from fesbench.metrics.expression.variants import (
    MacroExpressionScore,
    RestrictedExpressionScore,
    TopTwoExpressionScore,
)
from fesbench.records.signature import Signature
from fesbench.vocabulary import EXPRESSIONS

FER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
NEUTRAL, ANGER, CONTEMPT, DISGUST, FEAR, HAPPINESS, SADNESS, SURPRISE = range(8)


@pytest.fixture
def judged(make_inputs):
    def make(probabilities, labels, *, judge="judge", valid=None, identities=None, **fields):
        valid = np.ones(len(labels), dtype=bool) if valid is None else np.array(valid)
        return make_inputs(
            np.arange(len(labels)) if identities is None else identities,
            features={(judge, "generated"): (np.asarray(probabilities), valid)},
            labels=np.asarray(labels),
            **{"columns": {"fer": FER}, **fields},
        )

    return make


def one_hot(indices, n=8):
    return np.eye(n)[np.asarray(indices)]


def measure(metric, inputs):
    return metric.measure(inputs, np.arange(len(inputs)))


class TestOutsideJudge:
    def test_its_classes_are_matched_by_name(self, judged):
        # fer's columns: happiness is its fourth, anger its first.
        inputs = judged(one_hot([3, 0, 6], 7), [HAPPINESS, ANGER, SURPRISE], judge="fer")
        found = measure(ExpressionScore("fer"), inputs)
        assert found.card.name == "ECS[fer]"
        assert found.per_sample.tolist() == [1, 1, 0]
        assert [EXPRESSIONS[i] for i in predictions(inputs, "fer")] == ["happiness", "anger", "neutral"]

    def test_a_label_that_it_lacks_is_refused_and_never_pooled_away(self, judged):
        inputs = judged(one_hot([3, 0], 7), [HAPPINESS, CONTEMPT], judge="fer")
        pooled = measure(ExpressionScore("fer"), inputs)
        assert pooled.value is None
        assert pooled.reason == "the judge has no class for contempt"
        assert ExpressionScore("fer").measure(inputs, [0]).value == 1
        assert ExpressionScore("fer").measure(inputs, [1]).value is None

    def test_over_what_it_knows_it_has_another_name_and_says_which(self, judged):
        inputs = judged(one_hot([3, 0, 1], 7), [HAPPINESS, CONTEMPT, ANGER], judge="fer")
        found = measure(KnownExpressionScore(), inputs)
        assert found.card.name == "ECS-known[fer]"
        assert found.value == 0.5
        assert found.per_sample[[0, 2]].tolist() == [1, 0]
        assert np.isnan(found.per_sample[1])
        assert (found.n_valid, found.n_requested) == (2, 3)
        assert dict(found.signature.fields)["over"] == "anger,happiness"
        alone = KnownExpressionScore().measure(inputs, [1])
        assert (alone.value, alone.reason) == (None, "the judge has no class for contempt")

    def test_outputs_without_names_are_an_error(self, judged):
        inputs = judged(one_hot([3], 7), [HAPPINESS], judge="other")
        with pytest.raises(DataError, match="name its classes"):
            measure(ExpressionScore("other"), inputs)


class TestRestricted:
    def test_what_nobody_asks_for_is_not_listened_to(self, judged):
        p = [[0.6, 0.3, 0.1, 0, 0, 0, 0, 0], [0.6, 0.1, 0.3, 0, 0, 0, 0, 0]]
        inputs = judged(p, [ANGER, ANGER])
        assert measure(RestrictedExpressionScore(), inputs).reason.startswith("fewer than two classes")
        inputs = judged([*p, p[0]], [ANGER, ANGER, CONTEMPT])
        found = measure(RestrictedExpressionScore(), inputs)
        assert found.per_sample.tolist() == [1, 0, 0]
        assert measure(ExpressionScore(), inputs).value == 0
        assert dict(found.signature.fields)["classes"] == "anger,contempt"

    def test_one_expression_by_itself_still_chooses_among_all_requested(self, judged):
        inputs = judged(one_hot([CONTEMPT, CONTEMPT]), [ANGER, CONTEMPT])
        assert RestrictedExpressionScore().measure(inputs, [0]).value == 0

    def test_never_below_the_open_choice(self, judged):
        rng = np.random.default_rng(0)
        labels = rng.integers(1, 6, 300)
        p = rng.dirichlet(np.ones(8), 300)
        inputs = judged(p, labels, identities=np.arange(300) // 10)
        restricted = measure(RestrictedExpressionScore(), inputs)
        assert restricted.value > measure(ExpressionScore(), inputs).value
        expected = top_k_accuracy_score(labels, p[:, 1:6], k=1, labels=range(1, 6))
        assert restricted.value == pytest.approx(expected)
        assert Signature.difference(
            restricted.signature, measure(RestrictedExpressionScore(), judged(p, labels % 2 + 1)).signature
        ) == ("classes",)


class TestMacro:
    def test_by_hand(self, judged):
        inputs = judged(one_hot([1, 1, 1, 0, 5]), [1, 1, 1, 1, 6], identities=[0, 0, 1, 1, 2])
        assert measure(MacroExpressionScore(), inputs).value == pytest.approx((3 / 4 + 0) / 2)

    def test_agrees_with_scikit_learn(self, judged):
        rng = np.random.default_rng(1)
        labels = rng.choice(8, 400, p=[0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
        p = rng.dirichlet(np.ones(8), 400)
        p[np.arange(400), labels] += 0.2
        inputs = judged(p, labels, identities=np.arange(400) // 10)
        found = measure(MacroExpressionScore(), inputs)
        assert found.value == pytest.approx(balanced_accuracy_score(labels, predictions(inputs)))
        assert 0 <= found.low < found.value < found.high <= 1
        assert found.replicates is not None

    def test_of_equally_many_requests_it_is_the_plain_score(self, judged):
        rng = np.random.default_rng(2)
        labels = np.tile(np.arange(1, 8), 20)
        inputs = judged(rng.dirichlet(np.ones(8), 140), labels, identities=np.repeat(np.arange(20), 7))
        assert measure(MacroExpressionScore(), inputs).value == pytest.approx(
            measure(ExpressionScore(), inputs).value
        )

    def test_no_error_is_no_certainty(self, judged):
        labels = np.tile(np.arange(1, 8), 5)
        found = measure(
            MacroExpressionScore(), judged(one_hot(labels), labels, identities=np.repeat(np.arange(5), 7))
        )
        assert (found.value, found.high) == (1.0, 1.0)
        assert found.low < 1.0
        # A later run with errors is compared with it subject by subject.
        assert found.replicates is not None
        assert found.replicates.values.tolist() == [1.0] * 5


class TestTopTwo:
    @pytest.fixture
    def compounds(self, judged):
        def make(p, pairs, **more):
            table = pd.DataFrame(
                {
                    "request": [f"r{i}" for i in range(len(pairs))],
                    "target": np.arange(len(pairs)),
                    "target_expression": [first for first, _ in pairs],
                    "second_expression": [second for _, second in pairs],
                }
            )
            return judged(p, [-1] * len(pairs), requests=table, **more)

        return make

    def test_by_hand(self, compounds):
        p = np.zeros((4, 8))
        p[0, [FEAR, SURPRISE]] = 0.6, 0.4  # both, in this order
        p[1, [SURPRISE, FEAR]] = 0.6, 0.4  # and in the other
        p[2, [FEAR, ANGER, SURPRISE]] = 0.5, 0.3, 0.2  # a third between them
        p[3, [FEAR, ANGER, SURPRISE]] = 0.5, 0.25, 0.25  # a tie for the second place
        found = measure(TopTwoExpressionScore(), compounds(p, [("fear", "surprise")] * 4))
        assert found.per_sample.tolist() == [1, 1, 0, 0]
        assert found.value == 0.5

    def test_agrees_with_sorting(self, compounds):
        rng = np.random.default_rng(3)
        p = rng.dirichlet(np.ones(8), 200)
        pairs = [("happiness", "surprise"), ("fear", "anger")] * 100
        found = measure(TopTwoExpressionScore(), compounds(p, pairs, identities=np.arange(200) // 8))
        best = [{EXPRESSIONS[i] for i in row[:2]} for row in np.argsort(-p, axis=1)]
        assert found.per_sample.tolist() == [
            float(set(pair) == top) for pair, top in zip(pairs, best, strict=True)
        ]

    def test_an_unreadable_picture_is_wrong(self, compounds):
        p = np.tile(one_hot([FEAR]) + one_hot([SURPRISE]), (2, 1))
        found = measure(
            TopTwoExpressionScore(), compounds(p, [("fear", "surprise")] * 2, valid=[True, False])
        )
        assert (found.per_sample.tolist(), found.n_valid) == ([1, 0], 1)

    def test_single_labels_and_unknown_ones_are_refused(self, compounds):
        single = measure(TopTwoExpressionScore(), compounds(one_hot([1]), [("anger", "")]))
        assert (single.value, single.reason) == (None, "no compound expression is asked for")
        unknown = compounds(
            one_hot([1], 3), [("anger", "fear")], judge_classes=("anger", "neutral", "sadness")
        )
        assert "has no class" in measure(TopTwoExpressionScore(), unknown).reason
