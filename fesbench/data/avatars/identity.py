"""Who a person is: shape parameters, drawn from families and rejected where they look odd.

Identity lives in head, nose, lips, eye shape, relief and coloring. Brow height and tilt stay narrow on
purpose: an expression moves them too, and a wide spread would blur the two.
"""

from __future__ import annotations

import functools
from statistics import NormalDist
from typing import Any

import numpy as np

from fesbench.data.avatars.appearance import draw_appearance

Parameters = dict[str, Any]
"""Numbers (float) and colors (three floats), by name."""

_STREAM = 23
_ATTEMPTS = 64

_SPREAD = {
    "face_width": 0.06,
    "face_length": 0.06,
    "jaw_width": 0.08,
    "chin_width": 0.12,
    "chin_length": 0.075,
    "cheek_width": 0.055,
    "temple_width": 0.05,
    "forehead": 0.05,
    "jaw_asymmetry": 0.016,
    "eye_spacing": 0.115,
    "eye_width": 0.13,
    "eye_height": 0.14,
    "eye_tilt": 0.033,
    "eye_y": 0.03,
    "eye_asymmetry": 0.007,
    "lid_power": 0.07,
    "lid_skew": 0.08,
    "socket": 0.5,
    "crease": 0.35,
    "iris_size": 0.11,
    "fold": 0.18,
    "eye_bag": 0.35,
    "brow_y": 0.036,
    "brow_arch": 0.020,
    "brow_tilt": 0.016,
    "brow_length": 0.15,
    "brow_gap": 0.05,
    "brow_asymmetry": 0.006,
    "brow_thickness": 0.46,
    "nose_width": 0.21,
    "nose_length": 0.13,
    "bridge": 0.7,
    "nose_projection": 0.35,
    "nose_tip": 0.4,
    "nose_hump": 0.6,
    "nostril": 0.3,
    "nose_turn": 0.5,
    "nose_x": 0.016,
    "mouth_width": 0.145,
    "mouth_y": 0.07,
    "upper_lip": 0.33,
    "lower_lip": 0.31,
    "cupid": 0.5,
    "mouth_x": 0.010,
    "philtrum": 0.4,
    "cheekbone": 0.8,
    "muzzle": 0.8,
    "chin_ball": 0.7,
    "cleft": 0.5,
    "brow_ridge": 0.4,
    "jowl": 0.5,
    "relief_a": 0.9,
    "relief_b": 0.9,
    "relief_c": 0.9,
    "forehead_bulge": 0.6,
    "temple_hollow": 0.5,
}
"""Standard deviation of each shape parameter (relative sizes, or face units); drawn within 2 of them."""

_FAMILIES: dict[str, tuple[dict[str, float], ...]] = {
    "face": (
        {},
        {"face_width": 0.05, "face_length": -0.05, "jaw_width": 0.03, "chin_width": 0.05},
        {"jaw_width": 0.09, "chin_width": 0.12, "face_length": -0.015},
        {"jaw_width": -0.06, "chin_width": -0.10, "temple_width": 0.04, "cheek_width": 0.02},
        {"face_width": -0.03, "face_length": 0.045},
        {"cheek_width": 0.05, "temple_width": -0.04, "jaw_width": -0.04, "chin_width": -0.05},
        {"jaw_width": 0.07, "temple_width": -0.04, "jowl": 0.6},
    ),
    "eyes": (
        {},
        {"eye_height": 0.12, "lid_power": -0.08, "eye_width": -0.02},
        {"lid_power": 0.08, "eye_width": 0.06, "eye_height": -0.08, "eye_tilt": 0.01},
        {"fold": 0.9, "crease": -0.6, "eye_height": -0.05},
        {"fold": 0.6, "crease": -0.9, "lid_skew": -0.10, "eye_tilt": 0.015, "socket": -0.9, "bridge": 0.5},
        {"eye_tilt": -0.025, "lid_skew": 0.08, "eye_bag": 0.3},
        {"socket": 0.9, "crease": 0.5, "brow_ridge": 0.4},
    ),
    "nose": (
        {},
        {"nose_hump": 1.0, "nose_length": 0.07, "nose_projection": 0.2},
        {"nose_length": -0.09, "nose_turn": 0.8, "nose_tip": 0.3, "nose_hump": -0.5},
        {"nose_width": 0.22, "bridge": 0.6, "nose_projection": -0.25, "nostril": 0.25},
        {"nose_width": -0.16, "bridge": -0.6, "nose_length": 0.04},
        {"nose_tip": 0.8, "nose_width": 0.08},
    ),
    "mouth": (
        {},
        {"upper_lip": -0.30, "lower_lip": -0.24, "cupid": -0.4},
        {"upper_lip": 0.26, "lower_lip": 0.24},
        {"mouth_width": 0.10, "upper_lip": -0.1, "lower_lip": -0.05},
        {"mouth_width": -0.09, "upper_lip": 0.16, "cupid": 0.8},
        {"lower_lip": 0.26, "upper_lip": -0.15, "cupid": -0.3},
    ),
}

