import numpy as np
import pandas as pd
import pytest

from fesbench.errors import DataError
from fesbench.metrics.control.landmarks import LandmarkError, normalized_error, transferred

DETECTOR = "dlib-landmarks"


def face(seed=0):
    """68 points whose outer eye corners are 20 pixels apart."""
    points = np.random.default_rng(99).uniform(10, 50, (68, 2))
    points += np.random.default_rng(seed).normal(0, 1, points.shape)  # subjects differ a little
    points[36], points[45] = (20, 30), (40, 30)
    return points


def turned(points, degrees, scale=1.0, shift=(0.0, 0.0)):
    c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    return points @ np.array([[c, s], [-s, c]]) + shift


@pytest.fixture
def detected(make_inputs):
    def make(found, landmarks, *, valid=None, driver=-1):
        n = len(found)
        values = np.asarray(found, dtype=float).reshape(n, -1)
        return make_inputs(
            np.arange(n),
            features={(DETECTOR, "generated"): (values, np.ones(n, bool) if valid is None else valid)},
            landmarks={name: np.asarray(points, dtype=np.float32) for name, points in landmarks.items()},
            requests=pd.DataFrame({"request": [f"r{i}" for i in range(n)], "driver": driver}),
        )

    return make


def measure(inputs):
    return LandmarkError().measure(inputs, np.arange(len(inputs)))


def test_by_hand(detected):
    one_off = face()
    one_off[10] += (3, 4)  # 5 pixels at one of 68 points, eyes 20 apart
    found = measure(detected([face(), face() + np.array([0, 2]), one_off], {"target": [face()] * 3}))
    assert found.per_sample == pytest.approx([0, 2 / 20, 5 / 68 / 20], abs=1e-6)
    assert dict(found.signature.fields)["ref"] == "truth"


def test_agrees_with_a_loop(detected):
    rng = np.random.default_rng(0)
    target = np.stack([face(i) for i in range(6)])
    made = target + rng.normal(0, 2, target.shape)
    expected = [
        sum(np.hypot(*(made[i, k] - target[i, k])) for k in range(68))
        / 68
        / np.hypot(*(target[i, 36] - target[i, 45]))
        for i in range(6)
    ]
    assert normalized_error(made, target) == pytest.approx(expected)
    assert measure(detected(made, {"target": target})).value == pytest.approx(np.mean(expected), abs=1e-6)


def test_faces_that_are_not_found_are_counted_and_not_averaged(detected):
    valid = np.array([True, False, True])
    found = measure(detected([face(), 0 * face(), face() + 2], {"target": [face()] * 3}, valid=valid))
    assert np.isnan(found.per_sample[1])
    assert (found.n_valid, found.n_requested) == (2, 3)
    assert found.value == pytest.approx(np.sqrt(8) / 20 / 2, abs=1e-6)
    none = measure(detected([face()], {"target": [face()]}, valid=np.array([False])))
    assert (none.value, none.reason) == (None, "no face is found in any image")


def test_unknown_truth_has_a_reason(detected):
    found = measure(detected([face()] * 2, {"target": np.full((2, 68, 2), np.nan)}))
    assert (found.value, found.n_valid) == (None, 0)
    assert found.reason == "no landmarks are known to compare with"


def test_more_noise_is_worse(detected):
    rng, last = np.random.default_rng(1), 0.0
    target = np.stack([face(i) for i in range(8)])
    for noise in (0.1, 1, 5):
        found = measure(detected(target + rng.normal(0, noise, target.shape), {"target": target})).value
        assert found > last
        last = found


class TestTransfer:
    def test_the_drivers_motion_arrives_on_the_source(self):
        source, neutral = face(0), face(1)
        driver = neutral.copy()
        driver[57] += (0, 6)  # the lower lip falls
        wanted = transferred(*(points[None] for points in (source, driver, neutral)))[0]
        moved = wanted - source
        assert np.abs(np.delete(moved, 57, axis=0)).max() < 1e-9
        assert moved[57] == pytest.approx([0, 6], abs=1)

    def test_size_and_turn_of_the_drivers_face_cancel(self):
        source = face(0)
        for degrees, scale, shift in ((0, 1, (0, 0)), (0, 2, (30, -9)), (25, 0.5, (3, 3))):
            neutral = turned(source, degrees, scale, shift)
            opened = source.copy()
            opened[57] += (0, 6)
            driver = turned(opened, degrees, scale, shift)
            wanted = transferred(source[None], driver[None], neutral[None])[0]
            assert wanted == pytest.approx(opened)

    def test_head_motion_of_the_driver_is_no_expression(self):
        source, neutral = face(0), face(1)
        driver = turned(neutral, 15, 1.1, (4, -7))
        assert transferred(source[None], driver[None], neutral[None])[0] == pytest.approx(source)

    def test_it_is_the_target_under_transfer_alone(self, detected):
        driver = face(1)
        driver[57] += (0, 6)
        known = {"source": [face(0)], "driver": [driver], "driver-neutral": [face(1)], "target": [face(5)]}
        wanted = transferred(
            *(np.asarray(known[k], np.float32) for k in ("source", "driver", "driver-neutral"))
        )
        found = measure(detected(wanted, known, driver=0))
        assert found.value == pytest.approx(0, abs=1e-6)
        assert dict(found.signature.fields)["ref"] == "driver-motion-on-source"
        assert measure(detected(wanted, known)).value > 0.05

    def test_a_driver_without_a_neutral_picture_gives_no_figure(self, detected):
        known = {"source": [face(0)], "driver": [face(1)], "driver-neutral": np.full((1, 68, 2), np.nan)}
        found = measure(detected([face(0)], known, driver=0))
        assert (found.value, found.reason) == (None, "no landmarks are known to compare with")


def test_another_extractor_of_landmarks_has_its_name(detected):
    assert LandmarkError("mtcnn").card.name == "NME[mtcnn]"


def test_other_features_are_refused(make_inputs):
    inputs = make_inputs([0], features={(DETECTOR, "generated"): np.zeros((1, 10))})
    with pytest.raises(DataError, match="not 68 points"):
        measure(inputs)
