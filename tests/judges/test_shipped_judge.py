"""The shipped judges, whom they serve, and what they say of a method that learned nothing about labels."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fesbench.data.avatars import source_sha256
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.judges.panel import FEWEST, MOST, JudgePanel, shipped_name, shipped_panel
from fesbench.judges.shipped import shipped_serve
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import load_method
from fesbench.methods.training_set import TrainingSet
from fesbench.protocol.protocol import Protocol, load_protocol
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


def panel(members: int = MOST) -> JudgePanel:
    found = shipped_panel("avatars", members)
    assert found is not None
    return found


def rows_of(store: AlignedStore, first: int, last: int) -> np.ndarray:
    identities = sorted(set(store.manifest.table["identity"]))[first:last]
    return np.flatnonzero(store.manifest.table["identity"].isin(identities).to_numpy())


def test_they_were_trained_on_the_avatars_of_this_version() -> None:
    """When the avatars' sources change, make the judges anew: ``python -m fesbench.judges.packaged``."""
    assert panel().label_names == EXPRESSIONS
    for seed, judge in enumerate(panel().members):
        assert judge.facts.data_fingerprint == source_sha256()
        assert (judge.facts.seed, judge.facts.held_out) == (seed, 960)
        assert judge.facts.accuracy is not None
        assert 0.93 <= judge.facts.accuracy <= 0.99


def test_the_small_panel_is_the_beginning_of_the_large_one() -> None:
    assert panel(FEWEST).members[0].weights_sha256 == panel().members[0].weights_sha256
    assert panel(FEWEST).digest == JudgePanel(panel().members[:FEWEST]).digest != panel().digest


def test_they_are_small() -> None:
    folder = files("fesbench.judges")
    for seed in range(MOST):
        assert len((folder / shipped_name("avatars", seed)).read_bytes()) < 600_000


@pytest.mark.parametrize("members", [FEWEST, MOST])
def test_they_know_real_faces_of_unseen_identities(store: AlignedStore, members: int) -> None:
    rows = rows_of(store, 0, TRAIN + TEST)
    labels = [EXPRESSIONS.index(name) for name in store.manifest.table["expression"].to_numpy()[rows]]
    assert (panel(members).predict(store.images[rows]) == labels).mean() > 0.93


def test_they_know_the_ends_of_clips() -> None:
    """Of subjects of avatars-video, where the last frames are the peaks."""
    store = prepare(
        "avatars-video", size=64, alignment="none@1", options={"identities": [8, 0, 0], "frames": 3}
    )
    ends = np.flatnonzero(store.manifest.table["frame"].isin((0, 2)).to_numpy())
    labels = [EXPRESSIONS.index(name) for name in store.manifest.table["expression"].to_numpy()[ends]]
    assert (panel(FEWEST).predict(store.images[ends]) == labels).mean() > 0.93


def serve(protocol: Protocol, data: str, seed: int, tested: str) -> bool:
    store: Any = SimpleNamespace(data=data, info={"options": {"seed": seed}})
    split: Any = SimpleNamespace(test=frozenset({tested}))
    return shipped_serve(protocol, store, split)


@pytest.mark.parametrize(
    ("name", "data", "seed", "tested", "found"),
    [
        ("avatars", "avatars", 0, "a0230", True),
        ("avatars", "avatars", 0, "a0030", False),
        ("avatars", "avatars", 2, "a0030", True),
        ("avatars-video", "avatars-video", 1, "v0030", True),
        # the avatars of one family are the same people, whatever they are called
        ("avatars-video", "avatars-video", 0, "v0030", False),
        ("avatars-video", "avatars-video", 0, "v0230", True),
        ("avatars-video@1", "avatars-video", 1, "v0030", False),
        ("ck+-video", "avatars-video", 1, "v0030", False),
    ],
)
def test_they_serve_where_they_know_nobody_who_is_tested(
    name: str, data: str, seed: int, tested: str, found: bool
) -> None:
    assert serve(load_protocol(name), data, seed, tested) is found


def test_they_serve_all_of_their_labels_alone() -> None:
    fewer = load_protocol("avatars-video").with_labels(EXPRESSIONS[:4])
    assert not serve(fewer, "avatars-video", 1, "v0030")


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
    return float((panel().predict(images) == np.tile(labels, len(neutral))).mean())


def test_shuffled_labels_fall_to_chance(store: AlignedStore) -> None:
    """With labels shuffled every target is the same mean face: one label in seven is right at the most."""
    assert accuracy_of(store, None) > 0.5
    assert accuracy_of(store, shuffle=5) < 0.25
