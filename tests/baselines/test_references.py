"""The reference rows: copy, mean-shift, warp and real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines.warp import source_positions
from fesbench.errors import MethodError


def test_copy_is_the_source(build, requests) -> None:
    assert torch.equal(build("copy").synthesize(requests), requests.source)


def test_real_never_answers_a_request(build, requests) -> None:
    with pytest.raises(MethodError, match="target images"):
        build("real").synthesize(requests)


def test_mean_shift_adds_the_mean_difference(build, view, requests) -> None:
    method = build("mean-shift")
    faces = view.store.images.reshape(6, 8, 64, 64, 3).astype(float) / 127.5
    shift = (faces[:, 5] - faces[:, 0]).mean(0).transpose(2, 0, 1)
    expected = np.clip(requests.source[1].numpy() + shift, -1, 1)
    np.testing.assert_allclose(method.synthesize(requests)[1], expected, atol=1e-5)
    half = method.synthesize(replace(requests[1:2], intensity=torch.tensor([0.5])))
    np.testing.assert_allclose(half[0], np.clip(requests.source[1].numpy() + shift / 2, -1, 1), atol=1e-5)


def test_warp_to_the_own_landmarks_changes_nothing(build, requests) -> None:
    still = replace(requests, target_landmarks=requests.source_landmarks)
    torch.testing.assert_close(build("warp").synthesize(still), requests.source, atol=1e-4, rtol=0)


def test_warp_moves_every_landmark_to_its_place(view) -> None:
    marks = view.store.manifest.landmarks.astype(float)
    source, target = marks[0], marks[5]
    field = source_positions(source, target, 64)
    on_grid = target.round()
    field = source_positions(source, on_grid, 64)
    for k in range(68):
        x, y = on_grid[k].astype(int)
        twins = np.flatnonzero((on_grid == on_grid[k]).all(axis=1))
        if 1 < x < 62 and 1 < y < 62:
            assert min(np.abs(field[y, x] - source[twin]).max() for twin in twins) < 1e-6
    np.testing.assert_allclose(field[0, 0], [0, 0], atol=1e-9)
    np.testing.assert_allclose(field[63, 63], [63, 63], atol=1e-9)


def test_warp_of_a_shifted_face_is_affine_inside(view) -> None:
    source = view.store.manifest.landmarks[0].astype(float)
    shift = np.array([3.0, 0.0])
    field = source_positions(source, source + shift, 64)
    x, y = (source[27:36].mean(0) + shift).round().astype(int)
    np.testing.assert_allclose(field[y, x], [x - 3, y], atol=1e-6)


def test_warp_stands_landmarks_outside_the_image_and_coinciding_ones(view) -> None:
    source = view.store.manifest.landmarks[0].astype(float)
    target = source.copy()
    target[8] = [32, 90]
    target[60:68] = target[48]
    assert np.isfinite(source_positions(source, target, 64)).all()


def test_warp_without_landmarks_is_refused(build, requests) -> None:
    unknown = replace(requests, source_landmarks=torch.full_like(requests.source_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        build("warp").synthesize(unknown)


def test_warp_brings_a_face_nearer_to_the_truth(build, view, requests) -> None:
    method = build("warp")
    row = 7  # the first subject's surprise
    target = torch.from_numpy(view.store.manifest.landmarks[row])[None]
    made = method.synthesize(replace(requests[2:3], target_landmarks=target))
    target_image = view.images(np.array([row])).image
    assert (made - target_image).abs().mean() < 0.8 * (requests.source[2:3] - target_image).abs().mean()
