"""Upsampling of smooth fields by a whole factor with cubic B-splines.

Unlike torch's bicubic kernel (a = -0.75) a B-spline reproduces linear ramps exactly and has continuous
curvature, so that normals taken from an upsampled relief show no grid. It is written as shifted sums, not
as a matrix product, so that a picture's bytes do not depend on the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BORDER = 2
"""Coarse cells that the input must have beyond each side."""


def _weights(t: float) -> tuple[float, float, float, float]:
    """Cubic B-spline weights of the four cells round a position at fraction ``t``."""
    return (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )


def _along(field: Tensor, factor: int, axis: int) -> Tensor:
    cells = field.shape[axis] - 2 * BORDER
    phases = []
    for phase in range(factor):
        position = (phase + 0.5) / factor - 0.5
        base = math.floor(position)
        taps = enumerate(_weights(position - base))
        total = torch.zeros((), device=field.device)
        for k, weight in taps:
            total = total + weight * field.narrow(axis, BORDER + base - 1 + k, cells)
        phases.append(total)
    return torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)


def upsample(field: Tensor, factor: int) -> Tensor:
    """(B, C, n + 4, n + 4) -> (B, C, n * factor, n * factor); pixel centers as in area resampling."""
    return _along(_along(field, factor, 2), factor, 3)
