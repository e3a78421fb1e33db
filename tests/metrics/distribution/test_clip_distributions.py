"""Scores of sets of clips, on features of clips that are written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fesbench.errors import DataError
from fesbench.metrics import metric
from fesbench.metrics.distribution.frechet_math import frechet_distance
from fesbench.metrics.distribution.inception_score import inception_score
from fesbench.metrics.explain import judge_of
from fesbench.metrics.inputs import MetricInputs
from fesbench.records.judges import Judges
from tests.clip_evidence import clip_inputs
from tests.evidence import FakeFeatures
from tests.metrics.distribution.test_frechet import torch_fidelity_fid

PEOPLE, PER, WIDTH = 6, 5, 4
N = PEOPLE * PER
PANEL = Judges(3, "clip-conv-1", "0a1b", "77aa")
DISTANCES = {"FD-clip": "clip-judge-features", "FVD": "i3d-kinetics-400"}


def evidence(order: np.ndarray | None = None, *, length: int = 9, shift: float = 0.5) -> MetricInputs:
    order, rng = np.arange(N) if order is None else order, np.random.default_rng(2)
    who = np.repeat(np.arange(PEOPLE), PER)
    made, real = rng.normal(shift, 1, (N, 3 * WIDTH)), rng.normal(size=(N, 3 * WIDTH))
    members = rng.dirichlet(np.ones(3), (3, N))
    features = {(name, "generated"): made[order] for name in DISTANCES.values()}
    features |= {(name, "reference"): real for name in DISTANCES.values()}
    features[("clip-judge", "generated")] = members.mean(axis=0)[order]
    features[("clip-judge-members", "generated")] = np.concatenate(list(members), axis=1)[order]
    labels = np.tile(np.arange(1, PER + 1), PEOPLE)
    images = np.zeros((N, length, 8, 8, 3), np.uint8)
    found = clip_inputs(images, features=features, labels=labels[order], identities=who[order])
    found.reference_identity, found.reference_labels, found.clip_judges = who, labels, PANEL
    found.requests["request"] = [f"r{i:02d}" for i in order]
    return found


@pytest.mark.parametrize(("name", "extractor"), DISTANCES.items())
def test_distances_are_torch_fidelitys_of_the_features_of_clips(name: str, extractor: str) -> None:
    inputs = evidence()
    made, real = (inputs.features(extractor, which).values for which in ("generated", "reference"))
    found = metric(name).measure(inputs, np.arange(N))
    assert found.value == pytest.approx(frechet_distance(made, real), rel=1e-9)
    assert found.value == pytest.approx(torch_fidelity_fid(made, real), rel=1e-4)
    assert found.low is not None
    assert found.low < found.value
    assert (found.n_valid, found.identities) == (N, PEOPLE)
    fields = dict(found.signature.fields)
    assert (fields["over"], fields["ref"], fields["target"]) == ("all-frames", f"test-real:{N}", "E[FD_n]")
    assert found.null is not None
    same = evidence()
    same.features = lambda name, which: inputs.features(name, "reference")  # type: ignore[assignment]
    assert metric(name).measure(same, np.arange(N)).value == pytest.approx(0, abs=1e-9)
    assert found.value < metric(name).measure(evidence(shift=1.5), np.arange(N)).value


@pytest.mark.parametrize("name", [*DISTANCES, "IS-clip"])
def test_order_does_not_matter_and_images_alone_are_refused(name: str) -> None:
    order = np.random.default_rng(5).permutation(N)
    first, second = (metric(name).measure(evidence(given), np.arange(N)) for given in (None, order))
    assert first.value == pytest.approx(second.value)
    assert (first.low, first.high) == pytest.approx((second.low, second.high))
    inputs = evidence()
    inputs.clips = None
    with pytest.raises(DataError, match="images alone"):
        metric(name).measure(inputs, np.arange(N))


def test_without_a_judge_its_features_are_left_out_by_hand() -> None:
    inputs = evidence()
    made, real = (inputs.features("clip-judge-features", w).values for w in ("generated", "reference"))
    found = metric("FD-clip").measure(inputs, np.arange(N))
    expected = []
    for member in range(3):
        kept = np.delete(np.arange(3 * WIDTH), np.arange(member * WIDTH, (member + 1) * WIDTH))
        expected.append(frechet_distance(made[:, kept], real[:, kept]))
    assert found.without_judge == pytest.approx(tuple(expected))
    assert dict(found.signature.fields)["judges"] == str(PANEL)
    # nobody judges by I3D
    assert metric("FVD").measure(inputs, np.arange(N)).without_judge == ()
    assert (judge_of("FD-clip"), judge_of("IS-clip"), judge_of("FVD")) == ("clip-judge", "clip-judge", "")


def test_inception_score_of_clips_by_hand() -> None:
    inputs = evidence()
    members = inputs.features("clip-judge-members", "generated").values.reshape(N, 3, 3)

    def by_hand(p: np.ndarray) -> float:
        p = p.astype(np.float64)
        return math.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean())

    found = metric("IS-clip").measure(inputs, np.arange(N))
    assert found.value == pytest.approx(by_hand(members.mean(axis=1)), rel=1e-5)
    logs = np.log(inputs.features("clip-judge", "generated").values)
    assert found.value == pytest.approx(inception_score(logs, splits=1)[0], rel=1e-5)
    without = [by_hand(np.delete(members, k, axis=1).mean(axis=1)) for k in range(3)]
    assert found.without_judge == pytest.approx(without, rel=1e-5)
    sure = evidence()
    right = np.eye(3, dtype=np.float32)[np.arange(N) % 3]
    sure.features = lambda *_: FakeFeatures(  # type: ignore[assignment]
        right, np.ones(N, bool), "s"
    )
    sure.clip_judges = None
    assert metric("IS-clip").measure(sure, np.arange(N)).value == pytest.approx(3)


def test_too_little_says_so() -> None:
    inputs = evidence()
    one = np.flatnonzero(inputs.labels == 1)
    for name in DISTANCES:
        found = metric(name).measure(inputs, one)
        assert found.value is None
        assert found.reason == "needs 10 images a side, has 6 generated and 6 reference"
    assert metric("IS-clip").measure(inputs, one).reason == "needs 10 clips, has 6"
    inputs.labels[:] = 1
    assert (
        metric("IS-clip").measure(inputs, np.arange(N)).reason
        == "one expression alone: no other could be named"
    )
    short = metric("FVD").measure(evidence(length=8), np.arange(N))
    assert (short.value, short.reason) == (None, "needs clips of 9 frames, these have 8")
