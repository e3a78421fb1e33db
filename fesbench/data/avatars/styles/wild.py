"""A snapshot: turned heads, colored light, a cluttered room, sensor noise and blur."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.features import exactly
from fesbench.data.avatars.noise import COARSE, noise
from fesbench.data.avatars.pose import VIEW_SPAN, screen_grid
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.shading import Light, box_blur, shade, tone_map
from fesbench.data.avatars.surface import step

_SHAPES = 9


def wild(g: Geometry) -> Tensor:
    """Display RGB (B, 3, S, S)."""
    surface = compose(g)
    backdrop = surface.backdrop[:, None]
    surface.albedo = surface.albedo * (1 - backdrop) + _room(g) * backdrop
    picture = tone_map(shade(g, surface, Light.of(g.capture)), exposure=1.02)
    blur = g.capture["blur"][:, None]
    picture = picture + (box_blur(picture, 3) - picture) * blur
    return (picture + g.capture["grain"] * g.capture["sensor_noise"][:, None]).clamp(0, 1)


def _scatter(seed: Tensor, k: int, channel: int) -> Tensor:
    """A repeatable number in [0, 1) from a picture's scene number: (B, 1, 1)."""
    return exactly(lambda s: (torch.sin(s * 917.3 + k * 12.9898 + channel * 78.233) * 437.585) % 1.0, seed)


def _room(g: Geometry) -> Tensor:
    """Out-of-focus boxes and disks behind the person."""
    seed = g.capture["scene"]
    x, y = screen_grid(g.size, seed.device)
    x, y = x / VIEW_SPAN, y / VIEW_SPAN

    def color(k: int) -> Tensor:
        gray = 0.03 + 0.6 * _scatter(seed, k, 0) ** 2
        tints = [gray * (0.65 + 0.7 * _scatter(seed, k, 1 + c)) for c in range(3)]
        return torch.stack(tints, dim=1)

    room = color(0).expand(len(seed), 3, g.size, g.size).clone()
    for k in range(1, _SHAPES + 1):
        dx, dy = x - (_scatter(seed, k, 4) - 0.5), y - (_scatter(seed, k, 5) - 0.42)
        turn = _scatter(seed, k, 6) - 0.5
        u, v = dx * torch.cos(turn) + dy * torch.sin(turn), dy * torch.cos(turn) - dx * torch.sin(turn)
        width, height = 0.04 + 0.24 * _scatter(seed, k, 7), 0.05 + 0.40 * _scatter(seed, k, 8)
        box = step(width - u.abs(), 0.008) * step(height - v.abs(), 0.008)
        disk = step(width - torch.sqrt(dx * dx + dy * dy + 1e-8), 0.012)
        mask = torch.where(_scatter(seed, k, 9) < 0.55, box, disk)
        uneven = 1 + 0.18 * noise(x * 1.2 + 0.37 * k + seed, y * 1.2, COARSE)[0]
        room += (color(k) * uneven[:, None] - room) * mask[:, None]
    window = max(3, int(0.022 * g.size) | 1)
    return box_blur(box_blur(room, window), window)
