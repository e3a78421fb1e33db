"""Light: from a surface to linear RGB, and to display values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.features import Scalars, exactly
from fesbench.data.avatars.pose import VIEW_SPAN
from fesbench.data.avatars.surface import Surface, rgb, step

_SHADOW_STEPS = (0.05, 0.10, 0.17, 0.26, 0.38, 0.55)


@dataclass(frozen=True)
class Light:
    """One key light with fill and ambient; scalars (B, 1, 1), colors (B or 1, 3, 1, 1)."""

    azimuth: Tensor
    elevation: Tensor
    key: Tensor
    fill: Tensor
    ambient: Tensor
    key_color: Tensor
    fill_color: Tensor
    shadow: float = 0.75

    @classmethod
    def of(cls, capture: Scalars) -> Light:
        """The light of a take."""
        return cls(
            azimuth=capture["key_azimuth"],
            elevation=capture["key_elevation"],
            key=capture["key"],
            fill=capture["fill"],
            ambient=capture["ambient"],
            key_color=capture["key_color"],
            fill_color=capture["fill_color"],
        )

    def direction(self) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vector to the key light."""
        flat, up = exactly(torch.cos, self.elevation), exactly(torch.sin, self.elevation)
        return exactly(torch.sin, self.azimuth) * flat, -up, exactly(torch.cos, self.azimuth) * flat


def box_blur(image: Tensor, width: int) -> Tensor:
    """Mean over a ``width`` square (odd), edges replicated; (B, C, H, W)."""
    half = width // 2
    return F.avg_pool2d(F.pad(image, (half, half, half, half), mode="replicate"), width, 1)


def cast_shadow(depth: Tensor, light: Light) -> Tensor:
    """1 in the light ... 1 - strength in soft shadow of the height field, (B, S, S); half resolution."""
    lx, ly, lz = light.direction()
    low = F.avg_pool2d(depth[:, None], 2)
    h, w = low.shape[-2:]
    device = depth.device
    ys = torch.linspace(-1 + 1 / h, 1 - 1 / h, h, device=device)
    xs = torch.linspace(-1 + 1 / w, 1 - 1 / w, w, device=device)
    hidden = torch.zeros_like(low)
    for reach in _SHADOW_STEPS:
        gx = xs[None, None, :] + lx * (2 * reach / VIEW_SPAN)
        gy = ys[None, :, None] + ly * (2 * reach / VIEW_SPAN)
        grid = torch.stack(torch.broadcast_tensors(gx, gy), dim=-1)
        there = F.grid_sample(low, grid, padding_mode="border", align_corners=False)
        hidden = torch.maximum(hidden, (there - low - (lz * reach)[:, None]) / (0.05 + 0.25 * reach))
    hidden = box_blur(hidden.clamp(0, 1), 3)
    full = F.interpolate(hidden, size=depth.shape[-2:], mode="bilinear", align_corners=False)
    return 1 - light.shadow * full[:, 0]


def cavity(depth: Tensor, pixel: float) -> Tensor:
    """Ambient light lost where the surface lies below its neighborhood, (B, S, S)."""
    width = max(3, int(0.08 / pixel) | 1)
    here = depth[:, None].clamp(min=-0.4)
    around = box_blur(box_blur(F.avg_pool2d(here, 2), width), width)
    around = F.interpolate(around, size=depth.shape[-2:], mode="bilinear", align_corners=False)
    return (1 - 2.2 * (around - here)[:, 0].clamp(0, 0.25)).clamp(0.35, 1)


def shade(g: Geometry, surface: Surface, light: Light, *, catch_light: bool = True) -> Tensor:
    """Linear RGB (B, 3, S, S) of a lit surface.

    The key light wraps round the form, further in red than in blue: a cheap subsurface glow.
    """
    nx, ny, nz = surface.normal
    device = nx.device
    lx, ly, lz = light.direction()
    facing = nx * lx + ny * ly + nz * lz
    shadow = cast_shadow(surface.depth, light)
    wrap = rgb(device, 0.38, 0.26, 0.20)
    key = ((facing[:, None] + wrap) / (1 + wrap)).clamp(min=0) ** 1.15
    tinted_shadow = torch.exp(torch.log(shadow)[:, None] * rgb(device, 0.75, 1.0, 1.1))
    side = -torch.sign(light.azimuth)
    fill = (0.65 * side * nx - 0.1 * ny + 0.75 * nz + 0.3).clamp(min=0) / 1.3
    open_to = surface.occlusion * cavity(surface.depth, g.frame.pixel)
    soft = (light.fill * fill + light.ambient * (0.75 - 0.35 * ny)) * open_to
    received = (light.key[:, None] * key * tinted_shadow) * light.key_color + soft[:, None] * light.fill_color
    norm = torch.sqrt(lx**2 + ly**2 + (lz + 1) ** 2)
    half = ((nx * lx + ny * ly + nz * (lz + 1)) / norm).clamp(min=1e-3)
    fresnel = 0.6 + 0.8 * (1 - nz.clamp(0, 1)) ** 3
    highlight = surface.gloss * 0.22 * half**surface.sharpness * shadow * light.key * fresnel
    lit = surface.albedo * received + highlight[:, None]
    if catch_light:
        lit = lit + 0.9 * _catch_light(g, surface, light)[:, None]
    backdrop = surface.backdrop[:, None]
    return lit + (0.8 * surface.albedo - lit) * backdrop


def _catch_light(g: Geometry, surface: Surface, light: Light) -> Tensor:
    """The small reflection on each eye, toward the key light."""
    frame, features, capture = g.frame, g.features, g.capture
    dx = frame.x - torch.sign(frame.x) * features.eye_x - 0.10 * capture["gaze_x"]
    dx = dx - 0.035 * torch.sign(light.azimuth)
    dy = frame.y - features.eye_y.at(frame.rightness) + 0.042 - 0.07 * capture["gaze_y"]
    distance = torch.sqrt(dx * dx + dy * dy + 1e-8)
    return step(0.024 - distance, 0.3 * frame.pixel) * surface.masks["eye"]


def tone_map(linear: Tensor, exposure: float = 1.12) -> Tensor:
    """Linear light -> display values in [0, 1], with a gentle shoulder and gamma 2.2."""
    value = (linear * exposure).clamp(min=0)
    value = value * (1 + value / 4.0) / (1 + 0.75 * value)
    return value.clamp(1e-5, 1) ** (1 / 2.2)
