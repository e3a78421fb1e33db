"""Random views of training images. Draws come from the CPU's generator, so that every device sees the same
views.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""Luma and the two color axes of NTSC, out of red, green and blue."""


def random_window(images: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Enlarge images by ``factor`` and cut a random window of the old size from each.

    Args:
        images: (N, C, S, S) in [-1, 1].
        factor: >= 1.

    Returns:
        The windows, and where they lie in the enlarged images: int64 (N, 2) x, y.
    """
    size = images.shape[-1]
    large = round(size * factor)
    enlarged = F.interpolate(images, size=(large, large), mode="bicubic").clamp(-1, 1)
    offsets = torch.randint(0, large - size + 1, (len(images), 2))
    windows = [
        image[:, y : y + size, x : x + size] for image, (x, y) in zip(enlarged, offsets.tolist(), strict=True)
    ]
    return torch.stack(windows), offsets


def warp(images: Tensor, *, scale: tuple[float, float], degrees: float, shift: float) -> Tensor:
    """Stretch, turn and move images at random, mirrored at their borders.

    Args:
        images: (N, C, H, W).
        scale: least and greatest factor, drawn for width and height apart.
        degrees: greatest turn to either side.
        shift: greatest move to either side, as a share of the image.
    """
    count = len(images)
    factor = torch.empty(count, 2).uniform_(*scale)
    angle = torch.empty(count).uniform_(-degrees, degrees) * (math.pi / 180)
    move = torch.empty(count, 2).uniform_(-2 * shift, 2 * shift)
    cos, sin = angle.cos(), angle.sin()
    # where each pixel of the view lies in the image
    rows = torch.stack(
        [
            torch.stack([cos / factor[:, 0], -sin / factor[:, 0], move[:, 0]], dim=1),
            torch.stack([sin / factor[:, 1], cos / factor[:, 1], move[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(rows.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def color_jitter(images: Tensor, *, brightness: float, contrast: float, hue: float) -> Tensor:
    """Change brightness, contrast and hue of images at random.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        brightness, contrast: factors are drawn within 1 - and 1 + this.
        hue: greatest turn of the colors around gray to either side, in turns.

    Returns:
        Images in [-1, 1].
    """
    count = len(images)
    light = torch.empty(count, 1, 1, 1).uniform_(1 - brightness, 1 + brightness).to(images)
    spread = torch.empty(count, 1, 1, 1).uniform_(1 - contrast, 1 + contrast).to(images)
    turn = torch.empty(count).uniform_(-hue, hue).to(images) * (2 * math.pi)
    to_yiq = images.new_tensor(_YIQ)
    found = ((images + 1) / 2 * light).clamp(0, 1)
    gray = torch.einsum("c,nchw->nhw", to_yiq[0], found).mean(dim=(1, 2))[:, None, None, None]
    found = ((found - gray) * spread + gray).clamp(0, 1)
    cos, sin = turn.cos(), turn.sin()
    turned = torch.eye(3).to(images).repeat(count, 1, 1)
    turned[:, 1, 1], turned[:, 1, 2], turned[:, 2, 1], turned[:, 2, 2] = cos, -sin, sin, cos
    mixed = torch.linalg.inv(to_yiq) @ turned @ to_yiq
    return torch.einsum("nij,njhw->nihw", mixed, found).clamp(0, 1) * 2 - 1
