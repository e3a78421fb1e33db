"""What holds for every metric in which a panel of judges has a say: its error, its name, and who reads it."""

import numpy as np
import pandas as pd
import pytest

from fesbench.metrics import METRICS as REGISTRY
from fesbench.metrics.expression.score import ExpressionScore
from fesbench.records.judges import Judges
from fesbench.statistics.judges import widened
from fesbench.vocabulary import EXPRESSIONS

PEOPLE, PER, MEMBERS = 12, 7, 3
PANEL = Judges(MEMBERS, "cnn64-1", "0a1b2c3d", "77aa01bc")
N = PEOPLE * PER
LABELS = np.tile(np.arange(1, PER + 1), PEOPLE)

METRICS = REGISTRY.all()
JUDGED = [
    name
    for name, metric in METRICS.items()
    if metric.by_judges and metric.card.tasks != {"compound"} and not metric.reads_clips
]


class Everything(dict):
    """Features of every extractor; who asks for the judge's is remembered."""

    def __init__(self, members):
        rng = np.random.default_rng(3)
        face = rng.normal(size=(PEOPLE, 8))
        who = np.repeat(np.arange(PEOPLE), PER)
        self.sets = {
            "generated": face[who] + 0.9 * rng.normal(size=(N, 8)),
            "source": face[who],
            "gallery": face + 0.3 * rng.normal(size=(PEOPLE, 8)),
            "reference": face[who] + 0.7 * rng.normal(size=(N, 8)),
            "training": rng.normal(size=(3 * N, 8)),
            "target": face[who] + 0.5 * rng.normal(size=(N, 8)),
        }
        self.members, self.asked = members, set()

    def __missing__(self, key):
        extractor, which = key
        if extractor in ("judge", "judge-members"):
            self.asked.add(extractor)
            mean = self.members.mean(axis=0)
            return mean if extractor == "judge" else np.concatenate(list(self.members), axis=1)
        return self.sets[which]


@pytest.fixture
def members():
    """Probabilities of three judges, (3, N, 8): the third takes happiness for surprise."""
    rng = np.random.default_rng(0)
    hits = np.where(rng.random(N) < 0.8, LABELS, rng.integers(0, 8, N))
    each = 0.6 * np.eye(8)[hits] + 0.4 * rng.dirichlet(np.ones(8), (MEMBERS, N))
    happiness = EXPRESSIONS.index("happiness")
    each[2, happiness == LABELS] = 0.95 * np.eye(8)[EXPRESSIONS.index("surprise")] + 0.05 / 8
    return each


@pytest.fixture
def evidence(make_inputs, members):
    def make(judges=PANEL):
        features = Everything(members)
        levels = np.tile([0.25, 0.5, 0.75, 1.0], N)[:N]
        table = pd.DataFrame(
            {
                "request": [f"r{i}" for i in range(N)],
                "target": np.arange(N),
                "target_expression": [EXPRESSIONS[label] for label in LABELS],
                "second_expression": "",
                "intensity": levels,
            }
        )
        inputs = make_inputs(
            np.repeat(np.arange(PEOPLE), PER), features=features, requests=table, labels=LABELS, judges=judges
        )
        return inputs, features

    return make


def test_the_metrics_that_judges_have_a_say_in():
    assert {"ECS", "ECS-unchecked", "ECS-restricted", "ECS-macro", "HES"} <= set(JUDGED)
    assert not {"ECS[fer]", "FSS", "Target-cosine"} & set(JUDGED)


@pytest.mark.parametrize("name", JUDGED)
def test_a_panel_is_named_and_widens_the_interval(name, evidence):
    (inputs, _), (alone, _), rows = evidence(), evidence(judges=None), np.arange(N)
    found, plain = METRICS[name].measure(inputs, rows), METRICS[name].measure(alone, rows)
    if plain.value is None:
        pytest.skip(plain.reason)
    assert found.value == plain.value
    assert dict(found.signature.fields)["judges"] == str(PANEL)
    assert "judges" not in dict(plain.signature.fields)
    assert (len(found.without_judge), plain.without_judge) == (MEMBERS, ())
    assert METRICS[name].low <= found.low <= plain.low <= plain.high <= found.high <= METRICS[name].high
    if len({round(value, 9) for value in found.without_judge}) > 1:
        assert found.high - found.low > plain.high - plain.low


def test_ecs_without_each_judge_by_hand(evidence, members):
    inputs, _ = evidence()
    found = ExpressionScore().measure(inputs, np.arange(N))
    expected = [
        float(np.mean(np.delete(members, k, axis=0).mean(axis=0).argmax(axis=1) == LABELS))
        for k in range(MEMBERS)
    ]
    assert found.without_judge == pytest.approx(expected)
    assert len(set(expected)) > 1
    alone = ExpressionScore().measure(evidence(judges=None)[0], np.arange(N))
    from fesbench.statistics.intervals import Interval

    plain = Interval(alone.value, alone.low, alone.high, "", PEOPLE)
    wide = widened(plain, expected, bounds=(0.0, 1.0), trials=N)
    assert (found.low, found.high) == pytest.approx((wide.low, wide.high))


@pytest.mark.parametrize("name", [name for name in METRICS if not METRICS[name].by_judges])
def test_nobody_asks_the_judges_without_saying_so(name, evidence):
    inputs, features = evidence()
    try:
        METRICS[name].measure(inputs, np.arange(N))
    except Exception:  # noqa: BLE001 - some need other evidence; what they asked for until then counts
        assert features.asked == set()
    assert features.asked == set()
