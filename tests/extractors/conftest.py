from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from face_pictures import face_images, face_landmarks
from loopback import Server, serving

from fesbench.extractors.weights import WeightsManager


@pytest.fixture
def faces() -> tuple[np.ndarray, np.ndarray]:
    """12 pictures of 64 px with landmarks."""
    rng = np.random.default_rng(3)
    landmarks = [
        face_landmarks(64, angle=rng.uniform(-0.2, 0.2), shift=tuple(rng.uniform(-4, 4, 2)))
        for _ in range(12)
    ]
    return face_images(12, 64), np.stack(landmarks)


@pytest.fixture
def manager(tmp_path: Path) -> WeightsManager:
    return WeightsManager(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
