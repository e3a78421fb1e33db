"""Eyes and brows: lids, fold, lashes, eyeball, iris, and the hairs of the brow."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fesbench.data.avatars import curves
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.features import Features, Scalars
from fesbench.data.avatars.noise import STRANDS, noise
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, rgb, step, tint

IRIS_RADIUS = 0.108
PUPIL_RADIUS = 0.043


@dataclass(frozen=True)
class Eyes:
    """The eye region of a batch in its window; maps (B, h, w).

    Attributes:
        opening: 1 between the lids.
        upper: y of the upper lid, relative to the axis.
        lower: y of the lower lid.
        below_axis: y relative to the eye's axis.
        along: -1 inner ... 1 outer corner.
        crease: the line of the upper lid's fold.
        iris: 1 on the iris.
        pupil: 1 on the pupil.
        lash: upper lash line.
        lower_lash: lower lash line.
        from_iris: distance to the center of the iris.
    """

    opening: Tensor
    upper: Tensor
    lower: Tensor
    below_axis: Tensor
    along: Tensor
    crease: Tensor
    iris: Tensor
    pupil: Tensor
    lash: Tensor
    lower_lash: Tensor
    from_iris: Tensor
    angle: Tensor


def trace(shape: Scalars, capture: Scalars, features: Features, au: Activation, frame: Frame) -> Eyes:
    """Find lids, fold, iris and lashes for each pixel of the eyes' window."""
    right, pixel, edge = frame.rightness, frame.pixel, frame.edge
    along = (frame.side - features.eye_x) / features.eye_width
    upper, lower = curves.lids(features, along.clamp(-1, 1), right)
    below = frame.y - curves.eye_axis(features, along, right)
    ends = step(1 - along.abs(), 0.03)
    opening = step(below - upper, 0.8 * edge) * step(lower - below, 0.8 * edge) * ends
    closed, widened = au.closure().at(right), au.sided(5).at(right)
    fold = 0.052 * (1 + shape["crease"]).clamp(min=0.12) + 0.015 * closed - 0.02 * widened
    fold = (fold + 0.012 * au.sided(1).at(right)).clamp(min=0.004)
    arch = (1 - (0.93 * along) ** 2).clamp(min=0)
    crease = bell(below - upper + fold * arch**0.5 * (1 - 0.1 * along), 0.017) * torch.exp(
        -((along / 0.95) ** 4)
    )
    sign = torch.where(frame.x > 0, 1.0, -1.0)
    ix = sign * features.eye_x + 0.10 * capture["gaze_x"]
    iy = features.eye_y.at(right) - 0.012 + 0.07 * capture["gaze_y"]
    dx, dy = frame.x - ix, frame.y - iy
    from_iris = torch.sqrt(dx * dx + dy * dy + 1e-8)
    size = 1 + shape["iris_size"]
    lash_width = 0.013 + 0.007 * shape["lashes"] + 0.25 * pixel
    lash = bell(below - upper + 0.004, lash_width) * step(1.06 - along.abs(), 0.05)
    lash = lash * (0.65 + 0.25 * shape["lashes"] * (0.5 + 0.5 * along)).clamp(max=0.97)
    return Eyes(
        opening=opening,
        upper=upper,
        lower=lower,
        below_axis=below,
        along=along,
        crease=crease,
        iris=step(IRIS_RADIUS * size - from_iris, 0.8 * edge),
        pupil=step(PUPIL_RADIUS - from_iris, 0.8 * edge),
        lash=lash,
        lower_lash=0.32 * bell(below - lower, 0.010 + 0.25 * pixel) * step(1.0 - along.abs(), 0.05),
        from_iris=from_iris,
        angle=torch.atan2(dy, dx),
    )


def relief(shape: Scalars, eyes: Eyes, au: Activation, frame: Frame) -> tuple[Tensor, Tensor]:
    """Height of lid rims, fold and pouch, and the wrinkle below the lid."""
    right, along, below = frame.rightness, eyes.along, eyes.below_axis
    tight, cheek = au.sided(7).at(right), au.sided(6).at(right)
    closed = au.closure().at(right)
    middle = bell(along, 0.75)
    pouch = 0.022 * (0.2 + 0.3 * shape["eye_bag"].clamp(min=0) + cheek + 0.6 * tight)
    height = pouch * bell(below - eyes.lower - 0.045, 0.032) * middle
    height = height - 0.016 * eyes.crease * (1 - 0.6 * closed)
    # A heavy fold hangs over the lid: a soft roll just above the crease.
    height = height + 0.030 * shape["fold"].clamp(min=0) * bell(below - eyes.upper + 0.065, 0.045) * middle
    long = torch.exp(-((along / 0.95) ** 6))
    height = height + 0.012 * long * (
        bell(below - eyes.upper + 0.020, 0.020) + bell(below - eyes.lower - 0.014, 0.016)
    )
    pressed = 0.2 * shape["age"] + 0.25 * shape["eye_bag"].clamp(min=0)
    pressed = (pressed + 0.9 * cheek + 0.6 * tight + 0.5 * au.unit(9)).clamp(max=1)
    line = bell(below - eyes.lower - 0.085 + 0.03 * along, 0.022) * bell(along + 0.1, 0.8)
    return height, 0.020 * line * pressed


