"""Wrinkles that action units press into the skin (and age leaves there).

Each function returns a positive depth; it is taken off the height, and the cartoon draws it as ink. A
narrow valley alone looks like a scratch: folds are soft and come with a bulge beside them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fesbench.data.avatars import curves
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.features import Features, Scalars
from fesbench.data.avatars.noise import COARSE, noise
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, blob, step

_TURN = 2 * math.pi


def forehead(shape: Scalars, features: Features, au: Activation, frame: Frame) -> Tensor:
    """Horizontal lines of AU1 (middle) and AU2 (sides), bent with the brow; frown lines of AU4."""
    side, y, right = frame.side, frame.y, frame.rightness
    raised, outer = au.sided(1).at(right), au.sided(2).at(right)
    start = features.brow_inner_x.at(right)
    along = ((side - start) / (features.brow_outer_x - start)).clamp(-0.1, 1.15)
    bend = 0.30 * (curves.brow(features, along, right) + 0.33) * bell(y + 0.55, 0.4)
    seed = shape["texture"]
    wobble = noise(frame.x * 0.21 + seed * 7.3, y * 0.21 + seed * 3.1, COARSE)[0]
    lines = (0.5 + 0.5 * torch.cos(_TURN * (y - bend - 0.02 * wobble) / 0.135)) ** 3
    where = raised * bell(side, 0.42) + outer * 0.8 * bell(side - 0.55, 0.35)
    where = where + 0.30 * raised * outer * bell(side, 0.7) + 0.10 * shape["age"] ** 2 * bell(side, 0.6)
    depth = 0.020 * lines * (where * bell(y + 0.86, 0.27)).clamp(max=1.2)
    frown = au.sided(4).at(right)
    vertical = bell(side - 0.095 + 0.02 * frown - 0.05 * (y + 0.3), 0.024) * bell(
        y + 0.27 - 0.1 * frown, 0.15
    )
    pressed = (frown + 0.35 * au.unit(9) + 0.10 * shape["age"] * (1 - raised)).clamp(max=1)
    return depth + 0.032 * vertical * pressed


def nose_root(features: Features, au: Activation, frame: Frame) -> Tensor:
    """The line over the nasion and the bunny lines beside the bridge (AU9)."""
    side, y, wrinkle = frame.side, frame.y, au.unit(9)
    across = bell(y - features.nasion_y - 0.02 + 0.12 * side, 0.022) * bell(side, 0.12)
    bunny = (0.5 + 0.5 * torch.cos(_TURN * (y - 0.75 * side) / 0.085)) ** 2 * blob(
        side, y, 0.10, 0.17, 0.075, 0.13
    )
    return 0.020 * across * (wrinkle + 0.3 * au.unit(4)).clamp(max=1) + 0.028 * bunny * wrinkle


def crows_feet(shape: Scalars, features: Features, au: Activation, frame: Frame) -> Tensor:
    """Lines that fan out from the outer corner of the eye (AU6)."""
    right = frame.rightness
    dx = frame.side - features.eye_x - 0.80 * features.eye_width
    dy = frame.y - features.eye_y.at(right) + 0.01
    radius = torch.sqrt(dx * dx + dy * dy + 1e-6)
    angle = torch.atan2(dy, dx)
    rays = (0.5 + 0.5 * torch.cos(angle * 7.5 + 1.0 + 2.0 * shape["texture"])) ** 2.5
    where = step(radius - 0.12, 0.02) * bell(radius - 0.17, 0.13) * bell(angle - 0.12, 0.85)
    pressed = au.sided(6).at(right) + 0.25 * features.smile.at(right) + 0.15 * shape["age"] ** 2
    return 0.015 * rays * where * pressed.clamp(max=1.2)


def nasolabial(
    shape: Scalars, features: Features, au: Activation, frame: Frame, corner_y: Tensor
) -> tuple[Tensor, Tensor]:
    """The fold from the wing of the nose to beside the mouth: (valley, bulge on the cheek's side)."""
    side, y, right = frame.side, frame.y, frame.rightness
    smile, dimple = features.smile.at(right), au.sided(14).at(right)
    strength = 0.14 + 0.32 * shape["age"] + 0.85 * smile + 0.8 * au.unit(9) + 0.75 * au.unit(10)
    strength = (strength + 0.95 * au.unit(11) + 0.35 * dimple).clamp(max=1.3)
    start_x, start_y = features.nose_width + 0.03, features.ala_y - 0.03
    end_x, end_y = features.mouth_width.at(right) + 0.135, corner_y + 0.06
    down = ((y - start_y) / (end_y - start_y)).clamp(-0.3, 1.5)
    middle = start_x + (end_x - start_x) * down.clamp(min=0) ** 0.9 * 0.92
    middle = (
        middle
        - 0.03 * (down - 1).clamp(min=0)
        + 0.045 * torch.sin(math.pi * down.clamp(0, 1)) * (smile + 0.3)
    )
    beside = (side - middle) / 1.25
    ends = step(down + 0.02, 0.09) * step(1.08 - down, 0.10)
    valley = 0.018 * strength * ends * bell(beside, 0.043)
    bulge = 0.042 * strength * ends * bell(beside - 0.095, 0.095)
    return valley, bulge


def lower_face(shape: Scalars, features: Features, au: Activation, frame: Frame, corner_y: Tensor) -> Tensor:
    """Marionette lines (AU15), brackets (AU20), the chin's arc (AU17), tightened lips (AU23, AU24)."""
    side, y, right = frame.side, frame.y, frame.rightness
    corner_x = features.mouth_width.at(right)
    droop = au.sided(15).at(right) + 0.4 * au.unit(20) + 0.10 * shape["age"]
    line = bell(side - corner_x - 0.055 - 0.10 * (y - corner_y), 0.030)
    depth = (
        0.020 * line * step(y - corner_y - 0.03, 0.035) * step(corner_y + 0.24 - y, 0.05) * droop.clamp(max=1)
    )
    bracket = torch.exp(-(((side - corner_x - 0.12) / 0.034) ** 2) - ((y - corner_y - 0.02) / 0.13) ** 2)
    depth = depth + 0.016 * bracket * au.unit(20)
    arc = bell(y - features.chin_y + 0.14 - 0.55 * side**2, 0.026) * bell(side, 0.24)
    depth = depth + 0.018 * arc * (au.unit(17) + 0.3 * au.unit(24)).clamp(max=1)
    above = (0.5 + 0.5 * torch.cos(frame.x * _TURN / 0.075)) * bell(y - features.mouth_y + 0.13, 0.05)
    return depth + 0.007 * above * bell(side, 0.22) * (au.unit(23) + au.unit(18) + au.unit(28)).clamp(max=1)
