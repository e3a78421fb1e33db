"""The landmarks lie on what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.data.avatars import surface
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.capture import capture
from fesbench.data.avatars.expressions import COMPOUNDS, PROTOTYPES, compound_units, peak_units
from fesbench.data.avatars.face import Plan, lay_out
from fesbench.data.avatars.identity import _SPREAD, person
from fesbench.data.avatars.landmarks import face_landmarks
from fesbench.data.avatars.measure import tar_at_far
from fesbench.data.avatars.noise import COARSE, FINE, MEDIUM, STRANDS, noise
from fesbench.data.avatars.pose import project
from fesbench.data.avatars.rendering import AvatarSpec, _collate
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.upsample import BORDER, upsample
from fesbench.errors import UsageError
from fesbench.vocabulary import EXPRESSIONS, LANDMARK_MIRROR

SIZE = 192


def _drawn(identity: int, expression: str, *, wild: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Segmentation (S, S) and landmarks (68, 2) of one image without hair or glasses."""
    who = {**person(0, identity), "hair_on": 0.0, "glasses": 0.0}
    shape, taken = _collate([who], "cpu"), _collate([capture(0, identity, 0, wild=wild)], "cpu")
    au = Activation(torch.from_numpy(peak_units(0, identity, expression))[None])
    with torch.inference_mode():
        plan = Plan.of(shape, au)
        geometry = lay_out(plan, shape, taken, au, SIZE, 0.45 if wild else 0.18)
        label = compose(geometry).label[0].numpy()
        exact = {name: value.double() for name, value in taken.items()}
        points = project(
            exact, plan.features, plan.contour, face_landmarks(plan.features, plan.contour), SIZE
        )
    return label, points[0].numpy()


def _inside_hull(points: np.ndarray, mask: np.ndarray) -> float:
    """Share of a mask's pixels within the bounding box of its landmarks, widened by a pixel and a half."""
    ys, xs = np.nonzero(mask)
    low, high = points.min(0) - 1.5, points.max(0) + 1.5
    return float(((xs >= low[0]) & (xs <= high[0]) & (ys >= low[1]) & (ys <= high[1])).mean())


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("expression", ["neutral", "happiness", "surprise", "fear"])
def test_landmarks_frame_their_masks(expression, wild):
    label, points = _drawn(7, expression, wild=wild)
    mouth = np.isin(label, [surface.UPPER_LIP, surface.LOWER_LIP, surface.MOUTH])
    eyes = label == surface.EYE
    left = eyes.copy()
    left[:, int((points[39, 0] + points[42, 0]) / 2) :] = False
    assert mouth.sum() > 100
    assert _inside_hull(points[48:68], mouth) > 0.97
    assert left.sum() > 30
    assert _inside_hull(points[36:42], left) > 0.9


@pytest.mark.parametrize("wild", [False, True])
def test_jaw_landmarks_lie_on_the_silhouette(wild):
    label, points = _drawn(7, "neutral", wild=wild)
    face = np.isin(label, range(surface.SKIN, surface.MOUTH + 1))
    center = points[30]
    for point in points[3:14]:
        direction = (point - center) / np.linalg.norm(point - center)
        inner, outer = (np.rint(point + step * direction).astype(int) for step in (-3, 3))
        assert face[inner[1], inner[0]]
        assert not face[outer[1], outer[0]]


def test_open_mouth_shows_between_the_inner_lips():
    label, points = _drawn(7, "surprise")
    middle = np.rint((points[62] + points[66]) / 2).astype(int)
    assert label[middle[1], middle[0]] == surface.MOUTH
    label, points = _drawn(7, "neutral")
    assert (label == surface.MOUTH).sum() == 0


