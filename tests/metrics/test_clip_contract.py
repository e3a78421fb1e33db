"""What holds for every metric of clips: its counts, its signature, and its indifference to order."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.errors import DataError
from fesbench.metrics import METRICS as REGISTRY
from fesbench.metrics.inputs import MetricInputs
from fesbench.records.signature import Signature
from fesbench.vocabulary import EXPRESSIONS
from tests.clip_evidence import clip_inputs

METRICS = {
    name: metric for name, metric in REGISTRY.all().items() if metric.reads_clips and metric.card.per_sample
}
"""Those of sets of clips: distribution/test_clip_distributions.py."""
N, T, SIZE = 6, 5, 16


def mean_square(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.square(a.astype(float) - b).mean(axis=(1, 2, 3))


def faces(rng: np.random.Generator, count: int) -> np.ndarray:
    """Landmarks of a face with eyes apart, that jitter."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    base = SIZE / 2 + 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (base + rng.normal(0, 0.3, (count, 68, 2))).astype(np.float32)


def evidence(order: np.ndarray | None = None, identities: np.ndarray | None = None) -> MetricInputs:
    rng = np.random.default_rng(3)
    order = np.arange(N) if order is None else order
    clips, true = (rng.integers(0, 256, (N, T, SIZE, SIZE, 3), dtype=np.uint8) for _ in range(2))
    points = {
        which: faces(rng, N * T).reshape(N, T, -1) for which in ("generated", "target", "target-shifted")
    }
    embedded, judged = rng.normal(size=(N, T, 7)), rng.dirichlet(np.ones(8), (N, T))

    def flat(values: np.ndarray) -> np.ndarray:
        return values[order].reshape(len(order) * T, -1)

    known = faces(rng, N)[order]
    features = {("dlib-landmarks-fine", which): flat(values) for which, values in points.items()}
    features |= {("dlib", "generated"): flat(embedded), ("dlib", "source"): rng.normal(size=(N, 7))[order]}
    features[("judge", "generated")] = flat(judged)
    features[("clip-judge", "generated")] = rng.dirichlet(np.ones(8), N)[order]
    found = clip_inputs(
        clips[order],
        target=true[order],
        features=features,
        intensity=np.sort(rng.random((N, T)), axis=1)[order],
        labels=(1 + np.arange(N))[order],
        identities=(np.arange(N) // 2 if identities is None else identities)[order],
        pairs=mean_square,
        landmarks=known,
        alignment="none",
    )
    found.columns = {"clip-judge": EXPRESSIONS}
    return found


def prepared(name: str, inputs: MetricInputs) -> MetricInputs:
    """The last frame's judge, and the landmarks that are wanted of every frame, where a metric reads them."""
    assert inputs.clips is not None
    if name == "ECS-apex":
        frames = inputs.clips.frames.features
        made = frames("judge", "generated")
        inputs.features = (
            lambda extractor, which: type(made)(  # type: ignore[assignment, misc]
                made.values[T - 1 :: T], made.valid[T - 1 :: T], made.signature
            )
        )
    if name == "NME-frames":
        wanted = inputs.clips.frames.features("dlib-landmarks-fine", "target").values
        inputs.clips.frames.landmarks = {"target": wanted.reshape(-1, 68, 2)}
    return inputs


@pytest.mark.parametrize("name", METRICS)
class TestEveryMetricOfClips:
    def test_values_follow_their_requests(self, name: str) -> None:
        order = np.array([3, 0, 5, 1, 4, 2])
        whole = METRICS[name].measure(prepared(name, evidence()), np.arange(N))
        mixed = METRICS[name].measure(prepared(name, evidence(order)), np.arange(N))
        assert whole.value == pytest.approx(mixed.value)
        assert whole.value is not None
        assert (whole.n_requested, whole.n_valid, whole.identities) == (N, N, 3)
        assert whole.per_sample is not None
        assert mixed.per_sample == pytest.approx(whole.per_sample[order])
        part = METRICS[name].measure(prepared(name, evidence()), np.array([4, 2]))
        assert part.per_sample == pytest.approx(whole.per_sample[[4, 2]])
        assert whole.low is not None
        assert whole.low <= whole.value

    def test_one_person_has_a_figure_but_no_interval(self, name: str) -> None:
        found = METRICS[name].measure(prepared(name, evidence(identities=np.zeros(N, int))), np.arange(N))
        assert found.value is not None
        assert found.low is None

    def test_every_setting_shows_and_has_a_meaning(self, name: str, monkeypatch) -> None:
        metric = METRICS[name]
        base = metric.measure(prepared(name, evidence()), np.arange(N)).signature
        settings = metric.settings()
        for key in settings:
            with monkeypatch.context() as patch:
                patch.setattr(type(metric), "settings", lambda self, k=key: settings | {k: "other"})
                other = metric.measure(prepared(name, evidence()), np.arange(N)).signature
            assert Signature.difference(base, other) == (key,)

    def test_images_alone_are_refused(self, name: str) -> None:
        inputs = evidence()
        inputs.clips = None
        if name not in ("ECS-apex", "ECS-clip"):
            with pytest.raises(DataError, match="images alone"):
                METRICS[name].measure(inputs, np.arange(N))
