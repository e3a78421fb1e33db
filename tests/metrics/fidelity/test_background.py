"""Background-RMSE: the hull by hand and as a library draws it; what counts as background."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from skimage.draw import polygon2mask

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.errors import DataError
from fesbench.metrics.control.face_hull import face_hull
from fesbench.metrics.fidelity.background import BackgroundError

DETECTOR = "dlib-landmarks"
SIZE = 32


def box(left, top, right, bottom):
    """Landmarks whose hull, forehead and all, is a rectangle: brows a third above the chin's height."""
    points = np.full((68, 2), (left, bottom), dtype=float)
    brow = bottom - (bottom - top) * 2 / 3
    points[17:27] = np.stack([np.linspace(left, right, 10), np.full(10, brow)], axis=1)
    points[8] = ((left + right) / 2, bottom)
    points[[0, 16]] = (left, bottom), (right, bottom)
    return points


@pytest.fixture
def edited(make_inputs):
    def make(change, made, given, *, valid=None, source_valid=None):
        n = len(change)
        rng = np.random.default_rng(0)
        source = rng.integers(60, 190, (n, SIZE, SIZE, 3), dtype=np.uint8)
        sets = {"generated": (made, valid), "source": (given, source_valid)}
        return make_inputs(
            np.arange(n) % 3,
            features={
                (DETECTOR, name): (np.reshape(points, (n, -1)), np.ones(n, bool) if ok is None else ok)
                for name, (points, ok) in sets.items()
            },
            source=source,
            generated=(source.astype(int) + change).astype(np.uint8),
            size=SIZE,
        )

    return make


def measure(inputs):
    return BackgroundError().measure(inputs, np.arange(len(inputs)))


def blank(n):
    return np.zeros((n, SIZE, SIZE, 3), dtype=int)


def test_the_hull_by_hand():
    inside = face_hull(box(8, 4, 20, 25), SIZE, SIZE)
    expected = np.zeros((SIZE, SIZE), dtype=bool)
    expected[4:26, 8:21] = True
    assert (inside == expected).all()


def test_the_hull_as_skimage_draws_it():
    points = render([AvatarSpec(3, "surprise", style="wild")], 64).landmarks[0]
    brows = points[17:27]
    every = np.concatenate([points, brows + (brows.mean(axis=0) - points[8]) / 2])
    outline = every[ConvexHull(every).vertices]
    drawn = polygon2mask((64, 64), outline[:, ::-1])
    assert (face_hull(points, 64, 64) != drawn).mean() < 0.001  # centers on the outline itself
    assert face_hull(points, 64, 64).mean() > 0.2


def test_by_hand(edited):
    change = blank(4)
    change[0, 10:20, 10:18] = 40  # inside of the face
    change[1, :2] = 30  # 64 pixels of the background
    change[2, 27, 0, 0] = -50  # one color of one pixel
    change[3, 10:20, 20:23] = 60  # where the face came to
    made = [box(8, 4, 20, 25)] * 3 + [box(12, 4, 24, 25)]
    found = measure(edited(change, made, [box(8, 4, 20, 25)] * 4))
    outside = SIZE * SIZE - 22 * 13
    expected = [0, 30 * np.sqrt(64 / outside), 50 / np.sqrt(3 * outside), 0]
    assert found.per_sample == pytest.approx(expected)
    assert (found.n_valid, found.value) == (4, pytest.approx(np.mean(expected)))


def test_as_a_loop_over_pixels(edited):
    rng = np.random.default_rng(1)
    change = rng.integers(-40, 41, blank(2).shape)
    made, given = [box(10, 3, 22, 24), box(2, 2, 9, 30)], [box(8, 4, 20, 25)] * 2
    found = measure(edited(change, made, given))
    for row in range(2):
        squares = []
        for y in range(SIZE):
            for x in range(SIZE):
                in_source = 8 <= x <= 20 and 4 <= y <= 25
                left, top, right, bottom = ((10, 3, 22, 24), (2, 2, 9, 30))[row]
                if not in_source and not (left <= x <= right and top <= y <= bottom):
                    squares += [int(v) ** 2 for v in change[row, y, x]]
        assert found.per_sample[row] == pytest.approx(np.sqrt(np.mean(squares)))


def test_a_copy_has_none_and_noise_its_own_size(edited):
    rng = np.random.default_rng(2)
    faces = [box(8, 4, 20, 25)] * 6
    assert measure(edited(blank(6), faces, faces)).value == 0
    noises = [rng.integers(-size, size + 1, blank(6).shape) for size in (5, 20, 60)]
    values = [measure(edited(noise, faces, faces)).value for noise in noises]
    assert values == pytest.approx([np.sqrt(s * (s + 1) / 3) for s in (5, 20, 60)], rel=0.05)


def test_a_lost_face_is_counted_and_no_background_is_spared_for_it(edited):
    change = blank(3)
    change[:, 10:20, 20:23] = 60
    faces, moved = [box(8, 4, 20, 25)] * 3, [box(12, 4, 24, 25)] * 3
    found = measure(edited(change, moved, faces, valid=np.array([True, False, True])))
    assert found.n_valid == 2
    assert found.per_sample[0] == 0
    assert found.per_sample[1] > 5
    unknown = measure(edited(change, moved, faces, source_valid=np.array([True, False, False])))
    assert np.isfinite(unknown.per_sample).tolist() == [True, False, False]
    nothing = measure(edited(change, moved, faces, source_valid=np.zeros(3, bool)))
    assert nothing.reason == "no face is found in the sources"
    whole = measure(edited(change, [box(0, 0, 31, 31)] * 3, faces))
    assert (whole.value, whole.reason) == (None, "the faces leave no background")


def test_images_of_two_sizes_are_refused(edited):
    inputs = edited(blank(1), [box(8, 4, 20, 25)], [box(8, 4, 20, 25)])
    inputs.source = inputs.source[:, :16]
    with pytest.raises(DataError, match="one shape"):
        measure(inputs)
