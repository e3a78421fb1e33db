from __future__ import annotations

import numpy as np
import pytest

from fesbench.extractors.crops import (
    AlignedSettings,
    aligned_crop,
    dlib_chip,
    fit_similarity,
    five_points,
    template,
    usable,
)
from tests.extractors.drawn_faces import face_images, face_landmarks

dlib = pytest.importorskip("dlib", reason="dlib is not installed")


def test_chip_equals_dlibs_own_where_landmarks_are_whole_pixels() -> None:
    image = face_images(1, 128, seed=5)[0]
    landmarks = np.rint(face_landmarks(128, angle=0.15, shift=(2, -3)))
    points = [dlib.point(int(x), int(y)) for x, y in landmarks]
    face = dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), points)
    assert np.array_equal(dlib_chip(image, landmarks), dlib.get_face_chip(image, face, 150, 0.25))


def test_chip_follows_landmarks_by_less_than_a_pixel() -> None:
    rows, columns = np.mgrid[:64, :64]
    image = np.repeat((columns * 3)[..., None], 3, axis=2).astype(np.uint8)
    landmarks = face_landmarks(64)
    shifted = dlib_chip(image, landmarks + np.float32([0.25, 0.0]))
    # On a ramp of 3 gray levels a pixel, a quarter of a pixel is 0.75 levels.
    difference = shifted.astype(float) - dlib_chip(image, landmarks).astype(float)
    assert difference[40:110, 40:110].mean() == pytest.approx(0.75, abs=0.1)
    assert rows.shape == (64, 64)


def test_usable_names_each_degenerate_case() -> None:
    good = face_landmarks(64)
    unknown = good.copy()
    unknown[3, 1] = np.nan
    infinite = good.copy()
    infinite[67, 0] = np.inf
    point = np.full_like(good, 30.0)
    outside = good + np.float32([200, 0])
    flat = good.copy()
    flat[:, 1] = 30.0
    found = usable(np.stack([good, unknown, infinite, point, outside, flat]), 64, 64)
    assert found.tolist() == [True, False, False, False, False, False]


def test_similarity_is_recovered_exactly() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(5, 2))
    angle, scale, shift = 0.7, 2.5, np.array([3.0, -4.0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = fit_similarity(source, source @ (scale * rotation).T + shift)
    assert np.allclose(matrix, np.concatenate([scale * rotation, shift[:, None]], axis=1))


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    design = np.zeros((10, 4))
    design[0::2] = np.stack([source[:, 0], -source[:, 1], np.ones(5), np.zeros(5)], axis=1)
    design[1::2] = np.stack([source[:, 1], source[:, 0], np.zeros(5), np.ones(5)], axis=1)
    c, s, x, y = np.linalg.lstsq(design, target.ravel(), rcond=None)[0]
    assert np.allclose(fit_similarity(source, target), [[c, -s, x], [s, c, y]])


def test_crop_puts_the_five_points_on_the_template() -> None:
    landmarks = face_landmarks(128, angle=0.1)
    rows, columns = np.mgrid[:128, :128]
    position = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    crop = aligned_crop(position, landmarks, AlignedSettings())
    matrix = fit_similarity(five_points(landmarks), template(AlignedSettings()))
    for point in five_points(landmarks):
        x, y = np.rint(matrix[:, :2] @ point + matrix[:, 2]).astype(int)
        # The image stores its own coordinates, so the crop tells where each of its pixels came from.
        assert np.abs(crop[y, x, :2] - point).max() < 1.0


def test_template_keeps_arcface_at_its_own_size_and_shrinks_about_the_center() -> None:
    assert template(AlignedSettings())[0] == pytest.approx([38.2946, 51.6963])
    center = 55.5
    loose, tight = template(AlignedSettings(zoom=0.5)), template(AlignedSettings())
    assert np.allclose(loose - center, (tight - center) * 0.5)
    # Twice the size: pixel p covers 2p and 2p + 1.
    assert np.allclose(template(AlignedSettings(size=224)), template(AlignedSettings()) * 2 + 0.5)


def test_shrinking_crop_averages_instead_of_aliasing() -> None:
    size = 512
    rows, columns = np.mgrid[:size, :size]
    checkers = np.repeat((((rows + columns) % 2) * 255)[..., None], 3, axis=2).astype(np.uint8)
    crop = aligned_crop(checkers, face_landmarks(size), AlignedSettings())
    assert np.abs(crop[30:80, 30:80] - 127.5).max() < 40
    assert crop[30:80, 30:80].std() < 12


def test_crop_is_black_beyond_the_image() -> None:
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    crop = aligned_crop(white, face_landmarks(64, shift=(-40, 0)), AlignedSettings(zoom=0.75))
    assert crop[:, 0].max() == 0.0
    assert crop[56, 90].min() == 255.0
