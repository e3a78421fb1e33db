"""Head hair: one outline, one hairline, falling locks, and strands that shine.

Both outline and hairline are displaced by noise of *one* variable (the angle, or x), so that no curl can
come loose from the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fesbench.data.avatars.contour import distance_to_pole
from fesbench.data.avatars.features import Scalars
from fesbench.data.avatars.noise import COARSE, MEDIUM, STRANDS, noise
from fesbench.data.avatars.pose import Frame
from fesbench.data.avatars.surface import bell, step


@dataclass(frozen=True)
class Hair:
    """The hair of a batch; maps (B, S, S), color (B, 3, S, S).

    Attributes:
        front: hair before the face and the ears.
        back: hair behind neck and ears.
        below_line: distance below the hairline (for its shadow).
        strand: unit-variance strand pattern.
        color: albedo.
        normal: bulge of the hair with its strands.
        gloss: strength of the highlight.
    """

    front: Tensor
    back: Tensor
    below_line: Tensor
    strand: Tensor
    color: Tensor
    normal: tuple[Tensor, Tensor, Tensor]
    gloss: Tensor


def part_angle(shape: Scalars, x: Tensor, y: Tensor) -> Tensor:
    """Direction of the strands: the angle about a point above the crown; 0 is straight down."""
    return torch.atan2(x - 0.7 * shape["hair_part"], y + 2.35)


def grow(shape: Scalars, frame: Frame, radius: Tensor, angle: Tensor) -> Hair:
    """Lay the hair: ``radius`` is the head's outline in each pixel's direction, ``angle`` the strands'."""
    curl, long = shape["hair_curl"], shape["hair_long"]
    strand, curls, rough = _pattern(shape, frame, angle)
    pattern = strand + (curls - strand) * curl
    cap = _cap(shape, frame, radius, angle)
    below, front = _front(shape, frame)
    sides = _sides(shape, frame, rough)
    outer, fall = _back_outline(shape, frame, rough)
    locks = _locks(shape, frame, rough) * outer * fall * long
    # Short curls end behind the ears; below them their outline would come loose from the head.
    behind = torch.maximum(long, curl * step(0.45 - frame.y, 0.12))
    back = torch.maximum(outer * fall * step(frame.y + 0.5, 0.1) * long, cap * behind)
    visible = torch.maximum(cap * torch.maximum(front, sides), locks) * shape["hair_on"]
    shade = (1 + (0.20 - 0.05 * curl) * pattern).clamp(0.45, 1.8)
    color = shape["hair"] * shade[:, None]
    normal = _normal(shape, frame, strand, curls, angle)
    return Hair(visible, back * shape["hair_on"], below, pattern, color, normal, _gloss(shape, frame, strand))


