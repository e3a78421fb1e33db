"""Images and landmarks that look enough like faces for the plumbing."""

from __future__ import annotations

import numpy as np

# Eyes, nose and mouth of an upright face in a 100 px image; the other points lie near them.
_ANCHORS = {
    range(17): (50, 75),
    range(17, 22): (35, 32),
    range(22, 27): (65, 32),
    range(27, 31): (50, 50),
    range(31, 36): (50, 60),
    range(36, 42): (37, 40),
    range(42, 48): (63, 40),
    range(48, 68): (50, 72),
}
_WIDTHS = {
    range(17): (32, 18),
    range(17, 22): (9, 2),
    range(22, 27): (9, 2),
    range(27, 31): (0.5, 9),
    range(31, 36): (6, 1),
    range(36, 42): (6, 2),
    range(42, 48): (6, 2),
    range(48, 68): (12, 4),
}


def face_landmarks(size: int, *, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """68 plausible landmarks of an upright face, float32 (68, 2)."""
    points = np.zeros((68, 2))
    for rows, center in _ANCHORS.items():
        turn = np.linspace(np.pi, 3 * np.pi, len(rows), endpoint=False)
        if len(rows) in (4, 5, 17):
            turn = np.linspace(np.pi, 0, len(rows))
        offsets = np.stack([np.cos(turn), np.sin(turn)], axis=1) * _WIDTHS[rows]
        points[list(rows)] = np.array(center) + offsets
    c, s = np.cos(angle), np.sin(angle)
    turned = (points - 50) @ np.array([[c, s], [-s, c]]) + 50 + np.array(shift)
    return (turned * size / 100).astype(np.float32)


def face_images(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Soft random color images: no faces, but what a network sees differs from one to the next."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3))
    repeated = coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)
    noise = rng.integers(-20, 21, repeated.shape)
    return np.clip(repeated + noise, 0, 255).astype(np.uint8)
