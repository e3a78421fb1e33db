"""A drawing: flat color in three tones, ink outlines, wrinkles as lines, large irises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.data.avatars import surface as s
from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.features import exactly
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.shading import Light, box_blur, cast_shadow
from fesbench.data.avatars.surface import Surface, bell, rgb, step

_INK = (0.03, 0.015, 0.02)
_OUTLINE_GROUPS = {
    s.SKIN: 1,
    s.BROW: 1,
    s.UPPER_LIP: 1,
    s.LOWER_LIP: 1,
    s.GLASSES: 1,
    s.BACKDROP: 0,
    s.EYE: 3,
    s.MOUTH: 6,
    s.EAR: 7,
    s.HAIR: 8,
    s.NECK: 9,
    s.CLOTH: 10,
}
"""Labels between which no outline is drawn share a number."""


def cartoon(g: Geometry) -> Tensor:
    """Display RGB (B, 3, S, S)."""
    surface = compose(g)
    paint = _flat_colors(g, surface) * _tones(g, surface)[:, None]
    hair = (surface.label == s.HAIR).float()
    paint = paint * (1 + hair * 0.30 * step(surface.masks["strand"] - 0.8, 0.12))[:, None]
    frame = g.frame
    distance = torch.sqrt((frame.side - 0.66) ** 2 + ((frame.y - 0.52) * 1.2) ** 2 + 1e-6)
    blush = step(0.20 - distance, 0.05) * (surface.label == s.SKIN)
    paint = paint * (1 - (0.14 * blush)[:, None] * rgb(paint.device, 0.0, 0.7, 0.6))
    s.tint(paint, _ink(g, surface), rgb(paint.device, *_INK))
    return paint.clamp(1e-5, 1) ** (1 / 2.2)


def _flat_colors(g: Geometry, surface: Surface) -> Tensor:
    """One color a label, soft at the borders where the masks are soft."""
    shape, masks, device = g.shape, surface.masks, surface.depth.device
    skin = exactly(lambda color: color**0.85, shape["skin"])
    hue = g.capture["background_phase"][:, None]
    wall = rgb(device, 0.30, 0.55, 0.75) * (1 - hue) + rgb(device, 0.75, 0.58, 0.34) * hue
    lip = skin * rgb(device, 0.95, 0.50, 0.48)
    colors = {
        s.BACKDROP: wall,
        s.SKIN: skin,
        s.BROW: skin,
        s.EYE: rgb(device, 0.93, 0.93, 0.95),
        s.UPPER_LIP: 0.85 * lip,
        s.LOWER_LIP: lip,
        s.MOUTH: rgb(device, 0.20, 0.02, 0.03),
        s.EAR: skin * rgb(device, 1.0, 0.85, 0.80),
        s.HAIR: shape["hair"] * 1.6 + 0.01,
        s.NECK: skin * rgb(device, 0.86, 0.78, 0.76),
        s.CLOTH: g.capture["cloth"] * 1.3,
        s.GLASSES: rgb(device, 0.03, 0.03, 0.03),
    }
    paint = torch.zeros_like(surface.albedo)
    for label, color in colors.items():
        paint += color * (surface.label == label)[:, None]
    s.tint(paint, masks["mouth"] * masks["teeth"], rgb(device, 0.95, 0.94, 0.90))
    tongue = masks["mouth"] * (1 - masks["teeth"]) * step(surface.albedo[:, 0] - 0.14, 0.02)
    s.tint(paint, tongue, rgb(device, 0.75, 0.22, 0.24))
    size = 1 + shape["iris_size"]
    iris = (masks["iris"] + masks["iris_ring"]).clamp(max=1)
    s.tint(paint, iris, shape["iris"] * 2.2)
    s.tint(paint, _grown_pupil(g, surface, 0.066 * size), rgb(device, 0.01, 0.01, 0.012))
    s.tint(
        paint, step(masks["beard"] - 0.25, 0.05) * masks["beard"].clamp(min=0.5) * 0.9, shape["hair"] * 1.2
    )
    s.tint(paint, masks["brow"], shape["brow"] * 0.8)
    return paint


def _grown_pupil(g: Geometry, surface: Surface, radius: Tensor) -> Tensor:
    frame, features, capture = g.frame, g.features, g.capture
    dx = frame.x - torch.sign(frame.x) * features.eye_x - 0.10 * capture["gaze_x"]
    dy = frame.y - features.eye_y.at(frame.rightness) + 0.012 - 0.07 * capture["gaze_y"]
    near = step(radius - torch.sqrt(dx * dx + dy * dy + 1e-8), 0.5 * frame.pixel)
    glint = step(0.024 - torch.sqrt((dx - 0.03) ** 2 + (dy + 0.035) ** 2 + 1e-8), 0.4 * frame.pixel)
    return (near - glint).clamp(min=0) * surface.masks["eye"]


def _tones(g: Geometry, surface: Surface) -> Tensor:
    """Shadow, light and a small highlight; paper and eyes stay flat."""
    light = Light.of(g.capture)
    lx, ly, lz = light.direction()
    width = max(3, int(0.05 / g.frame.pixel) | 1)
    nx, ny, nz = (box_blur(n[:, None], width)[:, 0] for n in surface.normal)
    facing = (nx * lx + ny * ly + nz * lz) * (0.4 + 0.6 * cast_shadow(surface.depth, light))
    tone = 0.64 + 0.28 * step(facing - 0.42, 0.02) + 0.14 * step(facing - 0.90, 0.012)
    tone = torch.where(surface.label == s.BACKDROP, torch.ones_like(tone), tone)
    return tone + (1 - 0.2 * step(0.4 - facing, 0.02) - tone) * surface.masks["eye"]


def _ink(g: Geometry, surface: Surface) -> Tensor:
    """Outlines where labels meet, wrinkles, lashes, the seam of the lips, the underside of the nose."""
    masks, features, frame = surface.masks, g.features, g.frame
    groups = torch.zeros_like(surface.label)
    for label, group in _OUTLINE_GROUPS.items():
        groups += group * (surface.label == label)
    width = max(3, round(0.035 / frame.pixel) | 1)
    half = width // 2
    highest = F.max_pool2d(groups[:, None], width, 1, half)
    lowest = -F.max_pool2d(-groups[:, None], width, 1, half)
    edges = 0.9 * box_blur((highest - lowest > 0.5).float(), 3)[:, 0]
    side = (frame.x - features.nose_x).abs()
    under = bell(frame.y - features.nose_base_y - 0.005 + 0.25 * side**2, 0.022)
    under = 0.8 * under * step(features.nose_width - side, 0.02) * masks["face"]
    lines = (60 * (masks["wrinkle"] - 0.006)).clamp(0, 0.65)
    ink = torch.maximum(torch.maximum(edges, lines), (1.2 * masks["lash"]).clamp(max=1))
    return torch.maximum(
        torch.maximum(ink, 0.9 * masks["line"]), torch.maximum(under, 0.35 * masks["crease"])
    )
