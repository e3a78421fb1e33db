"""Marble: no cue of color, drilled pupils, hair as relief, raking light."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.noise import COARSE, MEDIUM, noise
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.shading import Light, shade, tone_map
from fesbench.data.avatars.surface import HAIR, bell, rgb

_GROUND = (0.035, 0.037, 0.042)


def statue(g: Geometry) -> Tensor:
    """Display RGB (B, 3, S, S)."""
    bare = {**g.shape, "glasses": torch.zeros_like(g.shape["glasses"])}
    surface = compose(replace(g, shape=bare))
    masks = surface.masks
    stone = _stone(g)
    # Only what a chisel leaves: cut lines and hollows are darker, nothing has a color of its own.
    cut = (
        0.55 * masks["pupil"]
        + 0.24 * masks["iris_ring"]
        + 0.80 * masks["mouth"] * (1 - masks["teeth"])
        + 0.10 * masks["mouth"] * masks["teeth"]
        + 0.20 * masks["brow"]
        + 0.34 * masks["line"]
        + 0.34 * masks["lash"]
        + 0.12 * masks["beard"] * (1 + 0.3 * masks["strand"])
    )
    hair = (surface.label == HAIR).float()
    cut = cut + hair * (0.14 - 0.12 * masks["strand"])
    marble = (stone * (1 - cut).clamp(0.1, 1.1))[:, None] * rgb(stone.device, 1.0, 0.985, 0.95)
    backdrop = surface.backdrop[:, None]
    surface.albedo = marble * (1 - backdrop) + rgb(stone.device, *_GROUND) * backdrop
    surface.gloss = 0.32 * (1 - surface.backdrop)
    surface.sharpness = torch.full_like(surface.gloss, 26.0)
    light = Light.of(g.capture)
    white = torch.ones_like(light.key_color)
    raking = replace(
        light,
        azimuth=torch.sign(light.azimuth) * (0.55 + 0.35 * light.azimuth.abs()),
        elevation=0.45 + 0.5 * light.elevation,
        key=1.3 * light.key,
        fill=0.6 * light.fill,
        ambient=0.55 * light.ambient,
        key_color=white,
        fill_color=white,
    )
    return tone_map(shade(g, surface, raking, catch_light=False))


def _stone(g: Geometry) -> Tensor:
    """Gray of the marble with veins: stripes bent by noise, so that they run on and never close a loop."""
    x, y, seed = g.frame.x, g.frame.y, g.shape["texture"]
    slow = noise(x * 0.10 + seed * 3, y * 0.10 + seed, COARSE)[0]
    rough = noise(x * 0.16 + seed, y * 0.16 + seed * 7, MEDIUM)[0]
    along = 1.1 * x + 0.8 * y
    bend = 0.22 * slow + 0.035 * rough
    veins = bell(
        torch.sin(2.1 * along + 6 * seed + 2.0 * bend + 0.25 * torch.sin(5 * (0.8 * x - 1.1 * y))), 0.035
    )
    fade = torch.sigmoid(2.0 * slow - 0.3)
    return (0.53 + 0.025 * slow + 0.012 * rough) * (1 - 0.15 * veins * fade)
