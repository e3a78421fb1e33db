"""Training the action-unit regressor: one fixed recipe, seeded, the same on one machine for one number of
threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.errors import DataError
from fesbench.judges.action_units import RECIPE_VERSION, ActionUnitRegressor, RegressorFacts
from fesbench.judges.network import JudgeNetwork, to_input
from fesbench.judges.training import JudgeRecipe, augment


@dataclass(frozen=True)
class RegressorRecipe:
    """Everything that the training depends on beside data and seed; a change is a new version.

    Attributes:
        version: of the recipe, in the regressor's signature.
        steps: how many; the same for every amount of data, so that little data is seen more often.
        batch_size: images a step.
        learning_rate: the peak of the one-cycle schedule.
        weight_decay: AdamW's.
        augmentation: strengths of the random changes, the judge's.
    """

    version: str = RECIPE_VERSION
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 2e-2
    augmentation: JudgeRecipe = field(default_factory=JudgeRecipe)


REGRESSOR_RECIPE = RegressorRecipe()


def train_regressor(
    images: np.ndarray,
    coded: np.ndarray,
    *,
    units: Sequence[int],
    seed: int,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    fingerprint: str = "",
    progress: Callable[[int, int], None] | None = None,
    recipe: RegressorRecipe = REGRESSOR_RECIPE,
) -> ActionUnitRegressor:
    """Train a regressor on real images of training subjects, by the cross entropy to the coded levels.

    Args:
        images: uint8 (N, H, W, 3) RGB of any size.
        coded: float (N, units) in [0, 1]; NaN = not coded.
        units: FACS numbers of the columns.
        seed: of initial weights, order and augmentation; global random state is left alone.
        held_out: (images, coded) of subjects that are not in ``images``: the correlations that are reported.
        fingerprint: of the store, kept in the regressor's facts.
        progress: called after each pass over the images with (steps done, steps in all).
        recipe: replaced in tests only.

    Raises:
        DataError: codes that do not fit, or a unit that no image codes.
    """
    coded = np.asarray(coded, dtype=np.float32)
    _check(images, coded, units)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        # Initial weights and dropout draw from torch's global generator.
        torch.manual_seed(seed)
        network = JudgeNetwork(len(units)).train()
        inputs = torch.cat([to_input(images[start : start + 256]) for start in range(0, len(images), 256)])
        _fit(network, inputs, torch.from_numpy(coded), recipe, generator, progress)
    facts = RegressorFacts(
        recipe=recipe.version,
        units=tuple(units),
        correlations=(),
        held_out=0,
        data_fingerprint=fingerprint,
        trained_on=len(images),
        seed=seed,
    )
    made = ActionUnitRegressor(network, facts)
    return made if held_out is None else made.measured_on(*held_out)


def _check(images: np.ndarray, coded: np.ndarray, units: Sequence[int]) -> None:
    if not units or len(set(units)) != len(units):
        raise DataError(f"a regressor measures one or more different action units, not {list(units)}")
    if coded.shape != (len(images), len(units)):
        raise DataError(
            f"a regressor for {len(units)} units is trained on as many codes an image; got {len(images)} "
            f"images and codes {coded.shape}"
        )
    known = np.isfinite(coded)
    if ((coded < 0) | (coded > 1)).any():
        raise DataError("action-unit intensities must lie in [0, 1], NaN where not coded")
    empty = [f"AU{unit}" for unit, some in zip(units, known.any(axis=0), strict=True) if not some]
    if empty:
        raise DataError(f"no training image codes {', '.join(empty)}; leave such units out")


def _fit(
    network: JudgeNetwork,
    inputs: Tensor,
    coded: Tensor,
    recipe: RegressorRecipe,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None,
) -> None:
    batches = max(1, math.ceil(len(inputs) / recipe.batch_size))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    known, wanted = torch.isfinite(coded), torch.nan_to_num(coded)
    for start in range(0, recipe.steps, batches):
        order = torch.randperm(len(inputs), generator=generator)
        # Batches of nearly equal size: BatchNorm cannot train on a remainder of one.
        for rows in order.tensor_split(batches)[: recipe.steps - start]:
            logits = network(augment(inputs[rows], recipe.augmentation, generator))
            # Against levels, not only 0 and 1: its minimum is the level, as the squared error's is, and weak
            # levels weigh more.
            errors = F.binary_cross_entropy_with_logits(logits, wanted[rows], reduction="none")
            coded_ones = known[rows]
            # A batch may hold no coded unit at all.
            loss = (errors * coded_ones).sum() / coded_ones.sum().clamp(min=1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress(min(start + batches, recipe.steps), recipe.steps)
