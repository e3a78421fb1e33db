"""The field's names, in the one fixed order that every file of fesbench uses."""

from __future__ import annotations

from fesbench.errors import DataError

EXPRESSIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""The basic expressions; an expression's index here is its integer label everywhere."""

COMPOUNDS: dict[str, tuple[str, str]] = {
    "happily_surprised": ("happiness", "surprise"),
    "happily_disgusted": ("happiness", "disgust"),
    "sadly_fearful": ("sadness", "fear"),
    "sadly_angry": ("sadness", "anger"),
    "sadly_surprised": ("sadness", "surprise"),
    "sadly_disgusted": ("sadness", "disgust"),
    "fearfully_angry": ("fear", "anger"),
    "fearfully_surprised": ("fear", "surprise"),
    "fearfully_disgusted": ("fear", "disgust"),
    "angrily_surprised": ("anger", "surprise"),
    "angrily_disgusted": ("anger", "disgust"),
    "disgustedly_surprised": ("disgust", "surprise"),
    "appalled": ("disgust", "anger"),
    "hatred": ("anger", "disgust"),
    "awed": ("fear", "surprise"),
}
"""Compound expressions and the two basic ones that they join (Du, Tao, Martinez, PNAS 111(15), 2014)."""

PEAK = 0.9
"""From this intensity on an expression counts as shown at its peak."""

UNKNOWN_IDENTITY = "?"
"""How an identity begins where nobody knows who is shown: "?" and the image's name, one for each image."""

ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43, 45)
"""FACS action units, the columns of every action-unit array; intensities in [0, 1], NaN = not coded."""

N_LANDMARKS = 68
"""iBUG 300-W order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67."""

LANDMARK_MIRROR = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30),
    *(35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48),
    *(59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60),
    *(67, 66, 65),
)
"""``landmarks[:, LANDMARK_MIRROR]`` are the landmarks of a horizontally flipped face (after x -> S-1-x)."""

_ALIASES = {
    "neutral": ("ne", "neu"),
    "anger": ("angry", "an"),
    "contempt": ("contemptuous", "co"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "afraid", "scared", "af"),
    "happiness": ("happy", "joy", "ha"),
    "sadness": ("sad", "sa"),
    "surprise": ("surprised", "su"),
}
_BY_ALIAS = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def canonical_expression(name: str) -> str:
    """Map a data set's spelling ("Happy", "afraid", "AN") to the vocabulary's name.

    Raises:
        DataError: the name is no known expression.
    """
    try:
        return _BY_ALIAS[name.strip().lower()]
    except KeyError:
        raise DataError(
            f"unknown expression '{name}'; known are {', '.join(EXPRESSIONS)} and their usual spellings"
        ) from None


def canonical_label(name: str) -> str:
    """Map a data set's spelling of a basic or compound expression: also "Happily surprised", "sadly-angry".

    Raises:
        DataError: the name is neither.
    """
    compound = "_".join(name.replace("-", " ").replace("_", " ").lower().split())
    return compound if compound in COMPOUNDS else canonical_expression(name)
