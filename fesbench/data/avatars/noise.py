"""Band-limited, tileable noise: the only texture the avatars use."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

COARSE, MEDIUM, FINE, STRANDS = range(4)
"""Channels: 2-6, 8-24 and 30-100 cycles a tile; and hair (fine across u, long along v)."""

_SIZE = 256


def _filtered(rng: np.random.Generator, gain: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fft2(rng.standard_normal((_SIZE, _SIZE))) * gain
    values = np.fft.ifft2(spectrum).real
    return values / values.std()


@functools.cache
def _tile() -> Tensor:
    """The noise tile, float32 (1, 4, 257, 257): unit variance, last row and column repeat the first."""
    rng = np.random.default_rng(7)
    frequency = np.fft.fftfreq(_SIZE) * _SIZE
    ku, kv = np.meshgrid(frequency, frequency)
    radius = np.hypot(ku, kv)
    channels = [
        _filtered(rng, ((radius >= low) & (radius <= high)) / np.maximum(radius, 1.0))
        for low, high in ((2, 6), (8, 24), (30, 100))
    ]
    across = np.exp(-(((np.abs(ku) - 22.0) / 14.0) ** 2))
    channels.append(_filtered(rng, across * np.exp(-((kv / 3.0) ** 2))))
    tile = np.pad(np.stack(channels), ((0, 0), (0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(tile.astype(np.float32))[None]


@functools.cache
def _tile_on(device: str) -> Tensor:
    return _tile().to(device)


def noise(u: Tensor, v: Tensor, *channels: int) -> list[Tensor]:
    """Look the noise up at continuous coordinates.

    Args:
        u: (B, H, W) horizontal coordinate in tile periods; any real number.
        v: (B, H, W) vertical coordinate in tile periods.
        channels: which bands to return.

    Returns:
        One (B, H, W) tensor a channel, zero mean and unit variance.
    """
    tile = _tile_on(str(u.device))[:, list(channels)]
    u, v = torch.broadcast_tensors(u, v)
    grid = torch.stack((2 * (u - u.floor()) - 1, 2 * (v - v.floor()) - 1), dim=-1)
    looked_up = F.grid_sample(
        tile.expand(u.shape[0], -1, -1, -1), grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return list(looked_up.unbind(1))
