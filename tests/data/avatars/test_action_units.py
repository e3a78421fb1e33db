"""Each action unit alone moves what FACS says it moves. y grows downward: minus is up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fesbench.data.avatars.action_units import SIDED_UNITS, UNIT_KEYS, keys_of, unsided, vector_of
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.errors import UsageError
from fesbench.vocabulary import ACTION_UNITS

# Landmark groups (iBUG), image left first.
LEFT_BROW, RIGHT_BROW = [17, 18, 19, 20, 21], [22, 23, 24, 25, 26]
INNER_BROW, OUTER_BROW = [20, 21, 22, 23], [17, 18, 25, 26]
UPPER_LID, LOWER_LID = [37, 38, 43, 44], [40, 41, 46, 47]
CORNERS, LEFT_CORNER, RIGHT_CORNER = [48, 54], [48], [54]
UPPER_LIP_TOP, LOWER_LIP_BOTTOM = [50, 51, 52], [56, 57, 58]
UPPER_INNER, LOWER_INNER = [61, 62, 63], [65, 66, 67]
CHIN, NOSE_WINGS = [7, 8, 9], [31, 35]

# (unit, landmarks, axis, sign): the mean displacement must have this sign and at least half a pixel.
MOVES = [
    ("AU1", INNER_BROW, "y", -1),
    ("AU2", OUTER_BROW, "y", -1),
    ("AU4", INNER_BROW, "y", +1),
    ("AU5", UPPER_LID, "y", -1),
    ("AU6", LOWER_LID, "y", -1),
    ("AU7", LOWER_LID, "y", -1),
    ("AU9", NOSE_WINGS, "y", -1),
    ("AU10", UPPER_LIP_TOP, "y", -1),
    ("AU12", CORNERS, "y", -1),
    ("AU14", CORNERS, "y", -1),
    ("AU15", CORNERS, "y", +1),
    ("AU16", LOWER_LIP_BOTTOM, "y", +1),
    ("AU16", LOWER_INNER, "y", +1),
    ("AU17", LOWER_LIP_BOTTOM, "y", -1),
    ("AU20", LEFT_CORNER, "x", -1),
    ("AU20", RIGHT_CORNER, "x", +1),
    ("AU18", LEFT_CORNER, "x", +1),
    ("AU18", RIGHT_CORNER, "x", -1),
    ("AU22", LOWER_INNER, "y", +1),
    ("AU23", LOWER_LIP_BOTTOM, "y", -1),
    ("AU24", LOWER_LIP_BOTTOM, "y", -1),
    ("AU25", LOWER_INNER, "y", +1),
    ("AU26", CHIN, "y", +1),
    ("AU27", CHIN, "y", +1),
    ("AU28", LOWER_LIP_BOTTOM, "y", -1),
    ("AU43", UPPER_LID, "y", +1),
    ("AU45", UPPER_LID, "y", +1),
]


@pytest.mark.parametrize(("unit", "points", "axis", "sign"), MOVES)
def test_unit_moves_its_landmarks(acted, unit, points, axis, sign):
    _, moved = acted(unit)
    assert sign * moved[points, "xy".index(axis)].mean() > 0.5


def _gap(landmarks: np.ndarray) -> float:
    return float((landmarks[LOWER_INNER, 1] - landmarks[UPPER_INNER, 1]).mean())


@pytest.mark.parametrize(
    "unit", ["AU1", "AU4", "AU6", "AU9", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU24", "AU28"]
)
def test_closed_lips_stay_closed(acted, unit):
    batch, _ = acted(unit)
    assert _gap(batch.landmarks[1]) - _gap(batch.landmarks[0]) < 0.1


@pytest.mark.parametrize("unit", ["AU16", "AU22", "AU25", "AU26", "AU27"])
def test_opening_units_open_the_lips(acted, unit):
    batch, _ = acted(unit)
    assert _gap(batch.landmarks[1]) - _gap(batch.landmarks[0]) > 1.0


@pytest.mark.parametrize("unit", ["AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU9", "AU43"])
def test_upper_face_units_leave_the_mouths_width(acted, unit):
    _, moved = acted(unit)
    assert np.abs(moved[CORNERS, 0]).max() < 1.0


@pytest.mark.parametrize(
    ("unit", "own", "other"),
    [
        ("AU1L", LEFT_BROW, RIGHT_BROW),
        ("AU1R", RIGHT_BROW, LEFT_BROW),
        ("AU2L", LEFT_BROW, RIGHT_BROW),
        ("AU4R", RIGHT_BROW, LEFT_BROW),
        ("AU12L", LEFT_CORNER, RIGHT_CORNER),
        ("AU14R", RIGHT_CORNER, LEFT_CORNER),
        ("AU15L", LEFT_CORNER, RIGHT_CORNER),
        ("AU43L", [37, 38], [43, 44]),
    ],
)
def test_one_sided_units_move_one_side(acted, unit, own, other):
    _, moved = acted(unit)
    assert np.abs(moved[own, 1]).max() > 1.0
    # The tilt of the head turns a little of any change of depth into the other side.
    assert np.abs(moved[other, 1]).max() < 0.25


@pytest.mark.parametrize("unit", [f"AU{u}" for u in ACTION_UNITS])
def test_every_unit_changes_pixels(acted, unit):
    batch, _ = acted(unit)
    change = np.abs(batch.images[1].astype(int) - batch.images[0].astype(int)).max(axis=2)
    assert (change > 12).sum() > 20


def test_displacement_grows_with_intensity(acted):
    heights = [acted("AU12", intensity=i)[1][CORNERS, 1].mean() for i in (0.25, 0.5, 0.75, 1.0)]
    assert all(b < a - 0.5 for a, b in pairwise(heights))


def test_units_are_reported_in_the_vocabularys_order():
    batch = render([AvatarSpec(0, action_units=(("AU12L", 0.7), ("AU9", 0.4)))], 32)
    expected = np.zeros(len(ACTION_UNITS), np.float32)
    expected[ACTION_UNITS.index(12)], expected[ACTION_UNITS.index(9)] = 0.7, 0.4
    np.testing.assert_allclose(batch.action_units[0], expected, atol=1e-6)


def test_vector_of_a_whole_unit_sets_both_sides():
    vector = dict(zip(UNIT_KEYS, vector_of({"AU4": 0.5, "AU4R": 0.25}), strict=True))
    assert (vector["4L"], vector["4R"]) == (0.5, 0.25)
    assert unsided(vector_of({"AU4L": 0.5})[None])[0, ACTION_UNITS.index(4)] == 0.5


def test_sided_units_are_in_the_vocabulary():
    assert set(SIDED_UNITS) <= set(ACTION_UNITS)


@pytest.mark.parametrize("name", ["AU3", "12", "AU12X", "au12", "AU", "AU9L", "AU120"])
def test_unknown_units_are_refused(name):
    with pytest.raises(UsageError, match=name):
        keys_of(name)


@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan")])
def test_intensity_out_of_range_is_refused(value):
    with pytest.raises(UsageError, match="outside"):
        vector_of([("AU1", value)])
