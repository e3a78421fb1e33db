"""FACS action units of the face model: names, sides, and the vector that drives the geometry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import UsageError
from fesbench.vocabulary import ACTION_UNITS

SIDED_UNITS = (1, 2, 4, 5, 6, 7, 12, 14, 15, 43)
"""Units that may act on one side of the face alone; L and R are the sides of the *image*."""

UNIT_KEYS = tuple(
    key
    for unit in ACTION_UNITS
    for key in ((f"{unit}L", f"{unit}R") if unit in SIDED_UNITS else (str(unit),))
)
"""The model's columns: "1L", "1R", ..., "9", ..."""

_COLUMN = {key: column for column, key in enumerate(UNIT_KEYS)}
_NAME = re.compile(r"^AU(\d+)([LR]?)$")


class Sided(NamedTuple):
    """A quantity that differs between the two sides of the image; each (B, 1, 1)."""

    left: Tensor
    right: Tensor

    def at(self, rightness: Tensor | float) -> Tensor:
        """The value where ``rightness`` is 0 (image left) ... 1 (image right)."""
        return self.left + (self.right - self.left) * rightness

    @property
    def mean(self) -> Tensor:
        """The mean of both sides."""
        return (self.left + self.right) / 2


def keys_of(name: str) -> tuple[str, ...]:
    """The model's columns that a name such as ``AU12``, ``AU12L`` or ``AU9`` drives.

    Raises:
        UsageError: not an action unit of the model, or a side on a unit that has none.
    """
    match = _NAME.match(name)
    if match is None or int(match[1]) not in ACTION_UNITS:
        known = ", ".join(f"AU{unit}" for unit in ACTION_UNITS)
        raise UsageError(
            f"unknown action unit '{name}'; the avatars have {known}, some with a side as in AU12L."
        )
    unit, side = int(match[1]), match[2]
    if unit not in SIDED_UNITS:
        if side:
            raise UsageError(f"action unit '{name}' has no sides; write AU{unit}.")
        return (str(unit),)
    return (f"{unit}{side}",) if side else (f"{unit}L", f"{unit}R")


def vector_of(units: Mapping[str, float] | Iterable[tuple[str, float]]) -> np.ndarray:
    """A vector over :data:`UNIT_KEYS` from named intensities; a later entry overrides an earlier one.

    Raises:
        UsageError: an unknown name, or an intensity outside [0, 1].
    """
    vector = np.zeros(len(UNIT_KEYS), np.float32)
    for name, value in units.items() if isinstance(units, Mapping) else units:
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"intensity {value} of action unit '{name}' is outside 0..1.")
        for key in keys_of(name):
            vector[_COLUMN[key]] = value
    return vector


def unsided(vectors: np.ndarray) -> np.ndarray:
    """(N, model columns) -> float32 (N, len(ACTION_UNITS)): the stronger side of each unit.

    The model has every unit of the vocabulary, so no entry is NaN: 0 means absent.
    """
    columns = [
        vectors[:, [_COLUMN[key] for key in keys_of(f"AU{unit}")]].max(axis=1) for unit in ACTION_UNITS
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Activation:
    """The action units of a batch, read by unit number.

    Attributes:
        vectors: float32 (B, len(UNIT_KEYS)) in [0, 1].
    """

    vectors: Tensor

    def _column(self, key: str) -> Tensor:
        return self.vectors[:, _COLUMN[key]][:, None, None]

    def unit(self, number: int) -> Tensor:
        """Intensity (B, 1, 1) of a unit; the mean of its sides where it has two."""
        if number in SIDED_UNITS:
            return self.sided(number).mean
        return self._column(str(number))

    def sided(self, number: int) -> Sided:
        """Intensities of a unit's two sides."""
        return Sided(self._column(f"{number}L"), self._column(f"{number}R"))

    def closure(self) -> Sided:
        """How far each eye is closed: AU43, or AU45 (a blink, on both sides)."""
        eyes, blink = self.sided(43), self.unit(45)
        return Sided(torch.maximum(eyes.left, blink), torch.maximum(eyes.right, blink))
