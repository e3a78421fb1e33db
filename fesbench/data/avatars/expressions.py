"""From an expression's name to action units (EMFACS prototypes, with natural variation).

Prototypes follow EMFACS (Friesen and Ekman, 1983); compounds follow table 1 of Du, Tao and Martinez,
"Compound facial expressions of emotion", PNAS 111(15), 2014.
"""

from __future__ import annotations

import functools

import numpy as np

from fesbench.data.avatars.action_units import UNIT_KEYS, vector_of
from fesbench.errors import UsageError
from fesbench.vocabulary import EXPRESSIONS

_Units = tuple[tuple[str, float], ...]

PROTOTYPES: dict[str, _Units] = {
    "neutral": (),
    "anger": (("AU4", 1.0), ("AU5", 0.7), ("AU7", 0.7), ("AU17", 0.2), ("AU23", 0.8), ("AU24", 0.5)),
    "contempt": (("AU7", 0.15), ("AU12R", 0.75), ("AU14R", 1.0)),
    "disgust": (("AU4", 0.25), ("AU6", 0.2), ("AU7", 0.55), ("AU9", 1.0), ("AU10", 0.9), ("AU17", 0.4)),
    "fear": (
        *(("AU1", 1.0), ("AU2", 0.65), ("AU4", 0.6), ("AU5", 0.9)),
        *(("AU20", 0.9), ("AU25", 0.7), ("AU26", 0.35)),
    ),
    "happiness": (("AU6", 0.85), ("AU12", 1.0), ("AU25", 0.7)),
    "sadness": (("AU1", 1.0), ("AU4", 0.45), ("AU15", 1.0), ("AU17", 0.6), ("AU43", 0.3)),
    "surprise": (("AU1", 1.0), ("AU2", 1.0), ("AU5", 0.8), ("AU25", 0.6), ("AU26", 0.6), ("AU27", 0.6)),
}
"""Peak intensities; contempt is written for the image's right side and mirrored for half of the people."""

VARIANTS: dict[str, tuple[tuple[float, str, float], ...]] = {
    "anger": ((0.30, "AU25", 0.35), (0.25, "AU10", 0.25)),
    "contempt": ((0.30, "AU2", 0.25), (0.30, "AU17", 0.20)),
    "disgust": ((0.50, "AU25", 0.60), (0.30, "AU16", 0.40), (0.30, "AU15", 0.30)),
    "fear": ((0.25, "AU27", 0.25),),
    "happiness": ((0.35, "AU26", 0.35), (0.20, "AU1", 0.15), (0.20, "AU2", 0.20)),
    "sadness": ((0.25, "AU25", 0.20), (0.30, "AU6", 0.25), (0.30, "AU20", 0.20)),
    "surprise": ((0.30, "AU27", 0.40),),
}
"""Units that some people add: (probability, unit, gain)."""

COMPOUNDS: dict[str, tuple[str, str]] = {
    "happily_surprised": ("happiness", "surprise"),
    "happily_disgusted": ("happiness", "disgust"),
    "sadly_fearful": ("sadness", "fear"),
    "sadly_angry": ("sadness", "anger"),
    "sadly_surprised": ("sadness", "surprise"),
    "sadly_disgusted": ("sadness", "disgust"),
    "fearfully_angry": ("fear", "anger"),
    "fearfully_surprised": ("fear", "surprise"),
    "angrily_surprised": ("anger", "surprise"),
    "angrily_disgusted": ("anger", "disgust"),
    "disgustedly_surprised": ("disgust", "surprise"),
}
"""CFEE's compound expressions and the two labels that each joins."""

_COMPOUND_UNITS: dict[str, tuple[int, ...]] = {
    "happily_surprised": (1, 2, 12, 25),
    "happily_disgusted": (10, 12, 25),
    "sadly_fearful": (1, 4, 20, 25),
    "sadly_angry": (4, 15),
    "sadly_surprised": (1, 4, 25, 26),
    "sadly_disgusted": (4, 10),
    "fearfully_angry": (4, 20, 25),
    "fearfully_surprised": (1, 2, 5, 20, 25),
    "angrily_surprised": (4, 25, 26),
    "angrily_disgusted": (4, 10, 17),
    "disgustedly_surprised": (1, 2, 5, 10),
}
_STRENGTH = {4: 0.85, 5: 0.8, 17: 0.6, 25: 0.7, 26: 0.8}

_STREAM = 11
_NAMES = (*EXPRESSIONS, *COMPOUNDS)


def compound_units(name: str) -> _Units:
    """A compound's published action units, with the intensities that the avatars give them."""
    return tuple((f"AU{unit}", _STRENGTH.get(unit, 0.9)) for unit in _COMPOUND_UNITS[name])


def check_expression(name: str) -> int:
    """The stable number of an expression or compound.

    Raises:
        UsageError: the name is neither.
    """
    if name not in _NAMES:
        raise UsageError(f"unknown expression '{name}'; the avatars have {', '.join(_NAMES)}.")
    return _NAMES.index(name)


@functools.lru_cache(maxsize=65536)
def _peak(seed: int, identity: int, expression: str) -> tuple[float, ...]:
    rng = np.random.default_rng([_STREAM, seed, identity, check_expression(expression)])
    expressivity = np.random.default_rng([_STREAM, seed, identity]).uniform(0.87, 1.04)
    units = compound_units(expression) if expression in COMPOUNDS else PROTOTYPES[expression]
    vector = vector_of(units)
    for probability, name, gain in VARIANTS.get(expression, ()):
        drawn, strength = rng.random(), rng.uniform(0.6, 1.0)
        if drawn < probability:
            vector = np.clip(vector + gain * strength * (vector_of([(name, 1.0)]) > 0), 0.0, 1.0)
    # One gain a unit and a slight one a side: both sides of a smile stay alike, as they do in people.
    jitter = {key.rstrip("LR"): rng.uniform(0.87, 1.12) for key in UNIT_KEYS}
    slight = rng.uniform(0.94, 1.06, len(UNIT_KEYS))
    gains = np.array([jitter[key.rstrip("LR")] for key in UNIT_KEYS]) * slight
    vector = np.clip(vector * gains * rng.uniform(0.83, 1.0) * expressivity, 0.0, 1.0)
    if expression == "contempt" and rng.random() < 0.5:
        mirrored = [UNIT_KEYS.index(_mirror(key)) for key in UNIT_KEYS]
        vector = vector[mirrored]
    return tuple(float(value) for value in vector)


def _mirror(key: str) -> str:
    return key.translate(str.maketrans("LR", "RL"))


def peak_units(seed: int, identity: int, expression: str) -> np.ndarray:
    """The action units of a person's full expression: float32 (len(UNIT_KEYS),) in [0, 1].

    The same for every take and style: it depends on the three arguments alone.

    Raises:
        UsageError: unknown expression.
    """
    check_expression(expression)
    return np.asarray(_peak(seed, identity, expression), np.float32)
