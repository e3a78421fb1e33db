"""The judge that avatars@1 ships, and what it says of a method that learned nothing about labels."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch

from fesbench.data.avatars import source_sha256
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.judges.expression import shipped_judge
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import load_method
from fesbench.methods.training_set import TrainingSet
from fesbench.synthesis import to_pixels
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

pytestmark = pytest.mark.slow
TRAIN, TEST = 24, 16


@pytest.fixture
def store() -> AlignedStore:
    """Subjects of the test side of avatars@1: the judge saw none of them."""
    return prepare(
        "avatars", size=64, alignment="none@1", options={"identities": [TRAIN + TEST, 0, 0], "seed": 1}
    )


def rows_of(store: AlignedStore, first: int, last: int) -> np.ndarray:
    identities = sorted(set(store.manifest.table["identity"]))[first:last]
    return np.flatnonzero(store.manifest.table["identity"].isin(identities).to_numpy())


def test_it_was_trained_on_the_avatars_of_this_version() -> None:
    """When the avatars' sources change, make the judge anew: ``python -m fesbench.judges.packaged``."""
    judge = shipped_judge("avatars")
    assert judge is not None
    assert judge.facts.data_fingerprint == source_sha256()
    assert judge.label_names == EXPRESSIONS
    assert judge.facts.accuracy is not None
    assert 0.93 <= judge.facts.accuracy <= 0.99


def test_it_is_small() -> None:
    assert len((files("fesbench.judges") / "judge-avatars.safetensors").read_bytes()) < 3_000_000


def test_it_knows_real_faces_of_unseen_identities(store: AlignedStore) -> None:
    judge = shipped_judge("avatars")
    assert judge is not None
    rows = rows_of(store, 0, TRAIN + TEST)
    labels = [EXPRESSIONS.index(name) for name in store.manifest.table["expression"].to_numpy()[rows]]
    assert (judge.predict(store.images[rows]) == labels).mean() > 0.9


def accuracy_of(store: AlignedStore, shuffle: int | None) -> float:
    """ECS of masked regression, trained on some subjects and asked for every expression of others."""
    problem = Problem(64, EXPRESSIONS, ACTION_UNITS, seed=0)
    training = TrainingSet(store, rows_of(store, 0, TRAIN), problem, 0, shuffle_labels_seed=shuffle)
    method_class = load_method("mr")
    method = method_class(problem, method_class.presets["tiny"])
    for phase in method.phases():
        method.fit(phase, training)
    table = store.manifest.table
    wanted = rows_of(store, TRAIN, TRAIN + TEST)
    neutral = wanted[((table["expression"] == "neutral") & (table["take"] == 0)).to_numpy()[wanted]]
    labels = list(range(1, len(EXPRESSIONS)))
    with torch.inference_mode():
        images = to_pixels(method.synthesize(label_requests(training, neutral, labels)))
    judge = shipped_judge("avatars")
    assert judge is not None
    return float((judge.predict(images) == np.tile(labels, len(neutral))).mean())


def test_shuffled_labels_fall_to_chance(store: AlignedStore) -> None:
    """With labels shuffled every target is the same mean face: one label in seven is right at the most."""
    assert accuracy_of(store, None) > 0.5
    assert accuracy_of(store, shuffle=5) < 0.25
