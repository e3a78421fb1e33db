"""From request rows to what a method receives: source, and the target as far as the task grants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.clip_conditions import clip_batch
from fesbench.methods.task_kinds import TASKS
from fesbench.methods.training_set import image_tensor
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.card import Problem
    from fesbench.methods.training_set import TrainingSet


def request_batch(
    requests: pd.DataFrame, store: AlignedStore, training: TrainingSet, problem: Problem
) -> RequestBatch:
    """The batch of some rows of a request table, all of one task, ``given`` and length.

    The column ``target`` is never read. ``target_landmarks`` and ``target_action_units`` come from the driver
    where the task grants them; else they are made from the label: the source's landmarks plus the label's
    mean displacement over the training subjects, and the label's mean action units, both scaled by intensity.
    A compound takes the mean of its labels' displacements and the stronger of their action units. Under
    ``action-unit`` the source's action units are kept but for the one that is asked for. Under ``random``
    there is no source: it is mid-gray, and its landmarks and action units are NaN. Where clips are asked for,
    the batch says how the label, or the driver that is granted, develops over them.

    Raises:
        MethodError: a label that the problem does not have, or a granted driver that is missing.
    """
    given, task = str(requests["given"].iloc[0]), str(requests["task"].iloc[0])
    batch = _from_labels(
        store,
        training,
        problem,
        sources=requests["source"].to_numpy(dtype=np.int64),
        source_labels=[_index(problem, name, "") for name in requests["source_expression"]],
        labels=[
            _index(problem, name, request if name else "")
            for name, request in zip(requests["target_expression"], requests["request"], strict=True)
        ],
        second=[_index(problem, name, "") for name in requests["second_expression"]],
        intensity=requests["intensity"].to_numpy(dtype=np.float32),
        noise_seed=requests["noise_seed"].to_numpy(dtype=np.int64),
        given=given,
        task=task,
        length=int(requests["length"].iloc[0]) if "length" in requests else 1,
    )
    if TASKS.get(task).outputs == "clip":
        return clip_batch(batch, requests, store, training)
    if "action_unit" in requests and requests["action_unit"].iloc[0] > 0:
        return _one_unit(batch, problem, requests)
    if given == "label":
        return batch
    drivers = requests["driver"].to_numpy(dtype=np.int64)
    if (drivers < 0).any():
        name = requests["request"].iloc[int(np.flatnonzero(drivers < 0)[0])]
        raise MethodError(f"request '{name}' grants {given} but names no driver image")
    return _from_drivers(batch, store, problem, drivers)


def label_requests(training: TrainingSet, sources: np.ndarray, labels: Sequence[int]) -> RequestBatch:
    """Requests for every label from each source row of the training set's store, source by source."""
    count = len(labels)
    rows = np.repeat(np.asarray(sources, dtype=np.int64), count)
    return _from_labels(
        training.store,
        training,
        training.problem,
        sources=rows,
        source_labels=[training.problem.neutral] * len(rows),
        labels=list(labels) * len(sources),
        second=[-1] * len(rows),
        intensity=np.ones(len(rows), dtype=np.float32),
        noise_seed=np.arange(len(rows), dtype=np.int64),
        given="label",
        task="expression",
    )


def _from_labels(
    store: AlignedStore,
    training: TrainingSet,
    problem: Problem,
    *,
    sources: np.ndarray,
    source_labels: Sequence[int],
    labels: Sequence[int],
    second: Sequence[int],
    intensity: np.ndarray,
    noise_seed: np.ndarray,
    given: str,
    task: str,
    length: int = 1,
) -> RequestBatch:
    first, other = np.array(labels, dtype=np.int64), np.array(second, dtype=np.int64)
    columns = [ACTION_UNITS.index(unit) for unit in problem.action_units]
    none, unlabelled = sources < 0, first < 0
    rows = np.maximum(sources, 0)
    images = image_tensor(store.images[rows])
    images[torch.from_numpy(none)] = 0.0
    landmarks = np.array(store.manifest.landmarks[rows], dtype=np.float32)
    units = np.array(store.manifest.action_units[rows][:, columns], dtype=np.float32)
    landmarks[none], units[none] = np.nan, np.nan
    moved = _of_label(training.mean_landmark_displacement, first, 0.0)
    wanted = _of_label(training.mean_action_units, first, 0.0)
    wanted[unlabelled] = np.nan_to_num(units[unlabelled])
    mixed = other >= 0
    if mixed.any():
        moved[mixed] = (moved[mixed] + training.mean_landmark_displacement[other[mixed]]) / 2
        wanted[mixed] = np.maximum(wanted[mixed], training.mean_action_units[other[mixed]])
    present = np.nan_to_num(units)
    return RequestBatch(
        source=images,
        source_label=torch.tensor(source_labels, dtype=torch.int64),
        source_landmarks=torch.from_numpy(landmarks),
        source_action_units=torch.from_numpy(units),
        target_label=torch.from_numpy(first),
        second_label=torch.from_numpy(other),
        target_action_units=torch.from_numpy(present + intensity[:, None] * (wanted - present)),
        target_landmarks=torch.from_numpy(landmarks + intensity[:, None, None] * moved),
        intensity=torch.tensor(intensity),
        noise_seed=torch.tensor(noise_seed),
        given=given,
        task=task,
        length=length,
    )


def _of_label(means: np.ndarray, labels: np.ndarray, otherwise: float) -> np.ndarray:
    """Each label's row of a table; ``otherwise`` where there is no label."""
    found = np.full((len(labels), *means.shape[1:]), otherwise, dtype=np.float32)
    found[labels >= 0] = means[labels[labels >= 0]]
    return found


def _one_unit(batch: RequestBatch, problem: Problem, requests: pd.DataFrame) -> RequestBatch:
    """The source's action units with the requested one set to the requested level."""
    from dataclasses import replace

    wanted = torch.nan_to_num(batch.source_action_units)
    for row, (unit, level) in enumerate(zip(requests["action_unit"], requests["intensity"], strict=True)):
        if unit not in problem.action_units:
            raise MethodError(
                f"request '{requests['request'].iloc[row]}' asks for AU{unit}, which no training image codes"
            )
        wanted[row, problem.action_units.index(unit)] = float(level)
    return replace(batch, target_action_units=wanted)


def _from_drivers(
    batch: RequestBatch, store: AlignedStore, problem: Problem, drivers: np.ndarray
) -> RequestBatch:
    """Take the granted landmarks or action units from the drivers, and the label away."""
    from dataclasses import replace

    columns = [ACTION_UNITS.index(unit) for unit in problem.action_units]
    nothing = torch.full_like(batch.target_label, -1)
    unknown_units = torch.full_like(batch.target_action_units, torch.nan)
    unknown_landmarks = torch.full_like(batch.target_landmarks, torch.nan)
    landmarks = torch.from_numpy(np.asarray(store.manifest.landmarks[drivers], dtype=np.float32))
    units = torch.from_numpy(np.asarray(store.manifest.action_units[drivers][:, columns], dtype=np.float32))
    return replace(
        batch,
        target_label=nothing,
        second_label=nothing,
        target_landmarks=landmarks if batch.given == "landmarks" else unknown_landmarks,
        target_action_units=units if batch.given == "action_units" else unknown_units,
    )


def _index(problem: Problem, name: str, request: str) -> int:
    if name in problem.labels:
        return problem.labels.index(name)
    if request:
        raise MethodError(
            f"request '{request}' asks for '{name}', which is not among {', '.join(problem.labels)}"
        )
    return -1
