"""A person's coloring, hair, beard, skin marks and glasses. Colors are linear RGB."""

from __future__ import annotations

from typing import Any

import numpy as np

SKIN = np.array(
    [
        *([0.80, 0.56, 0.455], [0.74, 0.475, 0.36], [0.64, 0.39, 0.27], [0.49, 0.275, 0.175]),
        *([0.32, 0.165, 0.098], [0.175, 0.085, 0.050]),
    ]
)
"""Six stops from light to dark."""

_HAIR = np.array(
    [
        *([0.010, 0.009, 0.009], [0.030, 0.018, 0.012], [0.070, 0.038, 0.020], [0.15, 0.080, 0.038]),
        *([0.36, 0.23, 0.11], [0.52, 0.38, 0.21], [0.20, 0.062, 0.022], [0.33, 0.32, 0.31]),
        [0.62, 0.61, 0.59],
    ]
)
_HAIR_LIGHT = (0.17, 0.20, 0.17, 0.14, 0.11, 0.08, 0.07, 0.04, 0.02)
_HAIR_DARK = (0.52, 0.28, 0.10, 0.03, 0.01, 0.0, 0.02, 0.03, 0.01)
_GRAY = (7, 8)
_IRIS = np.array(
    [
        *([0.045, 0.022, 0.012], [0.10, 0.050, 0.022], [0.17, 0.11, 0.045], [0.12, 0.16, 0.09]),
        *([0.14, 0.22, 0.32], [0.22, 0.27, 0.30]),
    ]
)
_IRIS_LIGHT, _IRIS_DARK = (0.28, 0.22, 0.15, 0.10, 0.17, 0.08), (0.74, 0.21, 0.05, 0.0, 0.0, 0.0)

HAIR_STYLES: dict[str, dict[str, float]] = {
    "shaved": {"hair_on": 0.0},
    "crop": {"hair_top": 0.07, "hair_side": 0.0, "hair_burn": 0.22},
    "short": {"hair_top": 0.14, "hair_side": 0.03, "hair_burn": 0.24, "hair_quiff": 0.6},
    "side part": {"hair_top": 0.17, "hair_side": 0.04, "hair_burn": 0.24, "hair_sweep": 0.20},
    "long": {"hair_top": 0.15, "hair_side": 0.12, "hair_fall": 4.0, "hair_split": 0.16},
    "bob": {"hair_top": 0.16, "hair_side": 0.15, "hair_fall": 1.45, "hair_split": 0.12},
    "fringe": {"hair_top": 0.17, "hair_side": 0.12, "hair_fall": 2.0, "hair_fringe": 0.52},
    "curly": {"hair_top": 0.30, "hair_side": 0.16, "hair_burn": 0.30, "hair_curl": 1.0},
    "long curls": {
        "hair_top": 0.24,
        "hair_side": 0.26,
        "hair_fall": 1.9,
        "hair_curl": 0.8,
        "hair_split": 0.06,
    },
    "receding": {"hair_top": 0.05, "hair_side": 0.02, "hair_burn": 0.18, "hair_recede": 0.30},
    "tied back": {"hair_top": 0.07, "hair_side": 0.0, "hair_burn": 0.02, "hair_split": 0.05},
}
_STYLE_KEYS = (
    *("hair_top", "hair_side", "hair_burn", "hair_quiff", "hair_sweep", "hair_fall", "hair_split"),
    *("hair_fringe", "hair_curl", "hair_recede"),
)
_MALE_STYLES = (0.09, 0.16, 0.20, 0.19, 0.04, 0.02, 0.03, 0.12, 0.02, 0.10, 0.03)
_FEMALE_STYLES = (0.01, 0.03, 0.05, 0.08, 0.27, 0.17, 0.12, 0.05, 0.11, 0.0, 0.11)

_BEARDS: dict[str, tuple[float, float, float, float]] = {
    "none": (0.0, 0.0, 0.0, 0.0),
    "stubble": (0.42, 0.42, 0.42, 0.38),
    "moustache": (0.92, 0.0, 0.0, 0.0),
    "goatee": (0.85, 0.92, 0.0, 0.85),
    "full": (0.92, 0.95, 0.95, 0.95),
}
"""Density of moustache, chin, jaw, and of the strips beside the mouth."""