def shade_lids(albedo: Tensor, shape: Scalars, eyes: Eyes) -> None:
    """Darken fold, upper lid (make-up) and the ring below the eye, in place."""
    device = albedo.device
    ring = bell(eyes.below_axis - eyes.lower - 0.07, 0.06) * bell(eyes.along + 0.2, 0.8)
    albedo *= 1 - (0.18 * (0.3 + shape["age"]) * ring)[:, None] * rgb(device, 0.6, 0.8, 0.6)
    lid = bell(eyes.below_axis - eyes.upper + 0.06, 0.06) * torch.exp(-((eyes.along / 1.05) ** 4))
    albedo *= 1 - (lid * (0.10 + 0.40 * shape["eye_shadow"]))[:, None] * rgb(device, 0.7, 0.9, 0.75)
    albedo *= 1 - 0.36 * eyes.crease[:, None] * rgb(device, 0.85, 1.0, 1.0)


def paint(albedo: Tensor, shape: Scalars, eyes: Eyes) -> None:
    """Paint eyeball and lashes into the skin's albedo, in place."""
    device, along, radius = albedo.device, eyes.along, eyes.from_iris
    size = IRIS_RADIUS * (1 + shape["iris_size"])
    ball = rgb(device, 0.74, 0.70, 0.68) * (1 - 0.28 * along.abs() ** 3)[:, None]
    ball = ball * (1 - (0.40 * step(-along - 0.86, 0.03))[:, None] * rgb(device, 0.1, 0.9, 0.8))
    fibers = torch.sin(eyes.angle * 9 + 4 * torch.sin(eyes.angle * 4 + 9 * shape["texture"]))
    texture = 0.80 + 0.10 * fibers + 0.50 * (radius / size - 0.5)
    limbus = bell(radius - size, 0.020)
    tint(ball, eyes.iris, shape["iris"] * 1.5 * (texture * (1 - 0.75 * limbus))[:, None])
    ball *= (1 - 0.97 * eyes.pupil)[:, None]
    lid_shadow = step(eyes.upper + 0.040 - eyes.below_axis, 0.022)
    ball *= (1 - 0.55 * lid_shadow)[:, None]
    tint(albedo, eyes.opening, ball)
    albedo *= (1 - 0.8 * eyes.lower_lash * (1 - eyes.lash))[:, None]
    albedo *= (1 - eyes.lash)[:, None]


def brow_mask(shape: Scalars, features: Features, frame: Frame) -> Tensor:
    """Density (B, h, w) of the brow hairs: a spindle, combed outward, ragged at its rim."""
    right = frame.rightness
    start = features.brow_inner_x.at(right)
    along = (frame.side - start) / (features.brow_outer_x - start)
    inside = along.clamp(0, 1)
    above = frame.y - curves.brow(features, along.clamp(-0.1, 1.15), right)
    spindle = (0.72 + 0.75 * inside - 0.2 * inside**2 - 1.02 * inside**4).clamp(min=0.08)
    thickness = 0.046 * shape["brow_thickness"] * spindle
    # Hairs stand at the inner end and lie down outward; detail finer than a pixel only dithers.
    seed = shape["texture"]
    lean = above * (1.6 - 1.2 * inside)
    hairs = noise(inside * 0.80 + lean * 0.9 + seed * 3, above * 0.5 + seed, STRANDS)[0]
    detail = min(1.0, 0.014 / frame.pixel) ** 2
    rim = thickness * (1 + 0.13 * detail * hairs) - above.abs()
    mask = step(rim, 0.012 + 0.25 * frame.pixel)
    mask = mask * step(along + 0.01, 0.035) * step(1.03 - along, 0.03)
    return (mask * (0.82 + 0.07 * detail * hairs)).clamp(0, 0.95)
