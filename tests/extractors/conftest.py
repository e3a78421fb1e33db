from __future__ import annotations

import numpy as np
import pytest

from tests.extractors.drawn_faces import face_images, face_landmarks


@pytest.fixture
def faces() -> tuple[np.ndarray, np.ndarray]:
    """12 images of 64 px with landmarks."""
    rng = np.random.default_rng(3)
    landmarks = [
        face_landmarks(64, angle=rng.uniform(-0.2, 0.2), shift=tuple(rng.uniform(-4, 4, 2)))
        for _ in range(12)
    ]
    return face_images(12, 64), np.stack(landmarks)
