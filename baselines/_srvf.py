"""Landmark motions as points of a sphere: square-root velocity functions, as MotionGAN's successor has them.

A motion is a curve of T points in R^D at equal steps of time in [0, 1]. Norms and products of functions
(..., T, D) are means over the T points of the points' products, so that a unit function lies on a sphere.
Source: the routines of github.com/CRISTAL-3DSAM/Sparse2Dense, by description; Srivastava et al., TPAMI 33(7),
2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEAR = 1 - 1e-6
"""Largest cosine that is told from 1; the release's 0.98 would hide every distance below 0.2 rad."""
_SLOW = 1e-4
"""Speed, in curve lengths, below which a velocity is scaled by a constant and not by its root."""


def inner(first: Tensor, second: Tensor) -> Tensor:
    """Products of functions (..., T, D): (..., 1, 1), so that they scale functions."""
    return (first * second).sum(-1, keepdim=True).mean(-2, keepdim=True)


def at_equal_lengths(curve: Tensor, points: int) -> Tensor:
    """Points at equal steps along curves, linearly between their own: (N, F, D) -> (N, points, D).

    A curve that stands still for some frames, or throughout, keeps an order by tiny offsets.
    """
    steps = curve.diff(dim=1).norm(dim=2)
    along = torch.nn.functional.pad((steps + 1e-6 * steps.sum(1, keepdim=True) + 1e-9).cumsum(1), (1, 0))
    wanted = along[:, -1:] * torch.linspace(0, 1, points, device=curve.device, dtype=curve.dtype)
    after = torch.searchsorted(along, wanted).clamp(1, curve.shape[1] - 1)
    share = (wanted - along.gather(1, after - 1)) / (along.gather(1, after) - along.gather(1, after - 1))
    row = torch.arange(len(curve), device=curve.device)[:, None]
    return torch.lerp(curve[row, after - 1], curve[row, after], share[..., None])


def at_equal_times(curve: Tensor, points: int) -> Tensor:
    """The curve at ``points`` equal steps of time: (N, T, D) -> (N, points, D)."""
    found: Tensor = torch.nn.functional.interpolate(
        curve.transpose(1, 2), size=points, mode="linear", align_corners=True
    )
    return found.transpose(1, 2)


def to_sphere(curve: Tensor) -> tuple[Tensor, Tensor]:
    """Motions and their lengths.

    Args:
        curve: (N, T, D), T >= 3.

    Returns:
        q (N, T, D) with <q, q> = 1, but for a curve that stands still, and its length (N,), which q forgets.
    """
    (velocity,) = torch.gradient(curve, spacing=1 / (curve.shape[1] - 1), dim=1)
    length = velocity.norm(dim=2).mean(1)
    velocity = velocity / length.clamp(min=1e-12)[:, None, None]
    speed = velocity.norm(dim=2, keepdim=True)
    return torch.where(speed > _SLOW, velocity / speed.clamp(min=_SLOW).sqrt(), velocity * _SLOW), length


def from_sphere(q: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """The motion of a function: its velocity summed up by the trapezoid rule.

    Args:
        q: (N, T, D).
        start: (N, D), the first point.
        length: (N,), of the motion.

    Returns:
        (N, T, D).
    """
    velocity = q * q.norm(dim=2, keepdim=True) * length[:, None, None]
    pieces = (velocity[:, 1:] + velocity[:, :-1]) / (2 * (q.shape[1] - 1))
    return start[:, None] + torch.nn.functional.pad(pieces.cumsum(1), (0, 0, 1, 0))


def tangent(w: Tensor, at: Tensor) -> Tensor:
    """What of functions is a tangent at a unit function; `exp` of anything else leaves the sphere."""
    return w - inner(w, at) * at


def exp(w: Tensor, at: Tensor) -> Tensor:
    """Along the great circle from ``at`` in the direction of a tangent, as far as that is long."""
    squared = inner(w, w)
    still = squared < 1e-12
    angle = torch.where(still, 1.0, squared).sqrt()  # the root has no slope at 0
    away = torch.where(still, 1 - squared / 6, angle.sin() / angle)
    return torch.where(still, 1 - squared / 2, angle.cos()) * at + away * w


def log(q: Tensor, at: Tensor) -> Tensor:
    """The tangent at ``at`` that leads to a unit function: the inverse of `exp`, for angles below pi."""
    cosine = inner(q, at)
    across = q - cosine * at
    squared = inner(across, across)
    still = squared < 1e-12
    sine = torch.where(still, 1.0, squared).sqrt()
    return torch.where(still, 1.0, torch.atan2(sine, cosine) / sine) * across


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Arcs between unit functions (N, T, D): radians (N,), from about 0.0014 on."""
    return inner(first, second).flatten(1)[:, 0].clamp(-_NEAR, _NEAR).acos()


def karcher_mean(q: Tensor, *, step: float = 0.9, limit: int = 100, near: float = 0.01) -> Tensor:
    """The unit function to which the squared arcs sum up least: (N, T, D) -> (T, D).

    Args:
        q: unit functions; the first is the start.
        step, limit, near: share of the mean tangent that is gone, most steps, and its norm to stop at.
    """
    mean = q[0]
    for _ in range(limit):
        way = log(q, mean).mean(0)
        mean = exp(step * way, mean)
        mean = mean / inner(mean, mean).sqrt()
        if float(inner(way, way).sqrt()) < near:
            break
    return mean
