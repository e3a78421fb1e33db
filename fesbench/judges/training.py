"""Training judges and the action-unit regressor: fixed recipes, seeded, alike for any number of threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.errors import DataError
from fesbench.judges import action_units, expression
from fesbench.judges.action_units import ActionUnitRegressor, RegressorFacts
from fesbench.judges.expression import Judge, JudgeFacts
from fesbench.judges.network import INPUT, JudgeNetwork, standardize, to_input
from fesbench.judges.panel import JudgePanel
from fesbench.judges.start import begun


@dataclass(frozen=True)
class JudgeRecipe:
    """Everything that the training depends on beside data and seed; a change is a new version.

    Attributes:
        version: of the recipe, in the judge's signature.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: the peak of the one-cycle schedule.
        weight_decay: AdamW's.
        label_smoothing: of the cross entropy.
        shift: largest shift, as a share of the image.
        rotation: largest, in degrees.
        scale: largest relative change.
        contrast: strength of the random tone curve and of the random slope of light.
        soften: probability that an image is blurred to half its resolution or below.
        noise: largest deviation of added noise, in units of the image's own.
    """

    version: str = expression.RECIPE_VERSION
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 6e-3
    weight_decay: float = 2e-2
    label_smoothing: float = 0.0
    shift: float = 0.035
    rotation: float = 5.0
    scale: float = 0.08
    contrast: float = 0.15
    soften: float = 0.3
    noise: float = 0.1


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

    version: str = action_units.RECIPE_VERSION
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 2e-2
    augmentation: JudgeRecipe = field(default_factory=JudgeRecipe)


JUDGE_RECIPE = JudgeRecipe()
REGRESSOR_RECIPE = RegressorRecipe()

TrainingProgress = Callable[[int, int], None]
"""Called after each epoch: a judge's with (epochs done, epochs in all), a regressor's with steps."""


def train_judge(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    label_names: Sequence[str],
    seed: int,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    fingerprint: str = "",
    progress: TrainingProgress | None = None,
    recipe: JudgeRecipe = JUDGE_RECIPE,
    start: JudgePanel | None = None,
) -> Judge:
    """Train a judge on real images of training subjects.

    Args:
        images: uint8 (N, H, W, 3) RGB of any size.
        labels: int (N,), indices into label_names.
        label_names: the classes, in the order of the judge's outputs.
        seed: of initial weights, order and augmentation; global random state is left alone.
        validation: (images, labels) of subjects that are not in ``images``: the accuracy that is reported.
        fingerprint: of the store, kept in the judge's facts.
        progress: called after each epoch.
        recipe: what it is trained by.
        start: judges of which that of the same seed lends it its layers, and the outputs for the classes that
            both know; None: it begins with random weights.

    Raises:
        DataError: labels that do not fit, or a class without an image.
    """
    labels = np.asarray(labels, dtype=np.int64)
    _check_labels(images, labels, label_names)
    wanted = torch.from_numpy(labels)
    epoch = _batches(images, recipe.batch_size)

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return F.cross_entropy(logits, wanted[rows], label_smoothing=recipe.label_smoothing)

    def after_epoch(done: int, _: int) -> None:
        if progress is not None:
            progress(done // epoch, recipe.epochs)

    steps = epoch * recipe.epochs

    def begin(network: JudgeNetwork) -> None:
        if start is not None:
            start.members[seed].lend_to(network, label_names)

    network = _trained(len(label_names), images, loss, recipe, recipe, steps, seed, after_epoch, begin)
    facts = JudgeFacts(
        recipe=begun(recipe.version, start),
        classes=tuple(label_names),
        accuracy=None,
        held_out=0,
        data_fingerprint=fingerprint,
        trained_on=len(images),
        seed=seed,
    )
    judge = Judge(network, facts)
    return judge if validation is None else judge.measured_on(*validation)


def train_regressor(
    images: np.ndarray,
    coded: np.ndarray,
    *,
    units: Sequence[int],
    seed: int,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    fingerprint: str = "",
    progress: TrainingProgress | None = None,
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
    _check_codes(images, coded, units)
    levels = torch.from_numpy(coded)
    known, wanted = torch.isfinite(levels), torch.nan_to_num(levels)

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        # Against levels, not only 0 and 1: its minimum is the level, as the squared error's is, and weak
        # levels weigh more.
        errors = F.binary_cross_entropy_with_logits(logits, wanted[rows], reduction="none")
        coded_ones = known[rows]
        # A batch may hold no coded unit at all.
        return (errors * coded_ones).sum() / coded_ones.sum().clamp(min=1)

    network = _trained(len(units), images, loss, recipe, recipe.augmentation, recipe.steps, seed, progress)
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


def _check_labels(images: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    if len(images) != len(labels):
        raise DataError(f"a judge is trained on labelled images; got {len(images)} and {len(labels)} labels")
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError(f"a judge tells two or more different classes apart, not {list(names)}")
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(names)):
        raise DataError(f"labels must be indices into the {len(names)} classes {list(names)}")
    counts = np.bincount(labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if empty:
        raise DataError(f"no training image shows {', '.join(empty)}; leave such classes out of the judge")


def _check_codes(images: np.ndarray, coded: np.ndarray, units: Sequence[int]) -> None:
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


def _batches(images: np.ndarray, size: int) -> int:
    """Steps of one pass over the images."""
    return max(1, math.ceil(len(images) / size))


def _trained(
    outputs: int,
    images: np.ndarray,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    recipe: JudgeRecipe | RegressorRecipe,
    augmentation: JudgeRecipe,
    steps: int,
    seed: int,
    progress: TrainingProgress | None,
    begin: Callable[[JudgeNetwork], None] = lambda network: None,
) -> JudgeNetwork:
    """A network after ``steps`` steps.

    Args:
        outputs: how many it has.
        images: uint8 (N, H, W, 3) RGB of any size.
        loss_of: (logits (B, outputs), rows (B,) of the images) -> the loss of a batch.
        recipe: gives batch size, learning rate and weight decay.
        augmentation: strengths of the random changes.
        steps: in all; the last pass over the images may be a part of one.
        seed: of initial weights, order and augmentation; global random state is left alone.
        progress: called after each pass over the images with (steps done, steps in all).
        begin: gives the network other initial weights than those of the seed.
    """
    generator = torch.Generator().manual_seed(seed)
    with one_thread(), torch.random.fork_rng(devices=[]):
        # Initial weights and dropout draw from torch's global generator.
        torch.manual_seed(seed)
        network = JudgeNetwork(outputs).train()
        begin(network)
        # Made in parts: float32 (N, 1, 64, 64), 16 kB an image.
        inputs = torch.cat([to_input(images[start : start + 256]) for start in range(0, len(images), 256)])
        batches = _batches(images, recipe.batch_size)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
        for start in range(0, steps, batches):
            order = torch.randperm(len(inputs), generator=generator)
            # Batches of nearly equal size: BatchNorm cannot train on a remainder of one.
            for rows in order.tensor_split(batches)[: steps - start]:
                loss = loss_of(network(augment(inputs[rows], augmentation, generator)), rows)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
            if progress is not None:
                progress(min(start + batches, steps), steps)
    return network


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums over several are added in another order, and weights come out otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def augment(batch: Tensor, recipe: JudgeRecipe, generator: torch.Generator) -> Tensor:
    """Random flips, placements, light, softness and noise, each image its own; the labels stay.

    Args:
        batch: float32 (B, 1, 64, 64), standardized.
        recipe: the strengths.
        generator: of every draw.

    Returns:
        float32 (B, 1, 64, 64), standardized again.
    """
    count = len(batch)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    angle = uniform(count) * math.radians(recipe.rotation)
    scale = 1 + uniform(count) * recipe.scale
    mirror = torch.where(uniform(count) < 0, -1.0, 1.0)
    shift = uniform(count, 2) * recipe.shift * 2
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
        torch.stack([sin * mirror, cos, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(batch.shape), align_corners=False)
    moved = F.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    # Light: a tone curve (bent or stretched contrast) and a slope across the face.
    ramp = torch.linspace(-1, 1, INPUT)
    slope = uniform(count, 2)[:, :, None, None] * recipe.contrast
    bend = uniform(count, 1, 1, 1) * recipe.contrast * 0.5
    lit = moved + bend * (moved.square() - 1).clamp(max=3.0)
    lit = lit + slope[:, :1] * ramp[None, None, None, :] + slope[:, 1:] * ramp[None, None, :, None]

    # Softness of resampled and generated images: through a smaller image and back.
    small = int(torch.randint(24, 49, (), generator=generator))
    soft = F.interpolate(lit, (small, small), mode="bilinear", antialias=True, align_corners=False)
    soft = F.interpolate(soft, (INPUT, INPUT), mode="bilinear", align_corners=False)
    chosen = (torch.rand(count, 1, 1, 1, generator=generator) < recipe.soften).float()
    lit = lit + chosen * (soft - lit)

    strength = torch.rand(count, 1, 1, 1, generator=generator) * recipe.noise
    return standardize(lit + strength * torch.randn(lit.shape, generator=generator))
