"""A metric that sweeps is told for each requested level, and the gate finds the values behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from fesbench.evaluation.task_group import Group
from fesbench.gate.collect import _rows
from fesbench.metrics import METRICS
from fesbench.records.record import Cell, Record

LEVELS = np.tile([0.25, 1.0], 4)


def group(make_inputs: Any) -> Group:
    found = Group.__new__(Group)
    judged = np.eye(8)[[1, 1] * 4]
    judged[::2] = np.eye(8)[0]  # seen at the high level alone
    table = pd.DataFrame({"request": [f"r{i}" for i in range(8)], "intensity": LEVELS, "action_unit": 0})
    found.inputs = make_inputs(
        np.repeat(np.arange(4), 2),
        features={("judge", "generated"): judged},
        labels=np.ones(8, dtype=int),
        requests=table,
    )
    cell = dict.fromkeys(("method", "protocol", "protocol_hash", "data", "data_fingerprint", "preset"), "x")
    found.record = Record(cell=Cell(**cell, budget="smoke", seed=0))
    found.context = SimpleNamespace(judge_signature="j")  # type: ignore[assignment]
    found.requests, found.is_target, found.replicates, found.identities = table, False, [], list("abcd")
    found.kind = {"given": "label", "task": "intensity", "domain": "in"}
    return found


def test_a_sweep_is_told_by_level(make_inputs: Any) -> None:
    scores = group(make_inputs).score("ECS", METRICS.get("ECS"), "").scores
    assert {score.expression: score.value for score in scores} == {
        "all": 0.5,
        "anger": 0.5,
        "level 0.25": 0.0,
        "level 1": 1.0,
    }
    plain = group(make_inputs).score("ECS-macro", METRICS.get("ECS-macro"), "").scores
    assert [score.expression for score in plain] == ["all", "anger"]


def test_the_gate_pairs_the_samples_of_a_level(make_inputs: Any) -> None:
    score = group(make_inputs).score("ECS", METRICS.get("ECS"), "").scores[-2]
    table = pd.DataFrame({"task": "intensity", "domain": "in", "intensity": LEVELS})
    assert _rows(table, score).tolist() == [True, False] * 4
