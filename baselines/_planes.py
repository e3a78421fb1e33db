"""Landmarks as image planes: the lines of a face drawn softly, a plane for each of three groups of parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_JAW, _BROWS = [range(17)], [range(17, 22), range(22, 27)]
_NOSE = [range(27, 31), range(31, 36)]
_EYES = [[*range(36, 42), 36], [*range(42, 48), 42]]
_MOUTH = [[*range(48, 60), 48], [*range(60, 68), 60]]
_GROUPS: tuple[Sequence[Sequence[int]], ...] = ((*_JAW, *_NOSE), (*_BROWS, *_EYES), tuple(_MOUTH))
_SIZE = 128


def landmark_planes(landmarks: Tensor, size: int) -> Tensor:
    """Draw 68 landmarks as three planes: jaw and nose, brows and eyes, mouth.

    Args:
        landmarks: (N, 68, 2) x, y in pixels; must be finite.
        size: side of the planes.

    Returns:
        Float (N, 3, size, size) in [-1, 1]: 1 on a line, falling off over about a 128th of the side.
    """
    axis = torch.arange(size, device=landmarks.device, dtype=landmarks.dtype)
    softness = 2 * (size / _SIZE) ** 2
    return torch.stack(
        [2 * torch.exp(-_squared_distance(landmarks, parts, axis) / softness) - 1 for parts in _GROUPS], dim=1
    )


def _squared_distance(landmarks: Tensor, parts: Sequence[Sequence[int]], axis: Tensor) -> Tensor:
    """Squared distance of every pixel to the nearest segment of some polylines: (N, size, size)."""
    nearest = landmarks.new_full((len(landmarks), len(axis), len(axis)), torch.inf)
    for part in parts:
        for start, end in zip(list(part)[:-1], list(part)[1:], strict=True):
            a, step = landmarks[:, start], landmarks[:, end] - landmarks[:, start]
            dx = (axis - a[:, :1])[:, None, :]
            dy = (axis - a[:, 1:])[:, :, None]
            along, across = step[:, 0, None, None], step[:, 1, None, None]
            share = ((dx * along + dy * across) / (along**2 + across**2).clamp(min=1e-6)).clamp(0, 1)
            found = (dx - share * along).square() + (dy - share * across).square()
            nearest = torch.minimum(nearest, found)
    return nearest
