"""When what moves: the onset of each action unit, blinks, and small motions of the head.

Every unit rises along a normalized sigmoid of time t in [0, 1]::

    s(t) = (g(t) - g(0)) / (g(1) - g(0)),    g(t) = 1 / (1 + exp(-a (t - c)))

whose center c and steepness a depend on the subject, the expression and the clip, and whose center differs a
little by unit, and by side where a unit has two: timing is asymmetric, as it is in people. So every clip is
neutral at t = 0, at the subject's peak at t = 1, and rises strictly between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fesbench.data.avatars.action_units import UNIT_KEYS
from fesbench.data.avatars.expressions import check_expression, peak_units
from fesbench.errors import UsageError

Floats = npt.NDArray[np.float64]

_STREAM = 53
_TEMPO = {"surprise": (-0.10, 1.35), "fear": (-0.05, 1.15), "sadness": (0.07, 0.75), "disgust": (0.02, 0.9)}
"""By how much an expression's onset is earlier (-) or later, and how much steeper; others: (0, 1)."""

_HEAD = {"yaw": 0.040, "pitch": 0.030, "roll": 0.018, "shift_x": 0.012, "shift_y": 0.012, "zoom": 0.006}
"""Largest motion of the head during a clip, in radians, face units and as a factor."""

_BLINK_SHARE, _BLINK_WIDTH, _BLINK_DEPTH = 0.5, 0.09, 0.95
"""How many clips hold a blink, half its duration over the clip's, and how far the eyes close."""


@dataclass(frozen=True)
class ClipSpec:
    """One clip to render.

    Attributes:
        identity: who, >= 0.
        expression: one of EXPRESSIONS or COMPOUNDS; of "neutral" the clip shows head motion and blinks alone.
        take: light, background, clothes and the first frame's pose; another take has another timing.
    """

    identity: int
    expression: str
    take: int = 0


@dataclass(frozen=True)
class Motion:
    """What moves in a clip of T frames.

    Attributes:
        units: float32 (T, len(UNIT_KEYS)) in [0, 1].
        intensity: float64 (T,) in [0, 1]: the share of the peak's action units that is shown, without blinks;
            0 at the first frame and 1 at the last, strictly rising; all 0 for "neutral".
        head: by parameter of the capture, what is added to it: float64 (T,), 0 at the first frame.
    """

    units: npt.NDArray[np.float32]
    intensity: Floats
    head: Mapping[str, Floats]


def motion(spec: ClipSpec, frames: int, *, seed: int = 0) -> Motion:
    """What moves in a clip, a function of its spec, the seed and the time of each frame alone.

    Args:
        spec: which clip.
        frames: T, at equal steps of time from 0 to 1; at least 2.
        seed: of the avatar family.

    Raises:
        UsageError: fewer than two frames, an unknown expression, a negative identity, take or seed.
    """
    if frames < 2 or min(spec.identity, spec.take, seed) < 0:
        raise UsageError(
            f"a clip of {frames} frames of identity {spec.identity}, take {spec.take}, seed {seed}: it needs "
            "two frames or more, and numbers that are not negative."
        )
    peak = peak_units(seed, spec.identity, spec.expression).astype(np.float64)
    time = np.linspace(0.0, 1.0, frames)
    rng = np.random.default_rng([_STREAM, seed, spec.identity, check_expression(spec.expression), spec.take])
    rise = _rises(time, spec, seed, rng)
    units = rise * peak
    total = peak.sum()
    intensity = units.sum(axis=1) / total if total else np.zeros(frames)
    head = {name: most * _wander(time, rng) for name, most in _HEAD.items()}
    blink = UNIT_KEYS.index("45")
    units[:, blink] = np.maximum(units[:, blink], _blink(time, rng))
    return Motion(units.astype(np.float32), intensity, head)


def _rises(time: Floats, spec: ClipSpec, seed: int, rng: np.random.Generator) -> Floats:
    """The share of its peak that each unit shows: (T, units)."""
    own = np.random.default_rng([_STREAM, seed, spec.identity])
    center, steepness = own.uniform(0.40, 0.55), own.uniform(8.0, 13.0)
    shift, factor = _TEMPO.get(spec.expression, (0.0, 1.0))
    center += shift + rng.uniform(-0.03, 0.03)
    steepness *= factor * rng.uniform(0.9, 1.1)
    delay = {key.rstrip("LR"): rng.uniform(-0.06, 0.06) for key in UNIT_KEYS}
    sides = rng.uniform(-0.015, 0.015, len(UNIT_KEYS))
    centers = center + np.array([delay[key.rstrip("LR")] for key in UNIT_KEYS]) + sides
    raw, start, end = (
        1 / (1 + np.exp(-steepness * (t - centers))) for t in (time[:, None], np.zeros(1), np.ones(1))
    )
    found: Floats = (raw - start) / (end - start)
    # Rounding must not lead beyond the ends.
    found[0], found[-1] = 0.0, 1.0
    return found


def _wander(time: Floats, rng: np.random.Generator) -> Floats:
    """A smooth path in [-1, 1] that starts at 0: a drift and two slow swings."""
    weights = rng.dirichlet((1.0, 1.0, 1.0)) * rng.choice([-1.0, 1.0], 3)
    rates, phases = rng.uniform(0.4, 1.6, 2), rng.uniform(0, 2 * np.pi, 2)
    swings = (np.sin(2 * np.pi * rates * time[:, None] + phases) - np.sin(phases)) / 2
    found: Floats = time * weights[0] + swings @ weights[1:]
    return found


def _blink(time: Floats, rng: np.random.Generator) -> Floats:
    """How far a blink closes the eyes: (T,) in [0, 1], 0 at both ends."""
    blinks, middle = rng.random() < _BLINK_SHARE, rng.uniform(0.15, 0.80)
    near = np.clip(np.abs(time - middle) / _BLINK_WIDTH, 0.0, 1.0)
    found: Floats = blinks * _BLINK_DEPTH * 0.5 * (1 + np.cos(np.pi * near))
    return found