def test_landmark_order_is_ibugs():
    _, p = _drawn(7, "neutral")
    assert (np.diff(p[0:17, 0]) > 0).all()
    assert (np.diff(p[17:27, 0]) > 0).all()
    assert (np.diff(p[27:31, 1]) > 0).all()
    assert p[36, 0] < p[39, 0] < p[42, 0] < p[45, 0]
    assert p[37, 1] < p[41, 1]
    assert p[48, 0] < p[51, 0] < p[54, 0]
    assert p[51, 1] < p[62, 1] <= p[66, 1] < p[57, 1]
    assert p[8, 1] == p[:, 1].max()


def test_mirrored_face_is_nearly_itself():
    _, points = _drawn(7, "neutral")
    mirrored = points[list(LANDMARK_MIRROR)] * [-1, 1]
    mirrored += (points - mirrored).mean(0)
    assert np.abs(mirrored - points).max() < 0.08 * SIZE


def test_upsampling_keeps_ramps_and_constants():
    for factor in (1, 2, 3, 4):
        cells = 6
        coarse = (torch.arange(cells + 2 * BORDER) + 0.5 - BORDER) / cells
        fine = (torch.arange(cells * factor) + 0.5) / (cells * factor)
        x = upsample(coarse.expand(1, 1, len(coarse), -1), factor)
        y = upsample(coarse[:, None].expand(1, 1, -1, len(coarse)), factor)
        torch.testing.assert_close(x[0, 0], fine.expand(len(fine), -1), atol=1e-6, rtol=0)
        torch.testing.assert_close(y[0, 0], fine[:, None].expand(-1, len(fine)), atol=1e-6, rtol=0)


def test_noise_has_unit_variance_and_tiles():
    u, v = torch.meshgrid(torch.linspace(0, 1, 257)[:-1], torch.linspace(0, 1, 257)[:-1], indexing="xy")
    for field in noise(u[None], v[None], COARSE, MEDIUM, FINE, STRANDS):
        assert abs(float(field.mean())) < 0.02
        assert abs(float(field.std()) - 1) < 0.05
    shifted = noise(u[None] + 3, v[None] - 2, MEDIUM)[0]
    torch.testing.assert_close(shifted, noise(u[None], v[None], MEDIUM)[0], atol=2e-2, rtol=0)


def test_people_are_drawn_from_their_own_streams():
    first = person(0, 5)
    person(0, 6)
    assert person(0, 5) == first
    assert person(1, 5) != first
    assert set(_SPREAD) <= set(first)


def test_peaks_do_not_depend_on_anything_else():
    for expression in EXPRESSIONS:
        peak = peak_units(3, 9, expression)
        assert peak.dtype == np.float32
        assert ((peak >= 0) & (peak <= 1)).all()
    assert not peak_units(3, 9, "neutral").any()
    assert (peak_units(3, 9, "anger") != peak_units(3, 10, "anger")).any()


def test_compound_units_are_the_published_ones():
    # Du, Tao and Martinez (2014), table 1.
    published = {
        "sadly_angry": {4, 15},
        "fearfully_surprised": {1, 2, 5, 20, 25},
        "angrily_disgusted": {4, 10, 17},
    }
    for name, units in published.items():
        assert {int(unit[2:]) for unit, _ in compound_units(name)} == units
    for parts in COMPOUNDS.values():
        assert set(parts) <= set(PROTOTYPES)


def test_unknown_expression_is_refused():
    with pytest.raises(UsageError, match="gleeful"):
        peak_units(0, 0, "gleeful")


def test_tar_at_far_by_hand():
    # Two subjects on a line; genuine distances 1, 1; impostor distances 9, 10, 10, 11.
    descriptors = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert tar_at_far(descriptors, np.array([0, 0, 1, 1]), 0.01) == 1.0
    # Swapped names: genuine 10, 10; impostors 1, 1, 9, 11.
    assert tar_at_far(descriptors, np.array([0, 1, 0, 1]), 0.01) == 0.0


def test_specs_are_plain_values():
    assert AvatarSpec(1, "fear") == AvatarSpec(1, "fear")
