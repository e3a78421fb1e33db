"""Rendered clips: what moves when, exact annotation, the still avatar first, the same bytes always."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.data.avatar_clips import ClipSpec, motion, render_clip
from fesbench.data.avatars import AvatarSpec, render
from fesbench.data.avatars.action_units import UNIT_KEYS
from fesbench.data.avatars.expressions import peak_units
from fesbench.errors import UsageError
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

BLINK = UNIT_KEYS.index("45")


def onset(who: int, expression: str, take: int = 0) -> float:
    """When half of the peak is reached, as a share of the clip."""
    return float(np.searchsorted(motion(ClipSpec(who, expression, take), 201).intensity, 0.5)) / 200


@pytest.mark.parametrize("expression", EXPRESSIONS[1:])
@pytest.mark.parametrize("who", [0, 3])
def test_every_unit_rises_from_neutral_to_the_peak(who: int, expression: str) -> None:
    found = motion(ClipSpec(who, expression), 32)
    peak = peak_units(0, who, expression)
    driven = [k for k in range(len(UNIT_KEYS)) if k != BLINK]
    assert not found.units[0].any()
    assert (found.units[-1] == peak).all()
    assert (np.diff(found.units[:, driven], axis=0) >= 0).all()
    assert (np.diff(found.intensity) > 0).all()
    assert (found.intensity[0], found.intensity[-1]) == (0, pytest.approx(1))
    shown = found.units[:, driven].sum(axis=1) / peak[driven].sum()
    assert found.intensity == pytest.approx(shown, abs=1e-6)
    for path in found.head.values():
        assert path[0] == 0
        assert np.abs(path).max() <= 0.04


def test_onsets_differ_by_subject_by_expression_and_by_take() -> None:
    assert len({onset(who, "anger") for who in range(6)}) >= 4
    assert len({onset(0, "anger", take) for take in range(6)}) >= 3
    mean = {e: np.mean([onset(who, e) for who in range(30)]) for e in ("surprise", "happiness", "sadness")}
    assert mean["surprise"] + 0.05 < mean["happiness"] < mean["sadness"] - 0.03


def test_timing_is_asymmetric_and_units_have_their_own() -> None:
    units = motion(ClipSpec(2, "happiness"), 32).units
    left, right, six = (units[:, UNIT_KEYS.index(key)] for key in ("12L", "12R", "6L"))
    assert np.abs(left / left[-1] - right / right[-1]).max() > 0.005
    assert np.abs(left / left[-1] - six / six[-1]).max() > 0.02


def test_half_of_the_clips_hold_a_blink_and_none_at_its_ends() -> None:
    blinks = np.stack([motion(ClipSpec(who, "anger"), 64).units[:, BLINK] for who in range(60)])
    assert not blinks[:, [0, -1]].any()
    assert 0.3 < (blinks.max(axis=1) > 0.8).mean() < 0.7
    # a fifth of the clip at the most
    assert (blinks > 0).sum(axis=1).max() <= 0.19 * 64


def test_the_first_frame_is_the_still_avatar_to_the_byte() -> None:
    clip = render_clip(ClipSpec(5, "fear", take=2), 64, 8, seed=1)
    still = render([AvatarSpec(5, take=2)], 64, seed=1)
    assert (clip.images[0] == still.images[0]).all()
    assert (clip.landmarks[0] == still.landmarks[0]).all()
    peak = render([AvatarSpec(5, "fear", take=2)], 64, seed=1)
    assert (clip.action_units[-1] == peak.action_units[0]).all()
    # but for the head, which has moved
    assert 0 < np.abs(clip.landmarks[-1] - peak.landmarks[0]).max() < 2


def test_a_frame_depends_on_its_place_alone() -> None:
    spec = ClipSpec(1, "disgust", take=1)
    whole = render_clip(spec, 32, 12)
    part = render_clip(spec, 32, 12, only=[9, 2])
    for name in ("images", "landmarks", "action_units", "intensity"):
        assert (getattr(whole, name)[[9, 2]] == getattr(part, name)).all()
    assert whole.images.shape == (12, 32, 32, 3)
    assert whole.images.dtype == np.uint8
    assert whole.action_units.shape == (12, len(ACTION_UNITS))


def test_a_clip_of_another_length_shows_the_same_motion() -> None:
    short, long = (motion(ClipSpec(4, "sadness"), frames) for frames in (9, 17))
    assert (short.units == long.units[::2]).all()
    assert short.head["yaw"] == pytest.approx(long.head["yaw"][::2])


def test_landmarks_follow_what_is_drawn() -> None:
    """The mouth's landmarks drop with the jaw of surprise by as much as its dark opening does."""
    clip = render_clip(ClipSpec(0, "surprise"), 128, 6)
    opened = clip.landmarks[:, 66, 1] - clip.landmarks[:, 62, 1]
    assert opened[-1] > opened[0] + 5
    x, top, bottom = (int(v) for v in (*clip.landmarks[-1, 62], clip.landmarks[-1, 66, 1]))
    inside = clip.images[-1, top + 2 : bottom - 1, x].astype(int).sum(axis=1)
    skin = clip.images[-1, bottom + 14, x].astype(int).sum()
    assert inside.min() < skin - 100


@pytest.mark.parametrize(
    ("spec", "size", "frames"),
    [
        (ClipSpec(-1, "fear"), 64, 8),
        (ClipSpec(0, "boredom"), 64, 8),
        (ClipSpec(0, "fear"), 8, 8),
        (ClipSpec(0, "fear"), 64, 1),
    ],
)
def test_what_makes_no_sense_is_refused(spec: ClipSpec, size: int, frames: int) -> None:
    with pytest.raises(UsageError):
        render_clip(spec, size, frames)
