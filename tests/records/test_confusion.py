import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import confusion_matrix as reference

from fesbench.errors import RecordError
from fesbench.evaluation.confusion import confusion_matrix, judges_of, seen_by
from fesbench.metrics import METRICS
from fesbench.metrics.inputs import MetricInputs
from fesbench.records.confusion import CONFUSION, ConfusionMatrix, load_confusion, write_confusion
from fesbench.vocabulary import EXPRESSIONS


class Found:
    signature = "judge:1"

    def __init__(self, values: np.ndarray, valid: np.ndarray) -> None:
        self.values, self.valid = values.astype(np.float32), valid


def inputs(seen: list[int], asked: list[str], second: list[str] | None = None, valid=None) -> MetricInputs:  # type: ignore[no-untyped-def]
    n = len(seen)
    table = pd.DataFrame({"target_expression": asked, "second_expression": second or [""] * n})
    found = Found(np.eye(8)[seen], np.ones(n, bool) if valid is None else np.array(valid))
    pictures = np.zeros((n, 8, 8, 3), np.uint8)
    return MetricInputs(
        requests=table,
        generated=pictures,
        target=None,
        source=pictures,
        clusters=np.arange(n),
        seed=0,
        protocol="p",
        features=lambda name, which: found,
        labels=np.array([EXPRESSIONS.index(name) if name else -1 for name in asked]),
        gallery_identity=np.arange(1),
        reference_name="",
    )


def test_agrees_with_scikit_learn_and_every_row_sums_to_its_requests() -> None:
    rng = np.random.default_rng(0)
    asked, seen = rng.integers(1, 8, 200), rng.integers(0, 8, 200)
    made = confusion_matrix(
        inputs(seen.tolist(), [EXPRESSIONS[i] for i in asked]), "judge", "expression", "in"
    )
    expected = reference(asked, seen, labels=range(8))
    for name, row in zip(made.requested, made.counts, strict=True):
        assert row[:-1] == expected[EXPRESSIONS.index(name)].tolist()
        assert row[-1] == 0
    assert sum(map(sum, made.counts)) == 200
    assert made.seen == [*EXPRESSIONS, "unreadable"]


def test_probabilities_stand_in_columns_by_their_class() -> None:
    found = seen_by(inputs([3, 0], ["anger", "anger"], valid=[True, False]), ["judge"])
    assert list(found) == [f"seen[judge] {name}" for name in EXPRESSIONS]
    assert {name: column.dtype for name, column in found.items()} == dict.fromkeys(
        found, np.dtype(np.float32)
    )
    table = np.stack(list(found.values()), axis=1)
    assert table[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert np.isnan(table[1]).all()


def test_unreadable_compound_and_unlabelled_requests() -> None:
    made = confusion_matrix(
        inputs(
            [4, 7, 5, 0],
            ["fear", "fear", "fear", ""],
            ["surprise", "surprise", "", ""],
            [True, True, False, True],
        ),
        "judge",
        "compound",
        "in",
    )
    assert made.requested == ["fear+surprise", "fear"]
    assert made.counts[0][4] == made.counts[0][7] == 1
    assert made.counts[1] == [0] * 8 + [1]


def test_it_is_written_and_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = confusion_matrix(inputs([1, 2], ["anger", "anger"]), "judge", "expression", "in")
    write_confusion(tmp_path, [made])
    again = load_confusion(tmp_path)
    assert again is not None
    assert again.matrices == [made]
    write_confusion(tmp_path, [])
    assert load_confusion(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["", "{", '{"schema_version": 2, "matrices": []}', '{"matrices": [{}]}'])
def test_a_damaged_file_is_named(tmp_path, damage: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / CONFUSION).write_text(damage)
    with pytest.raises(RecordError, match=r"confusion\.json cannot be read"):
        load_confusion(tmp_path)


def test_counts_that_do_not_fit_are_refused() -> None:
    whole = json.loads(
        confusion_matrix(inputs([1], ["anger"]), "judge", "expression", "in").model_dump_json()
    )
    for counts in ([[1, 2]], [[0] * 9, [0] * 9], [[-1] + [0] * 8]):
        with pytest.raises(ValidationError):
            ConfusionMatrix.model_validate({**whole, "counts": counts})


def test_judges_are_those_of_the_expression_scores_that_can_be_computed() -> None:
    names = ["ECS", "ECS-macro", "ECS[fer]", "FSS", "D-acc-real"]
    assert judges_of(names, METRICS.all(), {}) == ["judge", "fer"]
    assert judges_of(names, METRICS.all(), {"ECS[fer]": "weights: fer"}) == ["judge"]
