"""The action-unit regressor: a small network, trained on a protocol's training subjects alone, that measures
how strongly each action unit shows.

It is to action units what the judge is to expressions: known by its recipe in signatures, kept beside the
judge, and measured on real images of subjects it never saw. What it cannot know is a unit by itself where
the training images show only whole expressions, in which units go together; values of it compare methods,
and the row ``real`` shows where its own error lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError
from fesbench.judges.network import JudgeNetwork, TrainedNetwork
from fesbench.judges.stored import Facts

RECIPE_VERSION = "cnn64-au-1"


@dataclass(frozen=True)
class RegressorFacts(Facts):
    """What a regressor's file says about it.

    Attributes:
        units: FACS numbers in the order of its outputs.
        correlations: Pearson's r of measured and coded intensity for each unit, on real held-out images of
            subjects it never saw; None for a unit that does not vary there.
    """

    units: tuple[int, ...]
    correlations: tuple[float | None, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """FACS numbers in the order of its outputs."""
        return self.units

    @property
    def possible(self) -> bool:
        """One or more units, and for each a correlation in [-1, 1] or None, or none at all."""
        return (
            isinstance(self.units, tuple)
            and isinstance(self.correlations, tuple)
            and len(self.units) > 0
            and all(isinstance(unit, int) and unit > 0 for unit in self.units)
            and len(self.correlations) in (0, len(self.units))
            and all(r is None or (isinstance(r, float | int) and -1.0 <= r <= 1.0) for r in self.correlations)
        )


class ActionUnitRegressor(TrainedNetwork[RegressorFacts]):
    """Intensities of action units in [0, 1]; every image is valid."""

    name = "au-regressor"
    title = "action-unit regressor"
    recipe = RECIPE_VERSION
    facts_type = RegressorFacts

    def __init__(self, network: JudgeNetwork, facts: RegressorFacts) -> None:
        super().__init__(network, facts)
        self.classes = tuple(f"AU{unit}" for unit in facts.units)

    @property
    def mean_correlation(self) -> float | None:
        """Mean over units of the correlation on real held-out images; None when not measured."""
        known = [r for r in self.facts.correlations if r is not None]
        return float(np.mean(known)) if known else None

    @staticmethod
    def answers(logits: Tensor) -> Tensor:
        """Intensities in [0, 1], each unit by itself."""
        return torch.sigmoid(logits)

    def measured_on(self, images: np.ndarray, coded: np.ndarray) -> ActionUnitRegressor:
        """The same regressor with its correlations on these real images in its facts.

        Args:
            images: uint8 (N, H, W, 3), of subjects it never saw.
            coded: float (N, units) in [0, 1]; NaN = not coded.

        Raises:
            DataError: no images, or codes that do not fit.
        """
        if len(images) == 0 or coded.shape != (len(images), len(self.facts.units)):
            raise DataError(
                f"an action-unit regressor is measured on images with {len(self.facts.units)} coded units "
                f"each; got {len(images)} images and codes {coded.shape}"
            )
        found = correlations(self.extract(images)[0], coded)
        return ActionUnitRegressor(
            self.network, replace(self.facts, correlations=found, held_out=len(images))
        )


def correlations(measured: np.ndarray, coded: np.ndarray) -> tuple[float | None, ...]:
    """Pearson's r of each column over the rows that are coded; None where either column does not vary."""
    found: list[float | None] = []
    for mine, wanted in zip(measured.T.astype(np.float64), coded.T.astype(np.float64), strict=True):
        known = np.isfinite(wanted)
        varied = known.sum() > 1 and np.ptp(wanted[known]) > 0 and np.ptp(mine[known]) > 0
        found.append(float(np.corrcoef(mine[known], wanted[known])[0, 1]) if varied else None)
    return tuple(found)
