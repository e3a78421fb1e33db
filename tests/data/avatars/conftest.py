from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fesbench.data.avatars.rendering import AvatarBatch, AvatarSpec, render

SIZE = 128


@pytest.fixture(scope="session")
def acted() -> Callable[..., tuple[AvatarBatch, np.ndarray]]:
    """Render one subject at rest and with action units; gives the batch and the landmarks' displacement."""
    cache: dict[tuple[object, ...], tuple[AvatarBatch, np.ndarray]] = {}

    def act(*units: str, identity: int = 3, intensity: float = 1.0) -> tuple[AvatarBatch, np.ndarray]:
        key = (*units, identity, intensity)
        if key not in cache:
            acting = AvatarSpec(identity, action_units=tuple((unit, intensity) for unit in units))
            batch = render([AvatarSpec(identity), acting], SIZE)
            cache[key] = batch, batch.landmarks[1] - batch.landmarks[0]
        return cache[key]

    return act
