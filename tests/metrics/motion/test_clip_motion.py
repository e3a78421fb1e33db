"""Motion scores: exact landmarks and detected ones of embedded faces, shuffled frames, still clips, gaps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from fesbench.data.avatar_clips import AvatarClip, ClipSpec, render_clip
from fesbench.extractors.registry import extractor
from fesbench.metrics import metric
from fesbench.metrics.clips import NO_CLIP
from fesbench.metrics.motion.clip_motion import NO_FACE
from fesbench.metrics.motion.detected import (
    LANDMARKS,
    NO_REAL_FACE,
    NO_REAL_MOTION,
    direction,
    filled_in,
    smoothed,
)
from fesbench.metrics.motion.landmark_motion import geodesic_distance, motion_distance
from fesbench.metrics.motion.timing import progress, reached
from tests.clip_evidence import clip_inputs

T = 16
PEOPLE, LABELS = (3, 8, 11, 14, 17), ("happiness", "surprise")


@pytest.fixture(scope="module")
def clips() -> dict[tuple[int, str], AvatarClip]:
    return {(who, what): render_clip(ClipSpec(who, what), 64, T, seed=1) for who in PEOPLE for what in LABELS}


def tracks(points: np.ndarray) -> np.ndarray:
    return points.reshape(len(points), -1)


def evidence(made: list[np.ndarray], true: list[np.ndarray], seen: np.ndarray | None = None):
    """Clips whose detected landmarks are given: lists of (T, 68, 2)."""
    found = np.concatenate([tracks(points) for points in made])
    real = np.concatenate([tracks(points) for points in true])
    valid = np.ones(len(found), bool) if seen is None else seen
    images = np.zeros((len(made), T, 8, 8, 3), np.uint8)
    features = {(LANDMARKS, "generated"): (found, valid), (LANDMARKS, "target"): real}
    return clip_inputs(images, target=images, features=features)


def distances(points: dict[tuple[int, str], np.ndarray], distance) -> tuple[list[float], list[float]]:
    """Of two subjects with one expression, and of two expressions."""
    alike, unlike = [], []
    for (a, b), (x, y) in zip(
        itertools.combinations(points, 2), itertools.combinations(points.values(), 2), strict=True
    ):
        if a[0] != b[0]:
            (alike if a[1] == b[1] else unlike).append(distance(x, y))
    return alike, unlike


def test_one_expression_moves_alike_by_exact_landmarks(clips) -> None:
    points = {key: clip.landmarks for key, clip in clips.items()}
    alike, unlike = distances(points, motion_distance)
    assert np.mean(alike) + 0.3 < np.mean(unlike)
    alike, unlike = distances(points, lambda x, y: geodesic_distance(direction(x), direction(y)))
    assert np.mean(alike) + 0.5 < np.mean(unlike)


def test_one_expression_moves_alike_by_detected_landmarks(clips) -> None:
    detector = extractor(LANDMARKS)
    if reason := detector.available():
        pytest.skip(reason)
    found = {}
    for key, clip in clips.items():
        values, valid = detector.extract(clip.images)
        assert valid.all()
        found[key] = values.reshape(T, 68, 2).astype(np.float64)
    alike, unlike = distances(found, lambda x, y: geodesic_distance(direction(x), direction(y)))
    assert np.mean(alike) + 0.1 < np.mean(unlike)
    # unsmoothed, nearly all is noise
    assert np.mean(distances(found, motion_distance)[0]) > 1.35


def test_shuffled_frames_are_caught_by_motion_and_not_by_looks(clips) -> None:
    own = [clip for (who, what), clip in clips.items() if what == "surprise"]
    rng = np.random.default_rng(1)
    orders = [rng.permutation(T) for _ in own]
    points, images = [clip.landmarks for clip in own], np.stack([clip.images for clip in own])
    mixed = [p[order] for p, order in zip(points, orders, strict=True)]
    right, wrong = (
        metric("Motion-distance").measure(evidence(made, points), np.arange(len(PEOPLE)))
        for made in (points, mixed)
    )
    assert right.value == pytest.approx(0, abs=1e-6)
    assert wrong.value is not None
    assert wrong.value > 0.5
    for name, worse in (("Onset-error", 0.1), ("Jerk", 3)):
        good, bad = (
            metric(name).measure(evidence(made, points), np.arange(len(PEOPLE))).value
            for made in (points, mixed)
        )
        assert bad > (good + worse if name == "Onset-error" else good * worse)
    # a still clip looks no better than a shuffled one, frame by frame
    still = np.repeat(images[:, :1], T, axis=1)
    shuffled = np.stack([clip[order] for clip, order in zip(images, orders, strict=True)])
    scores = {
        name: metric("SSIM-frames").measure(clip_inputs(made, target=images), np.arange(len(PEOPLE))).value
        for name, made in (("shuffled", shuffled), ("still", still))
    }
    assert scores["shuffled"] > scores["still"] - 0.05
    assert scores["shuffled"] > 0.8


def test_a_still_clip_and_a_lost_one_have_nothing_in_common_with_a_motion(clips) -> None:
    points = [clip.landmarks for clip in clips.values()][:2]
    still = [np.repeat(points[0][:1], T, axis=0), points[1]]
    seen = np.ones(2 * T, bool)
    seen[T : 2 * T] = np.arange(T) < 7
    inputs = evidence(still, points, seen)
    assert metric("Motion-distance").measure(inputs, np.arange(2)).per_sample == pytest.approx(
        [math.pi / 2] * 2
    )
    length = metric("Motion-length").measure(inputs, np.arange(2))
    assert length.per_sample[0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(length.per_sample[1])
    for name in ("Onset-error", "Apex-error"):
        found = metric(name).measure(inputs, np.arange(2))
        assert found.per_sample == pytest.approx([1, 1])
        assert found.n_valid == 0


def test_clips_without_a_face_say_so_and_real_ones_without_a_face_or_a_motion_too(clips) -> None:
    points = [clip.landmarks for clip in clips.values()][:2]
    images, faces = np.zeros((2, T, 8, 8, 3), np.uint8), tracks(np.concatenate(points))
    nobody, still = (faces, np.zeros(2 * T, bool)), faces[:1].repeat(2 * T, axis=0)

    def said(name: str, made: Any, true: Any, targets: Any = images) -> str:
        features = {(LANDMARKS, which): true for which in ("target", "target-shifted")}
        inputs = clip_inputs(images, target=targets, features=features | {(LANDMARKS, "generated"): made})
        found = metric(name).measure(inputs, np.arange(2))
        assert (found.value, found.n_valid) == (None, 0)
        return found.reason

    assert said("Motion-length", nobody, faces) == NO_FACE
    compared = ("Motion-length", "Motion-distance", "Onset-error", "Apex-error")
    for made in (faces, nobody):
        assert {said(name, made, nobody) for name in (*compared, "Motion-floor")} == {NO_REAL_FACE}
    assert {said(name, faces, nobody, None) for name in compared} == {NO_CLIP}
    assert said("Motion-length", faces, still) == NO_REAL_MOTION


def test_size_and_time_are_told_apart_from_direction(clips) -> None:
    true = clips[(3, "happiness")].landmarks.astype(np.float64)
    half = true[:1] + (true - true[:1]) / 2
    inputs = evidence([half], [true])
    assert metric("Motion-length").measure(inputs, np.arange(1)).value == pytest.approx(0.5, abs=0.05)
    assert metric("Motion-distance").measure(inputs, np.arange(1)).value < 0.1
    late = true[np.maximum(np.arange(T) - 4, 0)]
    late[-1] = true[-1]
    assert metric("Onset-error").measure(evidence([late], [true]), np.arange(1)).value > 0.15
    assert metric("Onset-error").measure(evidence([true], [true]), np.arange(1)).value == 0


def test_the_floor_is_the_real_clip_against_itself_moved(clips) -> None:
    true = tracks(clips[(3, "happiness")].landmarks)
    moved = true + np.random.default_rng(0).normal(0, 0.3, true.shape)
    images = np.zeros((1, T, 8, 8, 3), np.uint8)
    features = {(LANDMARKS, which): true for which in ("generated", "target")} | {
        (LANDMARKS, "target-shifted"): moved
    }
    found = metric("Motion-floor").measure(
        clip_inputs(images, target=images, features=features), np.arange(1)
    )
    a, b = (direction(p.reshape(T, 68, 2).astype(np.float32).astype(float)) for p in (true, moved))
    assert found.value == pytest.approx(geodesic_distance(a, b), abs=1e-3)


def test_the_smoother_is_a_gaussian_over_a_fifth_of_the_clip() -> None:
    impulse = np.zeros((41, 1))
    impulse[20] = 1
    found = smoothed(impulse)[:, 0]
    offset = (np.arange(41) - 20) / 40
    expected = np.exp(-0.5 * (offset / 0.2) ** 2)
    assert found / found.max() == pytest.approx(expected, abs=0.02)
    assert smoothed(np.full((9, 2), 3.0)) == pytest.approx(3)


def test_gaps_are_filled_linearly_and_too_many_are_too_many() -> None:
    track = np.arange(5.0)[:, None, None] * np.ones((5, 68, 2))
    seen = np.array([False, True, False, True, True])
    found = filled_in(track, seen)
    assert found[:, 0, 0].tolist() == [1, 1, 2, 3, 4]
    assert np.isnan(filled_in(track, np.array([True, True, False, False, False]))).all()


def test_progress_runs_from_nothing_to_all(clips) -> None:
    found = progress(clips[(8, "surprise")].landmarks)
    assert found[0] == 0
    assert found[-1] == pytest.approx(1)
    assert np.isnan(progress(np.repeat(clips[(8, "surprise")].landmarks[:1], T, axis=0))).all()
    assert reached(np.array([0.0, 0.4, 0.8]), 0.6) == pytest.approx(0.75)
    assert np.isnan(reached(np.array([0.0, 0.1]), 0.5))
    assert reached(np.array([0.7, 1.0]), 0.5) == 0
