"""The mouth: lips, what is seen between them, corners and the groove below."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fesbench.data.avatars import curves
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.features import Features, Scalars
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, blob, rgb, step, tint


@dataclass(frozen=True)
class Mouth:
    """The mouth of a batch in its window; maps (B, h, w).

    Attributes:
        along: -1 (left corner) ... 1 (right corner), and beyond.
        edges: y of the lip edges.
        corner_y: y of the corner on each pixel's side.
        upper: upper lip. lower: lower lip. inside: the open mouth. line: the line between closed lips.
        opening: height of the gap, face units.
    """

    along: Tensor
    edges: curves.Lips
    corner_y: Tensor
    upper: Tensor
    lower: Tensor
    inside: Tensor
    line: Tensor
    opening: Tensor


def trace(features: Features, au: Activation, frame: Frame) -> Mouth:
    """Find lips and gap for each pixel of the mouth's window."""
    right, y, edge = frame.rightness, frame.y, frame.edge
    along = (frame.x - features.mouth_x) / features.mouth_width.at(right)
    edges = curves.lips(features, along, right)
    within = step(1 - along.abs(), 0.02)
    opening = (edges.lower_inner - edges.upper_inner).clamp(min=0)
    upper = step(y - edges.top, 1.3 * edge) * step(edges.upper_inner - y, edge) * within
    lower = step(y - edges.lower_inner, edge) * step(edges.bottom - y, 1.6 * edge) * within
    inside = step(y - edges.upper_inner, edge) * step(edges.lower_inner - y, edge) * within
    inside = inside * (opening / (0.8 * frame.pixel)).clamp(0, 1)
    seam = 0.015 + 0.004 * au.unit(24) + 0.002 * au.unit(28)
    line = bell(y - (edges.upper_inner + edges.lower_inner) / 2, seam) * step(1.02 - along.abs(), 0.03)
    corner_y = features.mouth_y + features.corner.at(right)
    return Mouth(along, edges, corner_y, upper, lower, inside, line * bell(opening, 0.05), opening)


def relief(features: Features, au: Activation, mouth: Mouth, frame: Frame) -> tuple[Tensor, Tensor]:
    """Height of lips, seam, mentolabial groove and corners; and the fine lines across the lips."""
    y, right, edges, along = frame.y, frame.rightness, mouth.edges, mouth.along
    half_upper = ((edges.upper_inner - edges.top) / 2).clamp(min=0.012)
    half_lower = ((edges.bottom - edges.lower_inner) / 2).clamp(min=0.012)
    across_upper = (y - (edges.top + edges.upper_inner) / 2) / half_upper
    across_lower = (y - (edges.lower_inner + edges.bottom) / 2) / half_lower
    ends = (1 - (along * along).clamp(max=1)) ** 0.6
    swell = (1 + 0.4 * features.protrusion) * (1 - 0.35 * au.unit(23))
    height = 0.040 * swell * ends * torch.exp(-1.1 * (across_upper - 0.25) ** 2)
    height = height + 0.052 * swell * ends * torch.exp(-1.1 * (across_lower + 0.1) ** 2)
    groove = 1 + 0.3 * au.unit(17) + 0.3 * au.unit(24) + 0.3 * au.unit(23)
    height = height - 0.046 * groove * bell(y - edges.bottom - 0.055, 0.055) * bell(along, 0.75)
    height = height - 0.030 * mouth.line
    # Sucked or tightened lips push the skin round them out.
    rolled = (au.unit(28) + 0.4 * au.unit(23)).clamp(max=1)
    height = height + 0.020 * rolled * ends * (
        bell(y - edges.top + 0.07, 0.05) + bell(y - edges.bottom - 0.07, 0.05)
    )
    smile, dimple = features.smile.at(right), au.sided(14).at(right)
    corner_x = features.mouth_width.at(right)
    side = (frame.x - features.mouth_x).abs()
    pit = blob(side, y, corner_x + 0.03, mouth.corner_y + 0.005, 0.050, 0.065)
    height = height - (0.020 + 0.018 * smile + 0.045 * dimple) * pit
    behind = blob(side, y, corner_x + 0.13, mouth.corner_y - 0.02, 0.08, 0.14)
    height = height + (0.03 * smile + 0.03 * dimple) * behind
    lines = (0.5 + 0.5 * torch.cos(frame.x * 2 * math.pi / 0.055)) * (mouth.upper + mouth.lower)
    return height, 0.004 * lines * (0.5 + au.unit(18) + au.unit(23) + au.unit(22))