_MALE = {
    "jaw_width": 0.04,
    "chin_width": 0.05,
    "brow_y": 0.018,
    "upper_lip": -0.10,
    "lower_lip": -0.08,
    "brow_thickness": 0.17,
    "brow_ridge": 0.35,
    "nose_width": 0.03,
    "eye_height": -0.04,
}
_FEMALE = {
    "jaw_width": -0.04,
    "chin_width": -0.05,
    "brow_y": -0.026,
    "upper_lip": 0.12,
    "lower_lip": 0.09,
    "brow_thickness": -0.17,
    "brow_ridge": -0.45,
    "nose_width": -0.04,
    "eye_height": 0.04,
}


_SPACED = (
    *("nose_length", "eye_spacing", "mouth_y", "tone", "mouth_width", "nose_width"),
    *("face_length", "brow_gap", "hair", "brow_thickness"),
)
"""What people are told apart by, whatever they express: drawn from a sequence that keeps neighbors apart."""

_STRIDE = 1.0682972
"""The root of x^11 = x + 1: one more than there are dimensions."""


def _spaced(seed: int, identity: int) -> dict[str, float]:
    """Evenly spread numbers in (0, 1): any run of identities covers the range of each of :data:`_SPACED`.

    The additive recurrence R_d of M. Roberts, "The unreasonable effectiveness of quasirandom sequences",
    2018, shifted at random for each seed; independent draws would now and then give near twins.
    """
    shifts = np.random.default_rng([_STREAM, seed]).random(len(_SPACED))
    return {
        name: float((shift + identity * _STRIDE ** -(k + 1)) % 1.0) * 0.998 + 0.001
        for k, (name, shift) in enumerate(zip(_SPACED, shifts, strict=True))
    }


def _draw_shape(rng: np.random.Generator, male: bool, spaced: dict[str, float]) -> dict[str, float]:
    normal = NormalDist()
    shape = {}
    for name, spread in _SPREAD.items():
        drawn = float(rng.standard_normal())
        if name in spaced:
            drawn = normal.inv_cdf(spaced[name])
        shape[name] = float(np.clip(drawn, -2.0, 2.0)) * spread
    offsets = [family[int(rng.integers(len(family)))] for family in _FAMILIES.values()]
    for offset in (*offsets, _MALE if male else _FEMALE):
        for name, value in offset.items():
            shape[name] += value
    return shape


def _plausible(s: dict[str, float]) -> bool:
    """Joint bounds: each parameter alone may be extreme, these combinations look odd."""
    width = 1.10 * (1 + s["face_width"] + s["cheek_width"])
    length = 1.735 * (1 + s["face_length"] + s["chin_length"])
    jaw = 0.88 * (1 + s["face_width"] + s["jaw_width"])
    nose_base = 0.775 * (1 + s["face_length"]) * (1 + 0.9 * s["nose_length"])
    mouth = 1.075 * (1 + s["face_length"]) * (1 + 0.15 * s["nose_length"]) + s["mouth_y"]
    upper_lip, lower_lip = 0.112 * (1 + s["upper_lip"]), 0.142 * (1 + s["lower_lip"])
    eye_outer = 0.5 * (1 + s["eye_spacing"]) + 0.218 * (1 + s["eye_width"])
    eye_inner = 0.5 * (1 + s["eye_spacing"]) - 0.218 * (1 + s["eye_width"])
    brow_outer = 0.875 * (1 + 0.5 * s["brow_length"]) + 0.3 * s["eye_spacing"]
    return (
        1.38 <= length / width <= 1.73
        and 0.68 <= jaw / width <= 0.92
        and 0.13 <= mouth - upper_lip - nose_base <= 0.40
        and length - mouth - lower_lip >= 0.32
        and 0.41 * (1 + s["mouth_width"]) <= 0.60 * jaw
        and eye_outer <= 0.76 * width
        and eye_inner >= 0.22
        and brow_outer <= 0.90 * width
        and upper_lip >= 0.050
        and lower_lip >= 0.065
        and abs(s["lid_power"]) < 0.2
        and s["eye_height"] > -0.30
    )


@functools.lru_cache(maxsize=8192)
def _parameters(seed: int, identity: int) -> tuple[tuple[str, Any], ...]:
    rng = np.random.default_rng([_STREAM, seed, identity])
    male = bool(rng.random() < 0.5)
    spaced = _spaced(seed, identity)
    for attempt in range(_ATTEMPTS):
        # Some spaced combinations fit no plausible face: the later attempts draw everything.
        shape = _draw_shape(rng, male, spaced if attempt < _ATTEMPTS // 2 else {})
        if _plausible(shape):
            break
    else:
        # The mean face of a sex is plausible; no seed was seen to come here.
        shape = dict.fromkeys(_SPREAD, 0.0)
    shape["brow_thickness"] = float(np.exp(shape["brow_thickness"]))
    look = draw_appearance(
        np.random.default_rng([_STREAM, seed, identity, 1]), male, spaced["tone"], spaced["hair"]
    )
    return tuple({**shape, **look}.items())


def person(seed: int, identity: int) -> Parameters:
    """All parameters of one person; the same for every picture of them."""
    return dict(_parameters(seed, identity))
