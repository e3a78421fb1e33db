"""ACD on clips, by hand and against the functions on features."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics import metric
from fesbench.metrics.identity.acd import MISSING, acd_c, acd_i
from tests.clip_evidence import clip_inputs

N, T = 3, 5


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@pytest.fixture
def parts() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N * T, 8)), rng.normal(size=(N, 8))


def evidence(frames, source, valid=None):
    seen = np.ones(N * T, bool) if valid is None else valid
    features = {("dlib", "generated"): (frames, seen), ("dlib", "source"): source}
    return clip_inputs(np.zeros((N, T, 8, 8, 3), np.uint8), features=features)


def test_values_are_those_of_the_functions(parts) -> None:
    frames, source = parts
    clips, starts = unit(frames).reshape(N, T, 8), unit(source)
    expected = {
        "ACD-C": [acd_c(clip) for clip in clips],
        "ACD-I": [acd_i(clip, start) for clip, start in zip(clips, starts, strict=True)],
        "Drift": np.linalg.norm(clips[:, 0] - clips[:, -1], axis=1),
    }
    for name, values in expected.items():
        found = metric(name).measure(evidence(frames, source), np.arange(N))
        assert found.per_sample == pytest.approx(values, abs=1e-6)
        assert found.n_valid == N


def test_a_clip_that_stands_still_has_no_content_distance(parts) -> None:
    frames = np.repeat(parts[1], T, axis=0)
    for name in ("ACD-C", "ACD-I", "Drift"):
        assert metric(name).measure(evidence(frames, parts[1]), np.arange(N)).value == pytest.approx(
            0, abs=1e-6
        )


def test_a_lost_face_counts_as_unrelated(parts) -> None:
    frames, source = parts
    seen = np.ones(N * T, bool)
    seen[T : 2 * T] = False
    seen[0] = False
    drift = metric("Drift").measure(evidence(frames, source, seen), np.arange(N))
    assert drift.per_sample[:2] == pytest.approx([MISSING, MISSING])
    assert drift.n_valid == 1
    content = metric("ACD-C").measure(evidence(frames, source, seen), np.arange(N))
    first = unit(frames)[1:T]
    pairs = [np.linalg.norm(a - b) for i, a in enumerate(first) for b in first[:i]]
    assert content.per_sample[0] == pytest.approx((sum(pairs) + (T - 1) * MISSING) / (T * (T - 1) / 2))
    assert content.per_sample[1] == pytest.approx(MISSING)