def draw_appearance(rng: np.random.Generator, male: bool, tone: float, hair_rank: float) -> dict[str, Any]:
    """Everything about a person that is not shape.

    Args:
        rng: for all that is drawn independently.
        male: sex.
        tone: in (0, 1), the skin from light to dark.
        hair_rank: in (0, 1), the hair color's place in the cumulated frequencies of that skin and age.
    """
    age = float(rng.beta(1.5, 2.1))
    tone = tone**1.15 * (len(SKIN) - 1.001)
    stop, blend = int(tone), tone - int(tone)
    # Lightness varies more than hue: a green or violet cast looks ill.
    hue = np.array([0.5, -0.1, -1.0]) * rng.normal(0, 0.055) + rng.normal(0, 0.018, 3)
    skin = (SKIN[stop] * (1 - blend) + SKIN[stop + 1] * blend) * np.exp(rng.normal(0, 0.11) + hue)
    dark = tone > 2.8
    hair_index = _hair_color(hair_rank, dark, age)
    hair = _HAIR[hair_index] * np.exp(rng.normal(0, 0.12))
    brow_base = hair * (0.45 if hair_index in _GRAY else 0.8)
    iris = _IRIS[int(rng.choice(len(_IRIS), p=_IRIS_DARK if dark else _IRIS_LIGHT))]
    look: dict[str, Any] = {
        "male": float(male),
        "age": age,
        "tone": tone / (len(SKIN) - 1),
        "skin": _color(skin),
        "hair": _color(hair),
        "brow": _color(np.minimum(brow_base, skin * 0.5)),
        "iris": _color(iris * np.exp(rng.normal(0, 0.15))),
        "texture": float(rng.uniform()),
        "expressive_wrinkles": 0.7 + 0.6 * age,
        "blush": float(rng.uniform(0.2, 1.0)),
        "lip_red": float(rng.uniform(0.30, 0.75) if male else rng.uniform(0.5, 1.2)),
        "lashes": float(rng.uniform(0.35, 0.7) if male else rng.uniform(0.7, 1.2)),
        "eye_shadow": 0.0 if male else float(max(0.0, rng.uniform(-0.8, 0.8))),
        "tooth": float(rng.uniform(0.75, 0.95)),
        "freckles": float(max(0.0, rng.uniform(-1.2, 1.0))) * max(0.0, 1 - 1.3 * tone / len(SKIN)),
        "mole": float(rng.random() < 0.3),
        "mole_x": float(rng.uniform(-0.75, 0.75)),
        "mole_y": float(rng.uniform(0.25, 1.45)),
        "glasses": float(rng.random() < 0.18),
        "glasses_round": float(rng.uniform(2.0, 4.0)),
        "ear_size": float(np.clip(rng.normal(0, 0.10), -0.2, 0.2)),
    }
    look.update(_hair_style(rng, male))
    look.update(_beard(rng, male))
    return look


def _color(rgb: np.ndarray) -> tuple[float, float, float]:
    r, g, b = (float(np.clip(c, 0.0, 1.0)) for c in rgb)
    return r, g, b


def _hair_color(rank: float, dark: bool, age: float) -> int:
    weights = np.array(_HAIR_DARK if dark else _HAIR_LIGHT)
    weights[list(_GRAY)] *= 0.2 + 4.0 * age**2
    cumulated = np.cumsum(weights / weights.sum())
    return min(int(np.searchsorted(cumulated, rank)), len(_HAIR) - 1)


def _hair_style(rng: np.random.Generator, male: bool) -> dict[str, float]:
    style = list(HAIR_STYLES)[int(rng.choice(len(HAIR_STYLES), p=_MALE_STYLES if male else _FEMALE_STYLES))]
    recipe = HAIR_STYLES[style]
    look = {key: recipe.get(key, 0.0) for key in _STYLE_KEYS}
    look["hair_on"] = recipe.get("hair_on", 1.0)
    volume = float(rng.uniform(0.7, 1.35))
    look["hair_top"] *= volume
    look["hair_side"] *= volume
    look["hair_long"] = float(look["hair_fall"] > 0)
    if look["hair_long"] and look["hair_fall"] < 3:
        look["hair_fall"] += float(rng.uniform(-0.2, 0.3))
    look["hair_part"] = float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.5))
    look["hair_wave"] = float(rng.uniform(0.0, 1.0)) if look["hair_fall"] else 0.2
    look["hairline"] = float(np.clip(rng.normal(0, 0.07), -0.14, 0.14))
    look["widow_peak"] = float(max(0.0, rng.uniform(-0.6, 1.0)))
    return look


def _beard(rng: np.random.Generator, male: bool) -> dict[str, float]:
    kind = str(rng.choice(list(_BEARDS), p=(0.40, 0.22, 0.10, 0.12, 0.16))) if male else "none"
    names = ("beard_lip", "beard_chin", "beard_jaw", "beard_strip")
    look = dict(zip(names, _BEARDS[kind], strict=True))
    look["beard_line"] = float(rng.uniform(-0.08, 0.08))
    return look
