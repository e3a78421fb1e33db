"""What a request for a clip says of how it develops: the label's mean motion, or a driver's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.clips import clip_rows
from fesbench.methods.training_set import image_tensor

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.training_set import TrainingSet

_OUTER_EYES = (36, 45)


def clip_batch(
    batch: RequestBatch, requests: pd.DataFrame, store: AlignedStore, training: TrainingSet
) -> RequestBatch:
    """A batch with what develops over its clips.

    Raises:
        MethodError: a driver is granted and is no clip.
    """
    if batch.given == "driver":
        return _driven(batch, requests, store)
    motion, labels = training.mean_motion(batch.length), batch.target_label.numpy()
    strength = batch.intensity[:, None]
    moved = torch.from_numpy(motion.landmarks[labels]) * strength[..., None, None]
    # a label that no training clip shows moves evenly to where its images lead
    whole = (batch.target_landmarks - batch.source_landmarks)[:, None]
    evenly = whole * torch.linspace(0, 1, batch.length)[:, None, None]
    moved = torch.where(moved.isnan(), evenly, moved)
    return replace(
        batch,
        clip_intensity=torch.from_numpy(motion.intensity[labels]) * strength,
        clip_landmarks=batch.source_landmarks[:, None] + moved,
    )


def _driven(batch: RequestBatch, requests: pd.DataFrame, store: AlignedStore) -> RequestBatch:
    """The driver's clip in place of the label, which is taken away."""
    rows = clip_rows(store.manifest.table, requests["driver"].to_numpy(dtype=np.int64), batch.length)
    if (rows < 0).any():
        name = requests["request"].iloc[int(np.flatnonzero((rows < 0).any(axis=1))[0])]
        raise MethodError(f"request '{name}' grants a driver, and the driver's image is the end of no clip")
    frames = image_tensor(store.images[rows.reshape(-1)])
    points = torch.from_numpy(np.array(store.manifest.landmarks[rows], dtype=np.float32))
    scale = _between_eyes(batch.source_landmarks) / _between_eyes(points[:, 0])
    moved = (points - points[:, :1]) * scale[:, None, None, None]
    nothing = torch.full_like(batch.target_label, -1)
    return replace(
        batch,
        target_label=nothing,
        second_label=nothing,
        target_landmarks=batch.source_landmarks + moved[:, -1],
        target_action_units=torch.full_like(batch.target_action_units, torch.nan),
        clip_intensity=torch.full((len(rows), batch.length), torch.nan),
        clip_landmarks=batch.source_landmarks[:, None] + moved,
        driver=frames.reshape(*rows.shape, *frames.shape[1:]),
        driver_landmarks=points,
    )


def _between_eyes(points: Tensor) -> Tensor:
    """Distance of the outer eye corners: (N, 68, 2) -> (N,)."""
    left, right = _OUTER_EYES
    return (points[:, left] - points[:, right]).norm(dim=-1)
