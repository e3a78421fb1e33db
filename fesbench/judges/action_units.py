"""The action-unit regressor: a small network, trained on a protocol's training subjects alone, that measures
how strongly each action unit shows.

It is to action units what the judge is to expressions: known by its recipe in signatures, kept beside the
judge, and measured on real images of subjects it never saw. What it cannot know is a unit by itself where
the training images show only whole expressions, in which units go together; figures of it compare methods,
and the row ``real`` shows where its own error lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError, WeightsError
from fesbench.judges.network import (
    FrozenNetwork,
    JudgeNetwork,
    filled_network,
    read_safetensors,
    write_network,
)

NAME = "au-regressor"
RECIPE_VERSION = "cnn64-au-1"


@dataclass(frozen=True)
class RegressorFacts:
    """What a regressor's file says about it.

    Attributes:
        recipe: version of network, input and training recipe.
        units: FACS numbers in the order of its outputs.
        correlations: Pearson's r of measured and coded intensity for each unit, on real held-out images of
            subjects it never saw; None for a unit that does not vary there.
        held_out: how many images those were.
        data_fingerprint: of the store that it was trained on, or "".
        trained_on: number of training images.
        seed: of the training.
    """

    recipe: str
    units: tuple[int, ...]
    correlations: tuple[float | None, ...]
    held_out: int
    data_fingerprint: str
    trained_on: int
    seed: int


class ActionUnitRegressor(FrozenNetwork):
    """Intensities of action units in [0, 1]; every image is valid."""

    name = NAME

    def __init__(self, network: JudgeNetwork, facts: RegressorFacts) -> None:
        super().__init__(network, tuple(f"AU{unit}" for unit in facts.units))
        self.facts = facts

    @property
    def mean_correlation(self) -> float | None:
        """Mean over units of the correlation on real held-out images; None when not measured."""
        known = [r for r in self.facts.correlations if r is not None]
        return float(np.mean(known)) if known else None

    @property
    def signature(self) -> str:
        """Recipe and units; not the weights."""
        return f"{self.name}:{self.facts.recipe}:{','.join(str(unit) for unit in self.facts.units)}"

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

    def save(self, path: Path) -> None:
        """One safetensors file with the facts in its header, written atomically."""
        write_network(path, self.network, {NAME: json.dumps(asdict(self.facts), sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> ActionUnitRegressor:
        """Read and check a regressor's file.

        Raises:
            WeightsError: absent, not safetensors (pickles are never opened), incomplete, of another recipe.
        """
        what = f"action-unit regressor {path}"
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise WeightsError(f"{what} cannot be read ({error.strerror}); train it again") from None
        state, metadata = read_safetensors(raw, what)
        facts = _facts(metadata, what)
        return cls(filled_network(state, len(facts.units), what, RECIPE_VERSION), facts)


def correlations(measured: np.ndarray, coded: np.ndarray) -> tuple[float | None, ...]:
    """Pearson's r of each column over the rows that are coded; None where either side does not vary."""
    found: list[float | None] = []
    for mine, true in zip(measured.T.astype(np.float64), coded.T.astype(np.float64), strict=True):
        known = np.isfinite(true)
        varied = known.sum() > 1 and np.ptp(true[known]) > 0 and np.ptp(mine[known]) > 0
        found.append(float(np.corrcoef(mine[known], true[known])[0, 1]) if varied else None)
    return tuple(found)


def _facts(metadata: Mapping[str, str], what: str) -> RegressorFacts:
    try:
        read: dict[str, Any] = json.loads(metadata[NAME])
        units, found = tuple(read["units"]), tuple(read["correlations"])
        facts = RegressorFacts(**{**read, "units": units, "correlations": found})
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{what} lacks its facts; train it again") from None
    if facts.recipe != RECIPE_VERSION:
        raise WeightsError(
            f"{what} is of recipe {facts.recipe}, this version uses {RECIPE_VERSION}; train it again"
        )
    units_ok = len(facts.units) > 0 and all(isinstance(unit, int) and unit > 0 for unit in facts.units)
    found_ok = len(facts.correlations) in (0, len(facts.units)) and all(
        r is None or (isinstance(r, float | int) and -1.0 <= r <= 1.0) for r in facts.correlations
    )
    if not (units_ok and found_ok):
        raise WeightsError(f"{what} states impossible facts; train it again")
    return facts
