"""The recognizers of one cell in one split: their material, their trainings, what they answer.

Every training is written as it is done: those on a method's images into its cell, those that all methods
share (nothing added, and the controls) beside the judge. The same command after a kill takes up what is
there; a changed input is noticed by its hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes
from fesbench.metrics.augmentation import (
    CLASSICAL,
    CONTROLS,
    REAL,
    REPETITION,
    SYNTHETIC,
    Arm,
    Outcomes,
)
from fesbench.protocol.image_index import safe_part
from fesbench.protocol.training_rows import labelled_rows
from fesbench.records.fingerprints import engine_hash, hash_parts
from fesbench.records.record import Cell

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.judges.recognizer import Pool, Recipe

TASK = "augmentation"
FOLDER = "augmentation"
_PART = 256

Progress = Callable[[int, int, str], None]


@dataclass
class Counter:
    """Progress over all trainings of a cell."""

    on_progress: Progress | None
    done: int = 0
    total: int = 0

    def step(self, what: str) -> None:
        """The next training begins."""
        if self.on_progress is not None:
            self.on_progress(self.done, self.total, what)
        self.done += 1


def outcomes_of(
    context: RunContext, cell: Cell, requests: pd.DataFrame, folder: Path, device: str, told: Counter
) -> Outcomes:
    """Train, or find trained, every recognizer that one cell needs, and what each answers on test images.

    Args:
        context: of one split.
        cell: whose images are tried.
        requests: of one domain.
        folder: of the cell.
        device: "cpu" or "cuda".
        told: shown the progress.

    Raises:
        DataError: an image is missing, made from somebody who does not train, or nobody can be tested.
    """
    trial = _Trial(context, requests, folder, device)
    task = _factors(context, str(requests["domain"].iloc[0]))
    possible = [k for k in task if k * len(trial.real) <= len(trial.synthetic)]
    arms: list[Arm] = [(REAL, 0)]
    arms += [(what, k) for k in possible for what in (SYNTHETIC, *CONTROLS)]
    told.total += len(arms) * len(trial.recipe.seeds)
    shared = context.out / cell.folder.parent.parent / FOLDER
    right = {}
    for arm in arms:
        place = folder / FOLDER if arm[0] == SYNTHETIC else shared
        answers = []
        for seed in trial.recipe.seeds:
            told.step(f"{TASK}: {arm[0]}, {arm[1]} for each real one, seed {seed}")
            answers.append(trial.answers(arm, seed, place))
        right[arm] = np.array(answers)
    missing = {k: trial.too_few for k in task if k not in possible}
    settings = trial.recipe.settings() | {"classes": ",".join(trial.classes), "labels": "as-requested"}
    if not len(trial.validation):
        settings["kept"] = "last-step"
    return Outcomes(trial.who, right, missing, settings)


def _factors(context: RunContext, domain: str) -> list[int]:
    run, _ = context.protocol.tasks_under(context.budget)
    return sorted({k for task in run if task.kind == TASK and domain in task.domains for k in task.factors})


class _Trial:
    """The material of one cell's recognizers in one split."""

    def __init__(self, context: RunContext, requests: pd.DataFrame, folder: Path, device: str) -> None:
        from fesbench.judges.recognizer import recipe_for

        self.context, self.device = context, device
        _check_sources(context, requests)
        asked = set(requests["target_expression"])
        self.classes = tuple(label for label in context.protocol.labels if label in asked)
        self.real, self.validation, self.test = (self._pool(s) for s in ("train", "validation", "test"))
        if not len(self.test) or not len(self.real):
            raise DataError(
                f"{context.protocol.name}: task '{TASK}' finds no real image of {', '.join(self.classes)} "
                "to train or test on; leave the task out of the protocol"
            )
        table = context.store.manifest.table
        self.who = table["identity"].to_numpy(dtype=str)[self._rows("test")]
        self.recipe: Recipe = recipe_for(context.budget, len(self.real))
        self.domain = str(requests["domain"].iloc[0])
        self.synthetic = self._synthetic(requests, folder / "images")

    def _rows(self, subset: str) -> np.ndarray:
        rows = labelled_rows(self.context.protocol, self.context.store, self.context.split, subset)
        return rows[self.context.store.manifest.table["expression"].isin(self.classes).to_numpy()[rows]]

    def _pool(self, subset: str) -> Pool:
        from fesbench.judges.recognizer import pool_of

        rows = self._rows(subset)
        names = self.context.store.manifest.table["expression"].to_numpy()[rows]
        return pool_of(self.context.store.images, rows, self._codes(names))

    def _codes(self, names: Any) -> np.ndarray:
        return np.array([self.classes.index(name) for name in names], dtype=np.int64)

    def _synthetic(self, requests: pd.DataFrame, images: Path) -> Pool:
        """Every different image with its label, in an order that has nothing to do with who or what it is,
        so that the first k N of them are a fair choice and those of a smaller k are among them.
        """
        import torch

        from fesbench.judges.recognizer import Pool, pool_of

        digests = [hashlib.sha256(name.encode()).digest() for name in requests["request"]]
        mixed = requests.iloc[sorted(range(len(digests)), key=digests.__getitem__)]
        seen: set[tuple[bytes, str]] = set()
        parts = [pool_of(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for rows, pictures in _decoded(mixed, images, self.context.store.size):
            keys = [
                (hashlib.sha256(picture.tobytes()).digest(), label)
                for picture, label in zip(pictures, rows["target_expression"], strict=True)
            ]
            fresh = [n for n, key in enumerate(keys) if key not in seen and keys.index(key) == n]
            seen |= set(keys)
            labels = self._codes(rows["target_expression"].to_numpy()[fresh])
            parts.append(pool_of(pictures, np.array(fresh, dtype=np.int64), labels))
        return Pool(torch.cat([p.inputs for p in parts]), torch.cat([p.labels for p in parts]))

    @property
    def too_few(self) -> str:
        """Why a larger factor has no figure; rounded down, so that 0.99 is not called 1.0."""
        share = math.floor(10 * len(self.synthetic) / len(self.real)) / 10
        return f"only {share:.1f} synthetic images for each real one"

    def answers(self, arm: Arm, seed: int, place: Path) -> list[bool]:
        """Which test images a recognizer names rightly, from its file where it was trained before."""
        added = None if arm[0] != SYNTHETIC else self.synthetic.first(arm[1] * len(self.real))
        inputs = hash_parts(*self._inputs(), arm, seed, "" if added is None else _digest(added))
        path = place / safe_part(self.domain) / f"{arm[0]}-{arm[1]}-{seed}.json"
        known = _read(path, inputs)
        if known is not None:
            return known
        found = [bool(value) for value in self._train(arm, seed, added)]
        kept = {"inputs": inputs, "right": "".join("01"[value] for value in found)}
        atomic_write_bytes(path, json.dumps(kept).encode())
        return found

    def _train(self, arm: Arm, seed: int, added: Pool | None) -> np.ndarray:
        from fesbench.judges.recognizer import Pool, classical_pool, right, train_recognizer

        if arm[0] == CLASSICAL:
            added = classical_pool(self.real, arm[1], seed)
        elif arm[0] == REPETITION:
            added = Pool(self.real.inputs, self.real.labels, copies=arm[1])
        network = train_recognizer(
            self.real,
            added,
            self.validation,
            classes=len(self.classes),
            seed=seed,
            recipe=self.recipe,
            device=self.device,
        )
        return right(network, self.test, self.device)

    def _inputs(self) -> tuple[object, ...]:
        """What every training depends on beside its arm and seed."""
        code = engine_hash(
            "fesbench.evaluation.augmentation",
            "fesbench.evaluation.augmentation_trials",
            "fesbench.judges.recognizer",
            "fesbench.judges.network",
            "fesbench.judges.training",
        )
        split = self.context.split.hash
        return code, self.context.signature, split, self.classes, self.recipe.settings(), self.device


def _check_sources(context: RunContext, requests: pd.DataFrame) -> None:
    """Training material is made from training subjects alone.

    Raises:
        DataError: a request starts from somebody else.
    """
    sources = requests["source"].to_numpy()
    people = context.store.manifest.table["identity"].to_numpy()[sources[sources >= 0]]
    others = sorted((set(people) | set(requests["identity"])) - context.split.train)
    if others:
        raise DataError(
            f"task '{TASK}' starts from {others[0]}, no training subject of {context.protocol.name}; "
            "write the requests again with 'fesbench protocols requests'"
        )


def _decoded(requests: pd.DataFrame, images: Path, size: int) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """The images of a request table in parts: (rows, uint8 (n, size, size, 3))."""
    from fesbench.evaluation.images import load_images

    for start in range(0, len(requests), _PART):
        rows = requests.iloc[start : start + _PART]
        yield rows, np.asarray(load_images(images, rows, size))


def _digest(pool: Pool) -> str:
    return hashlib.sha256(pool.inputs.numpy().tobytes() + pool.labels.numpy().tobytes()).hexdigest()[:16]


def _read(path: Path, inputs: str) -> list[bool] | None:
    """The answers of an earlier training on the same inputs; None: train."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return [sign == "1" for sign in kept["right"]] if kept.get("inputs") == inputs else None
