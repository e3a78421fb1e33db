"""Which metrics are measured in which task, and whose judge a fold's subjects get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fesbench.context.folded import FoldedContext
from fesbench.extractors.base import Features
from fesbench.extractors.registry import REGRESSOR
from fesbench.metrics import METRICS
from fesbench.metrics.selection import metrics_of

CONTROL = {"AU-correlation", "AU-monotonicity", "AU-tau", "AU-leakage"}
SELF = {f"D-acc-{kind}{which}" for kind in ("", "binary-") for which in ("real", "real-train", "generated")}


@pytest.mark.parametrize(
    ("task", "among", "not_among"),
    [
        ("expression", {"ECS", "ECS-macro", "ECS[fer]", "AU-error", "NME", *SELF}, {"ECS-top2", *CONTROL}),
        ("compound", {"ECS", "ECS-top2", "AU-error", "NME"}, {"ECS-macro", *SELF, *CONTROL}),
        ("transfer", {"ECS", "NME"}, {"AU-error", *SELF, *CONTROL}),
        ("intensity", {"ECS-restricted", "AU-error", "NME"}, {"ECS-top2", *CONTROL}),
        ("action-unit", CONTROL, {"ECS", "ECS[fer]", "ECS-known[fer]", "AU-error", "NME", *SELF}),
        ("random", {"ECS", "ECS-macro"}, {"AU-error", "NME", *SELF, *CONTROL}),
        ("identity-verification", set(), {"ECS", "NME", *SELF, *CONTROL}),
    ],
)
def test_a_metric_is_measured_where_it_means_something(
    task: str, among: set[str], not_among: set[str]
) -> None:
    found = set(metrics_of(task, METRICS.all()))
    assert among <= found
    assert not found & not_among


class Fold:
    """A fold whose regressor knows some units and answers each with a number of its own."""

    def __init__(self, units: tuple[str, ...], answer: float) -> None:
        self.units, self.answer = units, answer

    def columns(self, name: str) -> tuple[str, ...]:
        return self.units

    def features(self, name: str, images: np.ndarray, landmarks: Any, identities: np.ndarray) -> Features:
        values = np.array([[self.answer + float(unit[2:]) for unit in self.units]] * len(images), np.float32)
        return Features(
            values, np.ones(len(images), bool), f"{REGRESSOR}:r:{','.join(u[2:] for u in self.units)}"
        )


def test_a_folds_people_are_measured_by_its_regressor_on_the_units_that_all_know() -> None:
    folds: Any = {0: Fold(("AU1", "AU4", "AU12"), 100), 1: Fold(("AU4", "AU12", "AU25"), 200)}
    blank: Any = SimpleNamespace()
    context = FoldedContext(blank, blank, blank, "smoke", blank, [], None, {}, blank, blank)
    context.folds, context.fold_of = folds, {"a": 0, "b": 1}
    found = context.features(REGRESSOR, np.zeros((3, 8, 8, 3), np.uint8), None, np.array(["b", "a", "b"]))
    assert context.columns(REGRESSOR) == ("AU4", "AU12")
    assert found.values.tolist() == [[204, 212], [104, 112], [204, 212]]
    assert found.signature == f"{REGRESSOR}:r:4,12"