def paint(albedo: Tensor, shape: Scalars, features: Features, mouth: Mouth, frame: Frame) -> Tensor:
    """Paint lips and the open mouth into the skin's albedo, in place; returns the teeth's mask."""
    device = albedo.device
    red = (0.20 + 0.55 * shape["lip_red"]).clamp(max=0.9)
    lip = shape["skin"] * (1 - red[:, None] * rgb(device, 0.16, 0.62, 0.50))
    lip = lip * (1 - 0.14 * mouth.upper)[:, None]
    tint(albedo, (0.95 * mouth.upper + 0.90 * mouth.lower).clamp(max=1), lip)
    tint(
        albedo,
        0.80 * mouth.line * (1 - 0.3 * mouth.along.abs().clamp(max=1) ** 3),
        rgb(device, 0.07, 0.018, 0.014),
    )
    inside, teeth = _inside(shape, features, mouth, frame)
    tint(albedo, mouth.inside, inside)
    return teeth * mouth.inside


def _inside(shape: Scalars, features: Features, mouth: Mouth, frame: Frame) -> tuple[Tensor, Tensor]:
    """Color of the oral cavity: upper teeth stay with the skull, lower teeth and tongue follow the jaw."""
    device, y, edge = frame.x.device, frame.y, frame.edge
    x = frame.x - features.mouth_x
    side = x.abs()
    depth = ((y - mouth.edges.upper_inner) / mouth.opening.clamp(min=0.02)).clamp(0, 1)
    arc = x / 0.40
    upper_edge = features.mouth_rest_y + 0.040 - 0.03 * arc**2 - 0.02 * features.smile.mean
    lower_edge = features.mouth_rest_y + 0.93 * features.jaw + 0.045 + 0.015 * arc**2
    gaps = 0.5 + 0.5 * torch.cos(2 * math.pi * (arc * 3.1 * (1 + 0.25 * arc**2) + 0.5))
    separators = 1 - 0.26 * torch.exp((gaps - 1) / 0.02)
    upper = step(upper_edge - y, edge) * step(0.42 - side, 0.03)
    lower = step(y - lower_edge, edge) * step(0.36 - side, 0.03)
    tongue_top = features.mouth_rest_y + 0.62 * features.jaw + 0.03 + 0.25 * x**2
    tongue = torch.exp(-((x / 0.26) ** 4)) * step(y - tongue_top, 0.03)
    color = rgb(device, 0.055, 0.012, 0.012).expand(len(x), 3, *x.shape[1:]).clone()
    tint(color, tongue * (0.6 + 0.4 * depth), rgb(device, 0.36, 0.11, 0.11))
    shaded = (1 - 0.45 * arc**2).clamp(min=0.25) * separators
    enamel = rgb(device, 0.80, 0.76, 0.68) * shape["tooth"][:, None] * shaded[:, None]
    tint(color, lower, 0.8 * enamel)
    tint(color, upper, enamel)
    under_lip = 0.45 * bell(y - mouth.edges.upper_inner, 0.035)
    corners = 0.3 * (mouth.along.abs() ** 3).clamp(max=1)
    color *= (1 - under_lip - corners)[:, None].clamp(min=0.1)
    return color, torch.maximum(upper, lower)