def _pattern(shape: Scalars, frame: Frame, angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Strands along the hair, curls, and a slow field that bends the locks' edges."""
    seed, y = shape["texture"], frame.y
    slow = noise(frame.x * 0.16 + seed * 7.3, y * 0.16 + seed * 3.1, COARSE)[0]
    bend = shape["hair_wave"] * 0.014 * torch.sin(3.6 * y + 0.5 * slow + 20 * seed)
    around, down = angle + bend, distance_to_pole(frame.x, y)
    broad, fine = (
        noise(around * scale + seed * a, down * 0.16 + seed * b, STRANDS)[0]
        for scale, a, b in ((0.45, 11.0, 1.0), (1.25, 5.0, 2.0))
    )
    detail = min(1.0, 0.016 / frame.pixel)
    strand = 0.55 * broad + 0.45 * detail * fine
    curls = noise(frame.x * 0.36 + seed + 0.05 * slow, y * 0.36, MEDIUM)[0]
    return strand, curls, slow


def _cap(shape: Scalars, frame: Frame, radius: Tensor, angle: Tensor) -> Tensor:
    """1 inside the hair's outline round the skull."""
    y, curl = frame.y, shape["hair_curl"]
    swell = shape["hair_top"] * step(-0.1 - y, 0.25) + shape["hair_side"] * bell(y - 0.0, 0.85)
    seed = shape["texture"]
    turn = torch.atan2(frame.x, 0.42 - y)
    zero = torch.zeros_like(turn)
    clumps = noise(turn * 0.30 + seed * 3, zero + seed, MEDIUM)[0]
    tips = noise(turn * 0.95 + seed * 9, zero + seed * 2, STRANDS)[0]
    ragged = (0.006 + 0.034 * curl) * clumps + 0.004 * (1 - curl) * tips
    return step(radius + swell + ragged - distance_to_pole(frame.x, y), 1.1 * frame.edge + 0.010)


def _front(shape: Scalars, frame: Frame) -> tuple[Tensor, Tensor]:
    """Distance below the hairline, and 1 above it."""
    x, side, seed = frame.x, frame.side, shape["texture"]
    width = 1.04 * (1 + shape["face_width"])
    across = side / width
    line = -1.10 - shape["hairline"] - 1.1 * shape["forehead"]
    line = line + 0.24 * across**2 + 1.2 * across.clamp(0, 1.05) ** 9
    # Temples recede a little, more on some heads; a widow's peak dips in the middle.
    line = line - (0.05 + shape["hair_recede"]) * bell(side - 0.55, 0.22) - 0.4 * shape["hair_recede"]
    line = line + 0.07 * shape["widow_peak"] * bell(side, 0.16) * (1 - step(shape["hair_fringe"] - 0.1, 0.02))
    from_part = x - shape["hair_part"]
    direction = torch.sign(shape["hair_part"])
    line = line - shape["hair_split"] * bell(from_part, 0.14)
    line = line + shape["hair_sweep"] * torch.tanh(-3.0 * from_part * direction) * bell(from_part, 0.95)
    bangs = shape["hair_fringe"] * (1 - 0.10 * (x / 0.6) ** 2) * step(0.98 - side, 0.07)
    line = line + bangs
    zero = torch.zeros_like(x)
    clumps = noise(x * 0.30 + seed * 5, zero + seed * 4, MEDIUM)[0]
    tips = noise(x * 0.85 + seed * 2, zero + seed * 6, STRANDS)[0]
    ragged = 0.016 + 0.012 * step(shape["hair_fringe"] - 0.1, 0.02) + 0.014 * shape["hair_curl"]
    line = line + ragged * clumps + 0.35 * ragged * tips * (1 - 0.5 * shape["hair_curl"])
    below = frame.y - line
    return below, step(-below, 0.022 + 0.3 * frame.pixel)


def _sides(shape: Scalars, frame: Frame, rough: Tensor) -> Tensor:
    """Hair at the temples that narrows into the sideburn."""
    y = frame.y
    inner = 1.025 - 0.20 * (-y - 0.10).clamp(min=0) ** 1.5 + 0.09 * y.clamp(min=0)
    inner = inner * (1 + shape["face_width"] + 0.5 * shape["temple_width"]) + 0.012 * rough
    inner = inner - 0.06 * shape["hair_curl"]
    return step(frame.side - inner, 0.020 + 0.3 * frame.pixel) * step(shape["hair_burn"] - y, 0.05)


def _back_outline(shape: Scalars, frame: Frame, rough: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of the falling hair's width and of its lower end."""
    y, side, seed = frame.y, frame.side, shape["texture"]
    width = 1.13 * (1 + shape["face_width"] + 0.5 * shape["temple_width"]) + shape["hair_side"]
    width = width + 0.07 * step(y - 0.4, 0.5) + 0.025 * rough
    width = width + 0.045 * shape["hair_wave"] * torch.sin((y + 5 * seed) * 3.2)
    zero = torch.zeros_like(y)
    lumps = noise(y * 0.17 + seed * 3, zero + torch.sign(frame.x) * 0.21, MEDIUM)[0]
    width = width + 0.026 * shape["hair_curl"] * lumps
    tips = noise(frame.x * 0.6 + seed * 8, zero + seed, STRANDS)[0]
    end = (
        shape["hair_fall"] - 0.35 * (side - 1.05).clamp(min=0) ** 2 / 0.12 * 0.3 + 0.010 * tips + 0.02 * rough
    )
    return step(width - side, 0.014 + 0.4 * frame.pixel), step(end - y, 0.025 + 0.3 * frame.pixel)


def _locks(shape: Scalars, frame: Frame, rough: Tensor) -> Tensor:
    """Hair that falls before the ears and frames the face."""
    y, seed = frame.y, shape["texture"]
    inner = 1.00 - 0.20 * (-y - 0.10).clamp(min=0) ** 1.5 - 0.05 * bell(y - 0.85, 0.6)
    inner = inner + 0.030 * shape["hair_wave"] * torch.sin(3.2 * y + 14 * seed) + 0.022 * rough
    inner = inner * (1 + shape["face_width"] + 0.5 * shape["temple_width"])
    zero = torch.zeros_like(y)
    lumps = noise(y * 0.22 + seed * 5, zero + torch.sign(frame.x) * 0.33, MEDIUM)[0]
    inner = inner + 0.022 * shape["hair_curl"] * lumps
    return step(frame.side - inner, 0.016 + 0.3 * frame.pixel) * step(y + 0.95, 0.06)


def _normal(
    shape: Scalars, frame: Frame, strand: Tensor, curls: Tensor, angle: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    curl = shape["hair_curl"]
    across = (frame.x / 1.35).clamp(-1, 1)
    upward = ((frame.y + 0.35) / 1.65).clamp(-1, 0.6)
    # Strands tilt the normal across their own direction.
    bump = 0.18 * strand * (1 - curl)
    nx = 1.25 * across + bump * torch.cos(angle) + 0.34 * curl * curls
    ny = 0.9 * upward - bump * torch.sin(angle) + 0.20 * curl * curls
    return nx, ny, torch.ones_like(nx)


def _gloss(shape: Scalars, frame: Frame, strand: Tensor) -> Tensor:
    """A band of light that follows the skull, broken by the strands; curls scatter it."""
    band = bell(frame.y + 1.02 - 0.42 * frame.x**2, 0.24) + 0.6 * bell(frame.y - 0.55, 0.45) * step(
        frame.side - 0.9, 0.1
    )
    return ((0.16 + 0.55 * band * (1 - 0.7 * shape["hair_curl"])) * (1 + 0.45 * strand)).clamp(0, 1)
