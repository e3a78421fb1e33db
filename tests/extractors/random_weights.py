"""Seeded random weights in the key layout of published files, filed where the manager looks for them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE


def serialized(state: Any) -> bytes:
    """What ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def manager_with(home: Path, **states: Any) -> WeightsManager:
    """A manager whose table pins these files; names have underscores for hyphens, bytes stay as they are."""
    table = dict(TABLE)
    manager = WeightsManager(home)
    manager.folder.mkdir(parents=True, exist_ok=True)
    for key, state in states.items():
        name = key.replace("_", "-")
        content = state if isinstance(state, bytes) else serialized(state)
        digest = hashlib.sha256(content).hexdigest()
        table[name] = replace(
            TABLE[name], sha256=digest, bytes=len(content), sha256_prefix="", non_commercial=False
        )
        (manager.folder / table[name].file).write_bytes(content)
    return WeightsManager(home, table)


def trunk_state(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """The convolutions of torchvision's ``alexnet`` or ``vgg16``, under the published keys."""
    from torchvision import models

    with torch.device("meta"):
        features = getattr(models, name)(weights=None).features
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in features.state_dict().items():
        # He's scale keeps the features of every depth alive.
        width = value[0].numel() if value.ndim > 1 else 1
        state[f"features.{key}"] = torch.randn(value.shape, generator=draw) * (
            (2 / width) ** 0.5 if value.ndim > 1 else 0.05
        )
    return state
