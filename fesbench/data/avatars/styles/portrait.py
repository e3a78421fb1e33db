"""An oil portrait: warm side light, brown ground, strokes that follow the form; eyes and mouth stay crisp."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.noise import COARSE, FINE, MEDIUM, noise
from fesbench.data.avatars.pose import screen_grid
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.shading import Light, box_blur, shade, tone_map
from fesbench.data.avatars.surface import Surface, rgb

_LUMA = (0.2126, 0.7152, 0.0722)
_TAPS = 4


def portrait(g: Geometry) -> Tensor:
    """Display RGB (B, 3, S, S)."""
    surface = compose(g)
    device = surface.depth.device
    backdrop = surface.backdrop[:, None]
    gray = g.capture["background"].mean(1, keepdim=True)
    x, y = screen_grid(g.size, device)
    cloud = noise(x * 0.10 + g.capture["background_phase"], y * 0.10, COARSE)[0][:, None]
    ground = rgb(device, 0.30, 0.20, 0.115) * (0.35 + gray) * (1 + 0.22 * cloud)
    surface.albedo = surface.albedo * (1 - backdrop) + ground * backdrop
    light = Light.of(g.capture)
    warm = replace(
        light,
        azimuth=torch.sign(light.azimuth) * (0.50 + 0.3 * light.azimuth.abs()),
        fill=0.75 * light.fill,
        ambient=0.75 * light.ambient,
        key_color=rgb(device, 1.07, 1.0, 0.88).expand_as(light.key_color),
        fill_color=rgb(device, 1.0, 0.97, 0.95).expand_as(light.fill_color),
    )
    picture = tone_map(shade(g, surface, warm))
    pixel = g.frame.pixel
    painted = kuwahara(kuwahara(picture, max(1, round(0.028 / pixel))), max(1, round(0.020 / pixel)))
    # Small radii near eyes, brows and mouth: a wide brush would erase what the face says.
    masks = surface.masks
    detail = masks["eye"] + masks["lash"] + 0.8 * masks["mouth"] + 0.6 * masks["line"] + 0.3 * masks["brow"]
    width = max(3, int(0.05 / pixel) | 1)
    keep = (2.0 * box_blur(detail[:, None].clamp(0, 1), width)).clamp(0, 1)
    painted = painted + (picture - painted) * 0.85 * keep
    strokes = _strokes(g, surface)[:, None] * (1 - 0.75 * keep) * (1 - 0.55 * surface.backdrop[:, None])
    luma = luminance(painted)
    rich = (luma + (painted - luma) * 1.10) * (1 + 0.018 * strokes)
    return (rich * rgb(device, 1.02, 0.995, 0.93)).clamp(0, 1)


def luminance(picture: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    return (picture * rgb(picture.device, *_LUMA)).sum(1, keepdim=True)


def kuwahara(picture: Tensor, radius: int) -> Tensor:
    """Smooth flat areas and keep edges: the mean of the calmest of four quadrants, softly chosen.

    Kuwahara et al., "Processing of RI-angiocardiographic images", 1976.
    """
    window = radius + 1
    padded = F.pad(picture, (radius, radius, radius, radius), mode="reflect")
    luma = luminance(padded)
    means = F.avg_pool2d(padded, window, 1)
    spread = F.avg_pool2d(luma * luma, window, 1) - F.avg_pool2d(luma, window, 1) ** 2
    height, width = picture.shape[-2:]
    total, weights = torch.zeros_like(picture), torch.zeros_like(luma[..., :height, :width])
    for top in (0, radius):
        for left in (0, radius):
            cut = (..., slice(top, top + height), slice(left, left + width))
            weight = 1 / (spread[cut].clamp(min=0) + 2e-5) ** 3
            # Relative weights in float32: the cube spans many decades.
            weight = weight * 1e-14
            total = total + means[cut] * weight
            weights = weights + weight
    return total / weights


def _strokes(g: Geometry, surface: Surface) -> Tensor:
    """Brush marks: noise smeared across the slope of the surface, diagonally on the ground."""
    nx, ny, _ = surface.normal
    seed = g.capture["background_phase"]
    x, y = screen_grid(g.size, nx.device)
    x, y = x.expand_as(nx), y.expand_as(nx)
    slow = noise(x * 0.12 + seed, y * 0.12, COARSE)[0]
    dx = -ny + 0.30 + 0.25 * slow
    dy = nx + 0.55 - 0.20 * slow
    length = torch.rsqrt(dx * dx + dy * dy + 1e-4) * 0.022
    dx, dy = dx * length, dy * length
    # One octave that is visible at the picture's size.
    channel, scale = (FINE, 0.16) if g.frame.pixel < 0.022 else (MEDIUM, 0.38)
    total = torch.zeros_like(nx)
    for k in range(-_TAPS, _TAPS + 1):
        total = total + noise((x + k * dx) * scale + seed, (y + k * dy) * scale, channel)[0]
    return total / (2 * _TAPS + 1) * 2.2
