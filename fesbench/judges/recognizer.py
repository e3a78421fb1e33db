"""The recognizer of the augmentation task: the judge's network, trained for a fixed number of steps.

What differs from the judge's training is what the task must hold fixed: the number of optimizer steps does
not depend on how many images there are, every batch mixes real and added images one to one, the random
flips and distortions are a control of their own instead of a part of every training, and the step that is
kept is chosen on validation subjects.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.judges.expression import RECIPE_VERSION
from fesbench.judges.network import JudgeNetwork, to_input
from fesbench.judges.training import JUDGE_RECIPE, augment
from fesbench.protocol.budget import parse_budget

_CHUNK = 256
SMOKE_STEPS = 30
SMOKE_SEEDS = 2


@dataclass(frozen=True)
class Recipe:
    """How every recognizer of one comparison is trained.

    Attributes:
        steps: optimizer steps, the same for every factor and control.
        seeds: of initial weights and order; the same seeds for every factor, so that differences are paired.
        batch_size: images a step; half of them are added ones where there are any.
        checks: how often the accuracy on validation subjects is read; the best of them is kept.
    """

    steps: int
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    batch_size: int = JUDGE_RECIPE.batch_size
    checks: int = 10

    def settings(self) -> dict[str, str]:
        """Every setting, as it stands in signatures."""
        half = self.batch_size // 2
        return {
            "recipe": f"{RECIPE_VERSION}-plain",
            "steps": str(self.steps),
            "batch": f"{half}real+{half}added",
            "seeds": ",".join(map(str, self.seeds)),
            "kept": f"best-of-{self.checks}-on-validation",
        }


def recipe_for(budget: str, real: int) -> Recipe:
    """The recipe under a budget: as many steps as show each real image as often as the judge sees it.

    ``smoke`` takes few steps and two seeds; ``steps=N`` takes N steps at most.

    Args:
        budget: such as "standard".
        real: number of real training images.
    """
    steps = JUDGE_RECIPE.epochs * math.ceil(real / (JUDGE_RECIPE.batch_size // 2))
    if budget == "smoke":
        return Recipe(min(steps, SMOKE_STEPS), seeds=tuple(range(SMOKE_SEEDS)))
    return Recipe(min(steps, parse_budget(budget).steps or steps))


@dataclass(frozen=True)
class Pool:
    """Images to draw from: float16 inputs (N, 1, 64, 64), standardized, and int64 labels (N,).

    ``copies`` > 1 stands for that many copies of each without holding them.
    """

    inputs: Tensor
    labels: Tensor
    copies: int = 1

    def __len__(self) -> int:
        return len(self.inputs) * self.copies

    def first(self, count: int) -> Pool:
        """The first images alone."""
        return Pool(self.inputs[:count], self.labels[:count])

    def batch(self, rows: Tensor, device: str) -> tuple[Tensor, Tensor]:
        """Inputs float32 and labels of some rows in [0, len)."""
        chosen = rows % len(self.inputs)
        return self.inputs[chosen].to(device).float(), self.labels[chosen].to(device)


def pool_of(images: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> Pool:
    """Some rows of a store as a pool, read in parts: 8 kB an image.

    Args:
        images: uint8 (M, H, W, 3).
        rows: int (N,).
        labels: int (N,).
    """
    parts = [to_input(images[rows[i : i + _CHUNK]]).half() for i in range(0, len(rows), _CHUNK)]
    empty = torch.zeros(0, 1, 64, 64, dtype=torch.float16)
    return Pool(torch.cat(parts) if parts else empty, torch.from_numpy(labels.astype(np.int64)))


def classical_pool(real: Pool, factor: int, seed: int) -> Pool:
    """``factor`` flipped, moved, scaled and relit variants of each real image, by the judge's recipe."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        augment(real.inputs[i : i + _CHUNK].float(), JUDGE_RECIPE, generator).half()
        for _ in range(factor)
        for i in range(0, len(real.inputs), _CHUNK)
    ]
    return Pool(torch.cat(parts), real.labels.repeat(factor))


def train_recognizer(
    real: Pool,
    added: Pool | None,
    validation: Pool,
    *,
    classes: int,
    seed: int,
    recipe: Recipe,
    device: str = "cpu",
) -> JudgeNetwork:
    """One recognizer, as it was at the check with the highest accuracy on validation subjects (the first of
    equals); at its last step where there are no validation images.

    Args:
        real: real images of training subjects.
        added: the images that are added, or None; then whole batches are real.
        validation: real images of validation subjects.
        classes: number of classes.
        seed: of initial weights, dropout and order; global random state is left alone.
        recipe: steps, batch and checks.
        device: "cpu" or "cuda".
    """
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        network = JudgeNetwork(classes).to(device).train()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=JUDGE_RECIPE.learning_rate, weight_decay=JUDGE_RECIPE.weight_decay
        )
        # a schedule of one step has no slope
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, JUDGE_RECIPE.learning_rate, total_steps=max(2, recipe.steps)
        )
        best, kept = -1.0, None
        checks = {math.ceil(recipe.steps * k / recipe.checks) for k in range(1, recipe.checks + 1)}
        for step, (inputs, labels) in enumerate(_batches(real, added, recipe, seed, device), start=1):
            loss = F.cross_entropy(network(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step in checks and len(validation):
                accuracy = float(right(network, validation, device).mean())
                if accuracy > best:
                    best, kept = accuracy, copy.deepcopy(network.state_dict())
    if kept is not None:
        network.load_state_dict(kept)
    return network.eval()


def _batches(
    real: Pool, added: Pool | None, recipe: Recipe, seed: int, device: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch a step: half real and half added, or all real."""
    each = recipe.batch_size if added is None else recipe.batch_size // 2
    streams = [(real, _stream(len(real), each, 2 * seed))]
    if added is not None:
        streams.append((added, _stream(len(added), each, 2 * seed + 1)))
    for _ in range(recipe.steps):
        parts = [pool.batch(next(rows), device) for pool, rows in streams]
        yield torch.cat([inputs for inputs, _ in parts]), torch.cat([labels for _, labels in parts])


def _stream(count: int, each: int, seed: int) -> Iterator[Tensor]:
    """Endless draws of ``each`` rows; every row comes once before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.zeros(0, dtype=torch.int64)
    while True:
        while len(left) < each:
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        yield left[:each]
        left = left[each:]


def right(network: JudgeNetwork, pool: Pool, device: str) -> np.ndarray:
    """Whether each image of a pool is named rightly, by the mean answer for it and its mirror image as
    with the judge: bool (N,).
    """
    training = network.training
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(pool), _CHUNK):
            inputs, labels = pool.batch(torch.arange(start, min(start + _CHUNK, len(pool))), device)
            both = torch.softmax(network(torch.cat([inputs, inputs.flip(-1)])), dim=1)
            answer = both.view(2, len(inputs), -1).mean(dim=0).argmax(dim=1)
            found.append((answer == labels).cpu().numpy())
    network.train(training)
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)
