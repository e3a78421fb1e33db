"""One small data set for every method's tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import fake_store

UNITS = (1, 2, 4, 5, 6, 7, 12, 15, 23, 26)


@pytest.fixture(scope="session")
def view() -> TrainingSet:
    store = fake_store(6, 64)
    return TrainingSet(store, np.arange(len(store.images)), Problem(64, EXPRESSIONS, UNITS, 0), 0)


@pytest.fixture(scope="session")
def requests(view: TrainingSet) -> RequestBatch:
    """Two subjects x three labels."""
    return label_requests(view, np.array([0, 8]), [1, 5, 7])


@pytest.fixture
def build(view: TrainingSet):
    """A method by id at 64 px, closed forms fitted."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes: Any) -> Method:
        from dataclasses import replace

        kind = methods()[name]
        hyper = replace(kind.presets[preset], **changes) if changes else kind.presets[preset]
        method = kind(problem or view.problem, hyper)
        if problem is None:
            for phase in method.phases():
                if phase.closed_form and "sequences" not in method.card.needs:
                    method.fit(phase, view)
        return method

    return make


@pytest.fixture(scope="session")
def count():
    def parameters(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    return parameters
