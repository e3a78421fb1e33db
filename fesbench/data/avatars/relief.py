"""The broad relief of a face: everything wider than a finger, computed on a coarse grid."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.data.avatars import curves
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.features import Features, Scalars
from fesbench.data.avatars.noise import COARSE, noise
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, blob, step


def head_depth(reach: Tensor, y: Tensor) -> Tensor:
    """The bare head: flat in the middle, round at the limb, with a firmer edge along the jaw."""
    inside = 1 - reach.clamp(max=0.9985) ** (2.7 + 0.9 * step(y - 1.0, 0.2))
    return 0.98 * inside**0.55


def broad_relief(shape: Scalars, features: Features, au: Activation, frame: Frame) -> Tensor:
    """Height (B, h, w) over the bare head: sockets, brow ridge, cheeks, muzzle, chin, identity relief."""
    side, y = frame.side, frame.y
    height = _sockets(shape, features, frame)
    height = height + _brow_ridge(shape, features, au, frame)
    height = height + _cheeks(shape, features, au, frame)
    pucker = features.protrusion
    height = height + (0.075 + 0.02 * shape["muzzle"] + 0.03 * pucker - 0.02 * features.smile.mean) * blob(
        side, y, 0.0, features.mouth_y, 0.40, 0.30
    )
    height = height + (0.10 + 0.03 * shape["chin_ball"]) * blob(side, y, 0.0, features.chin_y, 0.22, 0.17)
    return height + _individual(shape, frame)


def _sockets(shape: Scalars, features: Features, frame: Frame) -> Tensor:
    side, y = frame.side, frame.y
    eye_y = features.eye_y.at(frame.rightness)
    socket = blob(side, y, features.eye_x - 0.02, eye_y - 0.02, 0.34, 0.25)
    canthus = blob(side, y, 0.20, eye_y, 0.13, 0.20)
    eyeball = blob(side, y, features.eye_x, eye_y, 0.21, 0.155)
    depth = 0.045 * (1 + shape["socket"]).clamp(min=0.1)
    return 0.075 * eyeball - depth * socket - 0.055 * canthus


def _brow_ridge(shape: Scalars, features: Features, au: Activation, frame: Frame) -> Tensor:
    side, y = frame.side, frame.y
    start = features.brow_inner_x.at(frame.rightness)
    along = (side - start) / (features.brow_outer_x - start)
    center = curves.brow(features, along.clamp(-0.1, 1.15), frame.rightness)
    ridge = bell(y - center - 0.02, 0.13) * bell(along - 0.45, 0.75)
    knot = blob(side, y, 0.09, features.brow_inner_y.mean + 0.02, 0.10, 0.12)
    return 0.040 * (1 + 0.6 * shape["brow_ridge"]).clamp(min=0.3) * ridge + 0.03 * au.unit(4) * knot


def _cheeks(shape: Scalars, features: Features, au: Activation, frame: Frame) -> Tensor:
    side, y = frame.side, frame.y
    lift = 0.5 * au.sided(6).at(frame.rightness) + 0.5 * features.smile.at(frame.rightness)
    ball = blob(side, y, 0.66, 0.50 - 0.10 * lift, 0.32, 0.26)
    hollow = blob(side, y, 0.74, 1.0, 0.20, 0.28)
    temple = blob(side, y, 0.98, -0.30, 0.16, 0.30)
    jowl = blob(side, y, 0.62, 1.32 + 0.5 * features.jaw, 0.18, 0.16)
    height = (0.065 + 0.025 * shape["cheekbone"] + 0.070 * lift) * ball
    height = height - 0.045 * (1 - 0.5 * shape["cheekbone"]) * (1 - 0.6 * lift) * hollow
    height = height - 0.025 * (1 + 0.6 * shape["temple_hollow"]) * temple
    return height + 0.030 * shape["jowl"].clamp(min=0) * jowl


def _individual(shape: Scalars, frame: Frame) -> Tensor:
    """Three independent free-form fields and two forehead bumps: shape that only this person has."""
    # sqrt(x^2 + c) instead of |x| keeps the fields symmetric without a crease on the midline.
    x, y, seed = torch.sqrt(frame.x**2 + 0.06), frame.y, shape["texture"]
    fields = (
        (0.17, 13.0, 17.0, shape["relief_a"], 1.0),
        (0.27, 29.0, 7.0, shape["relief_b"], step(y - 0.15, 0.25)),
        (0.23, 41.0, 37.0, shape["relief_c"], step(-0.05 - y, 0.20)),
    )
    height = 0.030 * shape["forehead_bulge"] * blob(frame.side, y, 0.38, -0.80, 0.30, 0.25)
    for scale, a, b, gain, where in fields:
        field = noise(x * scale + seed * a, y * scale + seed * b, COARSE)[0]
        height = height + 0.036 * gain * field * where
    return height


def nose_relief(shape: Scalars, features: Features, au: Activation, frame: Frame) -> tuple[Tensor, Tensor]:
    """Height of the nose (cut off sharply below, which is what makes it read) and its underside mask."""
    x = frame.x - features.nose_x
    side, y = x.abs(), frame.y
    along = (y - features.nasion_y) / (features.nose_tip_y - features.nasion_y)
    down = along.clamp(0, 1.3)
    width = 0.110 + 0.035 * shape["bridge"] + 0.045 * down + 0.25 * (features.nose_width - 0.235) * down
    floor = features.nose_base_y + 0.006 - 0.055 * (side / features.nose_width) ** 2
    floor = floor - 0.02 * shape["nose_turn"] * bell(side, 0.10)
    under = step(floor - y, 0.024)
    profile = 0.045 + features.nose_depth * down**1.25 + 0.05 * shape["nose_hump"] * bell(along - 0.45, 0.22)
    profile = profile - 0.03 * shape["nose_turn"] * bell(along - 0.65, 0.30)
    height = profile * step(y - features.nasion_y + 0.12, 0.06) * bell(side, width) * under
    tip = torch.exp(
        -((side / (0.125 + 0.02 * shape["nose_tip"])) ** 2) - ((y - features.nose_tip_y) / 0.12) ** 2
    )
    height = height + 0.070 * (1 + 0.7 * shape["nose_tip"]) * tip * under
    ala_x, ala_y = features.nose_width * 0.74, features.ala_y + 0.01
    ala = torch.exp(
        -(((side - ala_x) / (0.085 + 0.02 * shape["nose_width"])) ** 2) - ((y - ala_y) / 0.088) ** 2
    )
    height = height + (0.115 + 0.03 * au.unit(9)) * ala * step(floor + 0.01 - y, 0.022)
    groove = torch.sqrt((side - features.nose_width * 0.70) ** 2 + ((y - ala_y) / 1.05) ** 2 + 1e-6)
    crease = bell(groove - 0.118, 0.026) * step(side - features.nose_width * 0.62, 0.03)
    height = height - 0.018 * crease * under
    middle = (features.nose_base_y + features.mouth_y) / 2
    philtrum = 0.010 * (1 + shape["philtrum"])
    height = height - philtrum * (1.4 * blob(side, y, 0.0, middle - 0.03, 0.038, 0.09))
    return height + philtrum * blob(side, y, 0.068, middle - 0.02, 0.032, 0.09), under


def skin_shift(rest: Features, features: Features, frame: Frame) -> tuple[Tensor, Tensor]:
    """How far the skin at each point was carried by the expression: (dx on one side, dy), (B, h, w).

    Marks on the skin are looked up at the point minus this, so that they move with the face.
    """
    side, y, right = frame.side, frame.y, frame.rightness
    corner_y = features.mouth_y + features.corner.at(right)
    corner_x = features.mouth_width.at(right)
    moved_x = corner_x - rest.mouth_width.at(right)
    moved_y = corner_y - rest.mouth_y - rest.corner.at(right)
    near = blob(side, y, corner_x + 0.08, corner_y - 0.05, 0.30, 0.30)
    brow_y = features.brow_peak_y.at(right) - rest.brow_peak_y.at(right)
    inner_y = features.brow_inner_y.at(right) - rest.brow_inner_y.at(right)
    over = bell(y + 0.45, 0.35)
    dy = moved_y * near * 0.8 + over * (brow_y * bell(side - 0.6, 0.35) + inner_y * bell(side, 0.35)) * 0.8
    dy = dy + 0.9 * features.jaw * step(y - 1.35 - 0.5 * features.jaw, 0.14)
    nose = bell(y - 0.55, 0.30) * bell(side, 0.30)
    dy = dy + nose * (features.ala_y - rest.ala_y) * 0.8
    return moved_x * near * 0.8, dy


def redness(features: Features, frame: Frame) -> Tensor:
    """Where blood shows: cheeks, nose tip, chin, round the eyes."""
    side, y = frame.side, frame.y
    return (
        0.75 * blob(side, y, 0.66, 0.52, 0.33, 0.25)
        + 0.50 * blob(side, y, 0.0, features.nose_tip_y, 0.16, 0.15)
        + 0.30 * blob(side, y, 0.0, features.chin_y, 0.25, 0.15)
        + 0.30 * blob(side, y, features.eye_x, features.eye_y.mean, 0.25, 0.15)
    )


def broad_gloss(frame: Frame) -> Tensor:
    """How much the skin shines: forehead, nose bridge, cheekbones."""
    side, y = frame.side, frame.y
    shine = 0.20 + 0.25 * blob(side, y, 0.0, -0.75, 0.5, 0.35) + 0.15 * blob(side, y, 0.62, 0.42, 0.25, 0.20)
    return shine + 0.35 * blob(side, y, 0.0, 0.4, 0.12, 0.40)


def broad_occlusion(features: Features, frame: Frame) -> Tensor:
    """Ambient light lost in the inner corners and below the brows."""
    side, y = frame.side, frame.y
    eye_y = features.eye_y.mean
    return (
        1
        - 0.28 * blob(side, y, 0.235, eye_y, 0.10, 0.13)
        - 0.10 * blob(side, y, features.eye_x, eye_y - 0.13, 0.28, 0.10)
    )
