"""The head's outline: sixteen control points a side, a periodic spline, and its polar form."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.features import Scalars, jaw_drop

POLE_Y = 0.42
"""The outline is star-shaped about (0, POLE_Y)."""

_POINTS = np.array(
    [
        *((0.0, 1.735), (0.235, 1.70), (0.455, 1.58), (0.655, 1.39), (0.82, 1.155), (0.94, 0.89)),
        *((1.02, 0.61), (1.07, 0.31), (1.10, 0.02), (1.125, -0.32), (1.12, -0.66), (1.06, -0.98)),
        *((0.92, -1.27), (0.69, -1.50), (0.37, -1.65), (0.0, -1.70)),
    ]
)
_SAMPLES = 121
_TABLE = 256


@functools.cache
def _spline(parity: int) -> np.ndarray:
    """Matrix (121, 16): control values -> dense samples; parity -1 for x (odd), +1 for y (even)."""
    from scipy.interpolate import CubicSpline

    eye = np.eye(len(_POINTS))
    closed = np.concatenate([eye, parity * eye[-2:0:-1], eye[:1]])
    if parity < 0:
        closed[0] = closed[-1] = 0.0
    spline = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return spline(np.linspace(0, len(_POINTS) - 1, _SAMPLES))


@dataclass(frozen=True)
class Contour:
    """The outlines of a batch.

    Attributes:
        table: (2, B, 256) radius by angle, chin (0) to crown (pi), left and right half.
        points: (2, B, 121, 2) dense half outlines, chin to crown; x >= 0 on both.

    It is built in float64 (see :func:`fesbench.data.avatars.features.exactly`).
    """

    table: Tensor
    points: Tensor

    def single(self) -> Contour:
        """The same in float32, for the pixels."""
        return Contour(self.table.float(), self.points.float())

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.table.device

    def radius(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance (B, H, W) from the pole to the outline, in the direction of each point."""
        angle = torch.atan2(x.abs(), y - POLE_Y) * ((_TABLE - 1) / math.pi)
        low = angle.floor().clamp(0, _TABLE - 2)
        fraction, index = angle - low, low.long().flatten(1)
        left, right = (
            half.gather(1, index) * (1 - fraction.flatten(1))
            + half.gather(1, index + 1) * fraction.flatten(1)
            for half in self.table
        )
        rightness = torch.sigmoid(x / 0.05).flatten(1)
        return (left + (right - left) * rightness).view(x.shape)

    def reach(self, x: Tensor, y: Tensor) -> Tensor:
        """0 at the pole, 1 on the outline, above 1 outside."""
        return distance_to_pole(x, y) / self.radius(x, y)


def distance_to_pole(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distance of each point from (0, POLE_Y)."""
    return torch.sqrt(x * x + (y - POLE_Y) ** 2 + 1e-6)


def _bump(index: Tensor, center: float, width: float) -> Tensor:
    return torch.exp(-(((index - center) / width) ** 2))


def head_contour(shape: Scalars, au: Activation) -> Contour:
    """Build the outlines from identity and action units (jaw drop lengthens the lower face)."""
    device = au.vectors.device
    halves = [_half(shape, au, sign, device) for sign in (-1.0, 1.0)]
    points = torch.stack(halves)
    return Contour(torch.stack([_polar_table(half) for half in halves]), points)


def _half(shape: Scalars, au: Activation, sign: float, device: torch.device) -> Tensor:
    index = torch.arange(len(_POINTS), dtype=torch.float64, device=device)[None]
    x, y = torch.as_tensor(_POINTS, device=device).T[:, None]
    flat = {name: shape[name][:, 0] for name in _USED}
    x = x * (
        1
        + flat["face_width"]
        + (flat["jaw_width"] + sign * flat["jaw_asymmetry"]) * _bump(index, 4.2, 2.0)
        + 0.9 * flat["chin_width"] * _bump(index, 1.6, 1.2)
        + (flat["cheek_width"] + 0.5 * sign * flat["jaw_asymmetry"]) * _bump(index, 7.3, 1.6)
        + flat["temple_width"] * _bump(index, 11.0, 2.5)
    )
    lower = (y > 0).double()
    y = y * (
        1
        + lower * (flat["face_length"] + flat["chin_length"] * _bump(index, 0.0, 2.2))
        + (1 - lower) * flat["forehead"]
    )
    jaw = jaw_drop(au)[:, 0]
    smile = au.unit(12)[:, 0]
    follow = torch.exp(-(((index - 1.0).clamp(min=0) / 2.6) ** 2))
    y = y + jaw * follow - 0.035 * au.unit(17)[:, 0] * _bump(index, 0.0, 1.6)
    x = x * (1 - 0.083 * jaw * _bump(index, 4.0, 2.0) + 0.024 * smile * _bump(index, 5.5, 2.0))
    dense = [
        values @ torch.as_tensor(_spline(parity), device=device).T for values, parity in ((x, -1), (y, 1))
    ]
    return torch.stack(dense, dim=-1)


_USED = (
    *("face_width", "jaw_width", "jaw_asymmetry", "chin_width", "cheek_width", "temple_width"),
    *("face_length", "chin_length", "forehead"),
)


def _polar_table(half: Tensor) -> Tensor:
    """(B, 121, 2) points -> (B, 256) radius at equal angles, by linear interpolation."""
    x, y = half[..., 0].clamp(min=0), half[..., 1] - POLE_Y
    angle = torch.atan2(x, y)
    steps = torch.arange(angle.shape[1], dtype=angle.dtype, device=angle.device) * 1e-9
    angle = (torch.cummax(angle, dim=1).values + steps).contiguous()
    radius = torch.sqrt(x * x + y * y)
    wanted = (
        torch.linspace(0, math.pi, _TABLE, dtype=angle.dtype, device=angle.device)
        .expand(len(angle), -1)
        .contiguous()
    )
    after = torch.searchsorted(angle, wanted).clamp(1, angle.shape[1] - 1)
    a0, a1 = angle.gather(1, after - 1), angle.gather(1, after)
    r0, r1 = radius.gather(1, after - 1), radius.gather(1, after)
    return r0 + (r1 - r0) * ((wanted - a0) / (a1 - a0)).clamp(0, 1)
