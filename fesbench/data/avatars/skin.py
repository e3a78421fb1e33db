"""The skin's own color: tone, blush, freckles, a mole, nostrils, and the beard."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.data.avatars.features import Features, Scalars
from fesbench.data.avatars.mouth import Mouth
from fesbench.data.avatars.noise import FINE, MEDIUM, STRANDS, noise
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, blob, rgb, step, tint


def base_color(shape: Scalars, mottle: list[Tensor], red: Tensor) -> Tensor:
    """Skin albedo (B, 3, S, S) before features; ``mottle`` is coarse and medium noise, ``red`` the blush."""
    coarse, medium = mottle
    patches = 1 + 0.028 * coarse + 0.014 * medium * (0.4 + shape["age"])
    blush = (red * shape["blush"] * 0.28)[:, None] * rgb(red.device, 0.10, 0.65, 0.55)
    return shape["skin"] * patches[:, None] * (1 - blush)


def add_marks(albedo: Tensor, shape: Scalars, frame: Frame, skin_x: Tensor, skin_y: Tensor) -> None:
    """Freckles and a mole, in place, looked up at the resting skin's coordinates."""
    device = albedo.device
    if bool((shape["freckles"] > 0).any()):
        spots = noise(skin_x * 0.55 + shape["texture"] * 5, skin_y * 0.55, MEDIUM)[0]
        where = blob(frame.side, skin_y, 0.45, 0.45, 0.45, 0.28) + 0.4 * blob(
            frame.side, skin_y, 0.0, 0.4, 0.3, 0.4
        )
        strength = step(spots - 1.25, 0.17) * where.clamp(max=1) * shape["freckles"] * 0.75
        albedo *= 1 - strength[:, None] * rgb(device, 0.35, 0.55, 0.65)
    distance = torch.sqrt((skin_x - shape["mole_x"]) ** 2 + (skin_y - shape["mole_y"]) ** 2 + 1e-8)
    mole = step(0.026 - distance, 0.006 + 0.2 * frame.pixel) * shape["mole"]
    albedo *= 1 - (0.75 * mole)[:, None] * rgb(device, 0.8, 0.95, 1.0)


def add_nostrils(albedo: Tensor, shape: Scalars, features: Features, frame: Frame, wrinkle: Tensor) -> None:
    """Nostrils and the line under the wings, in place."""
    side = (frame.x - features.nose_x).abs()
    width = 0.064 * (1 + 0.3 * shape["nostril"])
    y = features.nose_base_y - 0.018 - 0.015 * shape["nose_turn"].clamp(min=-0.6)
    hole = torch.exp(
        -(((side - features.nose_width * 0.42) / width) ** 2)
        - ((frame.y - y) / (0.027 + 0.012 * wrinkle)) ** 2
    )
    albedo *= 1 - (1.05 * hole).clamp(max=0.86)[:, None] * rgb(albedo.device, 0.85, 0.95, 0.95)


def beard_density(shape: Scalars, features: Features, mouth: Mouth, frame: Frame) -> Tensor:
    """How much of the skin the beard hides (B, h, w); zero on the lips."""
    y, right = frame.y, frame.rightness
    side = (frame.x - features.mouth_x).abs()
    corner_x, edges = features.mouth_width.at(right), mouth.edges
    lip = step(y - features.nose_base_y - 0.045, 0.03) * step(edges.middle + 0.05 - y, 0.03)
    lip = lip * step(corner_x + 0.05 - side, 0.06)
    away = (side - corner_x).clamp(min=0)
    line = 1.08 + shape["beard_line"] - 0.55 * (away / 0.6).clamp(min=1e-6) ** 1.3
    below = step(
        y - edges.bottom - 0.05 + 0.16 * step(side - 0.20, 0.05) * step(corner_x - side, 0.04), 0.045
    )
    outside = step(side - corner_x + 0.01, 0.04) * step(y - mouth.corner_y - 0.02 + 1.5 * away, 0.05)
    jaw = torch.maximum(below, outside) * step(y - line, 0.07)
    chin = step(y - edges.bottom - 0.05, 0.04) * step(0.36 - side, 0.06)
    strip = step(side - corner_x - 0.005, 0.03) * step(corner_x + 0.12 - side, 0.03)
    strip = strip * step(y - mouth.corner_y + 0.14, 0.04) * step(y - features.nose_base_y - 0.14, 0.05)
    density = torch.maximum(shape["beard_lip"] * lip, shape["beard_chin"] * chin)
    density = torch.maximum(density, torch.maximum(shape["beard_jaw"] * jaw, shape["beard_strip"] * strip))
    return density * (1 - (mouth.upper + mouth.lower + mouth.inside).clamp(max=1))


def add_beard(albedo: Tensor, shape: Scalars, density: Tensor, frame: Frame) -> Tensor:
    """Paint the beard in place; returns its relief. Stubble only tints: dots would dither."""
    seed = shape["texture"]
    detail = min(1.0, 0.016 / frame.pixel) ** 2
    fan = frame.x * (1.15 - 0.25 * frame.y)
    hairs = noise(fan * 0.9 + seed * 3, frame.y * 0.9 + seed, STRANDS)[0]
    grain = noise(frame.x * 0.8 + seed, frame.y * 0.8, FINE)[0]
    full = step(density - 0.6, 0.08)
    color = shape["hair"] * 0.75 + rgb(albedo.device, 0.008, 0.006, 0.005)
    color = color * (1 + 0.22 * full * hairs * detail).clamp(0.4, 1.7)[:, None]
    shown = density * (1 + 0.10 * detail * grain * (1 - full))
    tint(albedo, shown.clamp(0, 1), color)
    return full * (0.012 * hairs * detail + 0.02)


def under_nose(features: Features, frame: Frame) -> Tensor:
    """Ambient light lost below the nose."""
    return 1 - 0.20 * bell(frame.y - features.nose_base_y - 0.03, 0.045) * bell(frame.side, 0.20)
