"""What is known about every pixel before light falls on it (the G-buffer), and small drawing helpers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

BACKDROP, SKIN, BROW, EYE, UPPER_LIP, LOWER_LIP, MOUTH, EAR, HAIR, NECK, CLOTH, GLASSES = range(12)
"""Segmentation labels."""


@dataclass
class Surface:
    """A picture's surface; maps are float32 (B, S, S), colors (B, 3, S, S) linear RGB.

    Attributes:
        albedo: color without light.
        normal: three (B, S, S) maps; normalized by :meth:`finish`.
        depth: toward the viewer, face units.
        occlusion: 1 open ... 0 hidden from ambient light.
        gloss: strength of the highlight.
        sharpness: exponent of the highlight.
        backdrop: 1 where nothing but background is seen (it gets no light).
        label: segmentation.
        masks: named soft masks that styles draw with (eye, iris, pupil, mouth, teeth, lash, wrinkle ...).
    """

    albedo: Tensor
    normal: tuple[Tensor, Tensor, Tensor]
    depth: Tensor
    occlusion: Tensor
    gloss: Tensor
    sharpness: Tensor
    backdrop: Tensor
    label: Tensor
    masks: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def background(cls, albedo: Tensor) -> Surface:
        """An empty scene: nothing but the background's color."""
        zero = torch.zeros_like(albedo[:, 0])
        one = torch.ones_like(zero)
        return cls(
            albedo.clone(), (zero.clone(), zero.clone(), one.clone()), zero - 1.2, one.clone(), zero.clone(),
            zero + 14.0, one.clone(), zero.clone(),
        )  # fmt: skip

    def cover(
        self,
        mask: Tensor,
        albedo: Tensor,
        normal: tuple[Tensor, Tensor, Tensor],
        depth: Tensor,
        *,
        occlusion: Tensor | float,
        gloss: Tensor | float,
        sharpness: Tensor | float,
        label: int,
    ) -> None:
        """Lay a layer over what is there, where ``mask`` (B, S, S) says so."""
        tint(self.albedo, mask, albedo)
        for mine, theirs in zip(self.normal, normal, strict=True):
            mine += (theirs - mine) * mask
        for mine, value in (
            (self.depth, depth),
            (self.occlusion, occlusion),
            (self.gloss, gloss),
            (self.sharpness, sharpness),
        ):
            mine += (value - mine) * mask
        self.backdrop *= 1 - mask
        self.label[mask > 0.5] = float(label)

    def finish(self) -> None:
        """Normalize the normals."""
        nx, ny, nz = self.normal
        inverse = torch.rsqrt(nx * nx + ny * ny + nz * nz)
        self.normal = (nx * inverse, ny * inverse, nz * inverse)


def tint(albedo: Tensor, mask: Tensor, color: Tensor) -> None:
    """Blend ``color`` into ``albedo`` (B, 3, H, W) in place where ``mask`` (B, H, W) is 1."""
    albedo += (color - albedo) * mask[:, None]


def rgb(device: torch.device, r: float, g: float, b: float) -> Tensor:
    """A color as (1, 3, 1, 1)."""
    return torch.tensor([r, g, b], device=device)[None, :, None, None]


def blob(x: Tensor, y: Tensor, cx: Tensor | float, cy: Tensor | float, sx: float, sy: float) -> Tensor:
    """A Gaussian bump of height 1 at (cx, cy)."""
    return torch.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def step(distance: Tensor, width: float) -> Tensor:
    """A soft step: 0 far below zero, 1 far above."""
    return torch.sigmoid(distance / width)


def bell(distance: Tensor, width: Tensor | float) -> Tensor:
    """A Gaussian line profile."""
    return torch.exp(-((distance / width) ** 2))
