import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.errors import DataError
from fesbench.metrics.motion.landmark_motion import (
    curve_length,
    geodesic_distance,
    inner_product,
    length_ratio,
    motion_distance,
    resampled,
    srvf,
    without_head_motion,
)


def face(seed: int = 0) -> np.ndarray:
    """68 points whose outer eye corners are 20 pixels apart."""
    points = np.random.default_rng(seed).uniform(10, 50, (68, 2))
    points[36], points[45] = (20, 30), (40, 30)
    return points


def sequence(frames: int = 12, size: float = 5.0, point: int = 57, across: bool = False) -> np.ndarray:
    """A face whose one point moves down (or across) and back by ``size`` pixels."""
    found = np.repeat(face()[None], frames, axis=0)
    found[:, point, 0 if across else 1] += size * np.sin(np.linspace(0, np.pi, frames))
    return found


def literal_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The definition written out, frame by frame, for curves (T, D)."""

    def velocity(curve: np.ndarray, k: int, step: float) -> np.ndarray:
        if k == 0:
            return (curve[1] - curve[0]) / step
        if k == len(curve) - 1:
            return (curve[-1] - curve[-2]) / step
        return (curve[k + 1] - curve[k - 1]) / (2 * step)

    def root(curve: np.ndarray) -> list[np.ndarray]:
        step, found = 1 / (len(curve) - 1), []
        for k in range(len(curve)):
            v = velocity(curve, k, step)
            speed = float(np.sqrt((v**2).sum()))
            found.append(v / np.sqrt(speed) if speed > 0 else 0 * v)
        return found

    def product(a: list[np.ndarray], b: list[np.ndarray]) -> float:
        step, total = 1 / (len(a) - 1), 0.0
        for k in range(len(a) - 1):
            total += step * ((a[k] * b[k]).sum() + (a[k + 1] * b[k + 1]).sum()) / 2
        return total

    p, q = root(first), root(second)
    return float(np.arccos(product(p, q) / np.sqrt(product(p, p) * product(q, q))))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definition_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 15, 6)).cumsum(axis=1)
    assert geodesic_distance(srvf(first), srvf(second)) == pytest.approx(
        literal_distance(first, second), abs=1e-12
    )


def test_agrees_with_fdasrsf() -> None:
    curves = pytest.importorskip("fdasrsf.curve_functions")
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 200)
    for _ in range(3):
        # Smooth curves: the packages differ in how they differentiate at the ends.
        first, second = (
            (rng.normal(size=(4, 3)) @ np.sin(np.outer([1, 2, 3], np.pi * time) + 0.5)).T for _ in range(2)
        )
        theirs = [curves.curve_to_q(curve.T)[0] for curve in (first, second)]
        expected = np.arccos(np.clip(curves.innerprod_q2(*theirs), -1, 1))
        assert geodesic_distance(srvf(first), srvf(second)) == pytest.approx(float(expected), abs=0.02)


def test_by_hand() -> None:
    time = np.linspace(0, 1, 50)[:, None]
    right, up = time * [1.0, 0.0], time * [0.0, 1.0]
    assert geodesic_distance(srvf(right), srvf(3 * right + 7)) == pytest.approx(0, abs=1e-7)
    assert geodesic_distance(srvf(right), srvf(up)) == pytest.approx(np.pi / 2)
    assert geodesic_distance(srvf(right), srvf(-right)) == pytest.approx(np.pi)
    assert geodesic_distance(srvf(right), srvf(right + up)) == pytest.approx(np.pi / 4)


def test_standing_still() -> None:
    still, moving = np.ones((10, 2)), np.linspace(0, 1, 10)[:, None] * [1.0, 1.0]
    assert not srvf(still).any()
    assert geodesic_distance(srvf(still), srvf(moving)) == pytest.approx(np.pi / 2)
    assert geodesic_distance(srvf(still), srvf(still)) == 0
    pause = np.concatenate([moving[:5], np.repeat(moving[4:5], 5, axis=0)])
    q = srvf(pause)
    assert np.isfinite(q).all()
    assert not q[-2:].any()
    assert inner_product(q, q) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(3, 40), scale=st.floats(0.01, 100))
def test_a_distance_on_a_sphere(seed: int, frames: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = (srvf(curve) for curve in rng.normal(size=(3, frames, 4)))
    ab, bc, ac = geodesic_distance(a, b), geodesic_distance(b, c), geodesic_distance(a, c)
    assert 0 <= ab <= np.pi
    assert ab == geodesic_distance(b, a)
    assert ac <= ab + bc + 1e-9
    curve = rng.normal(size=(frames, 4))
    assert geodesic_distance(srvf(curve), srvf(scale * curve + 3)) < 1e-6


def test_head_motion_plays_no_part() -> None:
    real = sequence()
    for k in range(len(real)):
        turn = 0.02 * k
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        moved = real.copy()
        moved[k] = (1 + 0.01 * k) * real[k] @ rotation.T + [k, -2 * k]
        assert np.allclose(without_head_motion(moved), without_head_motion(real), atol=1e-9)
    settled = without_head_motion(real)
    assert np.linalg.norm(settled[0, 36] - settled[0, 45]) == pytest.approx(1)


def test_other_motions_are_farther_and_size_is_told_apart() -> None:
    real = sequence()
    assert motion_distance(real, real) == pytest.approx(0, abs=1e-7)
    assert motion_distance(sequence(size=2.5), real) == pytest.approx(0, abs=1e-7)
    assert length_ratio(sequence(size=2.5), real) == pytest.approx(0.5)
    assert motion_distance(sequence(across=True), real) == pytest.approx(np.pi / 2)
    assert motion_distance(sequence(size=-5), real) == pytest.approx(np.pi)
    assert length_ratio(sequence(size=0), real) == 0
    assert motion_distance(sequence(size=0), real) == pytest.approx(np.pi / 2)
    assert length_ratio(real, sequence(size=0)) == np.inf


def test_noise_leads_away() -> None:
    rng, real, last = np.random.default_rng(0), sequence(), 0.0
    for noise in (0.01, 0.1, 1.0):
        found = motion_distance(real + rng.normal(0, noise, real.shape), real)
        assert found > last
        last = found


def test_the_number_of_frames_hardly_matters_and_the_pace_does() -> None:
    assert motion_distance(sequence(frames=60), sequence(frames=200)) < 0.06
    late = sequence(frames=60)[np.r_[np.zeros(30, int), np.arange(60)]]
    assert motion_distance(late, sequence(frames=60)) > 0.5


def test_resampling_and_length_by_hand() -> None:
    curve = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 8.0]])
    assert curve_length(curve) == 9
    assert resampled(curve, 5).tolist() == [[0, 0], [1.5, 2], [3, 4], [3, 6], [3, 8]]
    assert resampled(curve, 2).tolist() == [[0, 0], [3, 8]]


def test_what_is_no_motion_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(T, 68, 2\)"):
        motion_distance(np.zeros((5, 49, 2)), sequence())
    with pytest.raises(DataError, match="T >= 2"):
        motion_distance(sequence()[:1], sequence())
    broken = sequence()
    broken[3, 4] = np.nan
    with pytest.raises(DataError, match="finite"):
        motion_distance(broken, sequence())
    with pytest.raises(DataError, match="one place"):
        motion_distance(np.zeros((4, 68, 2)), sequence())
    with pytest.raises(DataError, match="two frames"):
        srvf(np.zeros((1, 4)))
    with pytest.raises(DataError, match="two frames"):
        resampled(np.zeros((1, 4)), 5)
    with pytest.raises(DataError, match="one grid"):
        inner_product(np.zeros((4, 2)), np.zeros((5, 2)))
