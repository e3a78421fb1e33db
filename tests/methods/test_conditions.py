"""From request rows to what a method receives: nothing that the task does not grant, and the right units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.conditions import request_batch
from fesbench.methods.training_set import TrainingSet
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from tests.stores import protocol, shot, tiny_store

LABELS = ("neutral", "fear", "happiness")


@pytest.fixture
def store(tmp_path: Path) -> AlignedStore:
    rows = [shot(who, what) for who in "abcv" for what in LABELS]
    return tiny_store(tmp_path / "s", rows, units={4: 0.2, 12: 0.6})


def batch_of(
    store: AlignedStore, task: dict[str, Any], units: tuple[int, ...] = (4, 12), **sections: Any
) -> RequestBatch:
    rules = protocol(tasks=[task], **sections)
    split = build_split(rules, store)
    problem = Problem(size=store.size, labels=LABELS, action_units=units, seed=0)
    training = TrainingSet(store, split.rows(store.manifest, "train"), problem, 0)
    requests = build_requests(rules, store, split, "standard")[0]
    return request_batch(requests, store, training, problem)


def test_one_unit_is_set_and_the_others_are_kept(store: AlignedStore) -> None:
    task = {"kind": "action-unit", "action_units": [12, 4], "levels": [0.25, 1.0]}
    batch = batch_of(store, task)
    assert batch.task == "action-unit"
    expected = [[0.2, 0.25], [0.2, 1.0], [0.25, 0.6], [1.0, 0.6]]
    assert np.allclose(batch.target_action_units.numpy(), expected)
    assert np.allclose(batch.source_action_units.numpy(), [[0.2, 0.6]] * 4)
    assert (batch.target_label == -1).all()


def test_a_unit_that_no_training_image_codes_is_refused(store: AlignedStore) -> None:
    with pytest.raises(MethodError, match="asks for AU12, which no training image codes"):
        batch_of(store, {"kind": "action-unit", "action_units": [12]}, units=(4,))


def test_random_requests_have_no_source(store: AlignedStore) -> None:
    batch = batch_of(store, {"kind": "random", "labels": ["fear"]})
    assert batch.source.shape == (1, 3, store.size, store.size)
    assert (batch.source == 0).all()
    assert torch.isnan(batch.source_landmarks).all()
    assert torch.isnan(batch.source_action_units).all()
    assert batch.source_label.tolist() == [-1]
    assert batch.target_label.tolist() == [1]


def test_a_label_request_holds_nothing_of_its_true_image(store: AlignedStore) -> None:
    rules = protocol(tasks=[{"kind": "expression", "labels": ["fear"]}])
    split = build_split(rules, store)
    problem = Problem(size=store.size, labels=LABELS, action_units=(4, 12), seed=0)
    training = TrainingSet(store, split.rows(store.manifest, "train"), problem, 0)
    requests = build_requests(rules, store, split, "standard")[0]
    blind = requests.drop(columns=["target"])
    with_truth, without = (request_batch(table, store, training, problem) for table in (requests, blind))
    for name, value in vars(with_truth).items():
        other = getattr(without, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other


def test_granted_landmarks_take_the_label_away(store: AlignedStore) -> None:
    sides = {"rule": "names", "test_names": ["b", "c"], "validation_names": ["v"]}
    task = {"kind": "transfer", "given": "landmarks", "labels": ["fear"]}
    batch = batch_of(store, task, split=sides)
    assert batch.target_label.tolist() == [-1, -1]
    assert torch.isnan(batch.target_action_units).all()
    assert (batch.target_landmarks == 5).all()
