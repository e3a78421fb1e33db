"""Landmarks as image planes, at any size: the lines of a face, a heat map a landmark, the parts of a face."""

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

PARSING = (
    "background",
    "face",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "nose",
    "upper_lip",
    "lower_lip",
    "mouth",
)
"""The planes of :func:`parsing_planes`; left and right as the image shows them, the mouth is its interior."""

_OUTLINES: dict[str, Sequence[int]] = {
    "face": (*range(17), *range(26, 16, -1)),
    "left_eye": range(36, 42),
    "right_eye": range(42, 48),
    "nose": (27, *range(31, 36)),
    "upper_lip": (*range(48, 55), *range(64, 59, -1)),
    "lower_lip": (*range(54, 60), 48, 60, *range(67, 63, -1)),
    "mouth": range(60, 68),
}
_BROW = 0.05
"""Half the height of a brow, in distances between the outer corners of the eyes; at least half a pixel."""


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


def heat_maps(landmarks: Tensor, size: int, sigma: float) -> Tensor:
    """A Gaussian around every landmark.

    Args:
        landmarks: float (N, K, 2) x, y in pixels, 0 = center of the first pixel; NaN = unknown.
        size: side of the maps.
        sigma: of the Gaussian, in pixels.

    Returns:
        Float (N, K, size, size) in [0, 1], 1 at the landmark; 0 throughout where it is unknown.
    """
    axis = torch.arange(size, device=landmarks.device, dtype=landmarks.dtype)
    along = torch.exp((axis - landmarks[..., None]).square() / (-2 * sigma**2))
    maps = along[..., 1, :, None] * along[..., 0, None, :]
    return torch.where(landmarks.isfinite().all(dim=-1)[..., None, None], maps, 0.0)


def parsing_planes(landmarks: Tensor, size: int) -> Tensor:
    """The parts of a face, each pixel in one of them, as the outlines of the landmarks give them.

    The face ends at jaw and brows, for the forehead has no landmarks; later parts of `PARSING` cover earlier.

    Args:
        landmarks: float (N, 68, 2) x, y in pixels, 0 = center of the first pixel; NaN = unknown.
        size: side of the planes.

    Returns:
        Float (N, 10, size, size), 0 or 1, the planes of `PARSING`; 0 throughout for a face with an unknown
        landmark.
    """
    axis = torch.arange(size, device=landmarks.device, dtype=landmarks.dtype)
    apart = (landmarks[:, 45] - landmarks[:, 36]).norm(dim=-1)
    reach = (_BROW * apart).clamp(min=0.5).square()[:, None, None]
    part = torch.zeros((len(landmarks), size, size), dtype=torch.int64, device=landmarks.device)
    for code, name in enumerate(PARSING[1:], start=1):
        if name in _OUTLINES:
            covered = _inside(landmarks[:, list(_OUTLINES[name])], axis)
        else:
            brow = _BROWS[name == "right_brow"]
            covered = _squared_distance(landmarks, [brow], axis) <= reach
        part = torch.where(covered, code, part)
    planes = (part[:, None] == torch.arange(len(PARSING), device=part.device)[:, None, None]).to(landmarks)
    return torch.where(landmarks.isfinite().all(dim=(1, 2))[:, None, None, None], planes, 0.0)


def _inside(corners: Tensor, axis: Tensor) -> Tensor:
    """Which pixels lie inside closed outlines (N, V, 2), by the even-odd rule: bool (N, size, size)."""
    x, y = axis[None, None, :], axis[None, :, None]
    found = torch.zeros((len(corners), len(axis), len(axis)), dtype=torch.bool, device=corners.device)
    for a, b in zip(corners.unbind(1), corners.roll(-1, dims=1).unbind(1), strict=True):
        ax, ay, bx, by = (value[:, None, None] for value in (a[:, 0], a[:, 1], b[:, 0], b[:, 1]))
        crosses = (ay > y) != (by > y)
        found ^= crosses & (x < ax + (bx - ax) * (y - ay) / torch.where(by == ay, 1.0, by - ay))
    return found


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
