"""From picture specifications to pixels, landmarks and action units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fesbench.data.avatars.action_units import UNIT_KEYS, Activation, unsided, vector_of
from fesbench.data.avatars.capture import capture, sensor_noise
from fesbench.data.avatars.expressions import check_expression, peak_units
from fesbench.data.avatars.face import Plan, lay_out
from fesbench.data.avatars.identity import person
from fesbench.data.avatars.landmarks import face_landmarks
from fesbench.data.avatars.pose import project
from fesbench.data.avatars.styles import STYLE_FUNCTIONS
from fesbench.errors import UnknownNameError, UsageError

STYLES = tuple(STYLE_FUNCTIONS)
_SMALLEST, _LARGEST = 16, 1024
_MARGIN = {"wild": 0.45}
_USUAL_MARGIN = 0.18


@dataclass(frozen=True)
class AvatarSpec:
    """One picture to render.

    Attributes:
        identity: who, >= 0.
        expression: one of EXPRESSIONS or COMPOUNDS.
        intensity: 0 (neutral) ... 1 (the person's peak); scales the action units.
        take: light, background, small pose and clothes are drawn anew for each take. Pictures of one take
            are pixel-aligned, whatever the expression.
        style: one of STYLES; all but ``wild`` (which has its own pose) share their landmarks.
        action_units: sided names ("AU12L", "AU1") with intensities, instead of an expression.
        relit: draw light, background and pose anew for each expression too (used to measure identity).
    """

    identity: int
    expression: str = "neutral"
    intensity: float = 1.0
    take: int = 0
    style: str = "base"
    action_units: tuple[tuple[str, float], ...] = ()
    relit: bool = False


@dataclass(frozen=True)
class AvatarBatch:
    """Rendered pictures with their exact annotation.

    Attributes:
        images: uint8 (N, S, S, 3), sRGB.
        landmarks: float32 (N, 68, 2) x, y in pixels; pixel centers are integers; iBUG order. A wide open
            mouth may put the chin outside of the picture.
        action_units: float32 (N, len(ACTION_UNITS)) in [0, 1], the stronger side; 0 = absent.
    """

    images: np.ndarray
    landmarks: np.ndarray
    action_units: np.ndarray


def render(
    specs: Sequence[AvatarSpec], size: int, *, seed: int = 0, device: str = "cpu", chunk: int = 8
) -> AvatarBatch:
    """Render pictures; each depends on its own spec and ``seed`` alone, to the byte on one machine.

    Args:
        specs: what to draw, in any order and mix.
        size: side of the square pictures in pixels, 16 to 1024.
        seed: >= 0; another seed is another population.
        device: where to compute, "cpu" or "cuda".
        chunk: pictures computed together; affects speed only.

    Raises:
        UsageError: unknown expression, style or action unit, or a number out of range.
    """
    if not _SMALLEST <= size <= _LARGEST or chunk < 1 or seed < 0:
        raise UsageError(
            f"size {size}, chunk {chunk}, seed {seed}: use a size of {_SMALLEST} to {_LARGEST}, "
            "a chunk of at least 1 and a seed of at least 0."
        )
    vectors = np.array([_units(spec, seed) for spec in specs], np.float32).reshape(-1, len(UNIT_KEYS))
    images = np.empty((len(specs), size, size, 3), np.uint8)
    points = np.empty((len(specs), 68, 2), np.float32)
    with torch.inference_mode():
        for style in STYLES:
            chosen = [i for i, spec in enumerate(specs) if spec.style == style]
            for start in range(0, len(chosen), chunk):
                part = chosen[start : start + chunk]
                batch = _render_chunk([specs[i] for i in part], vectors[part], style, size, seed, device)
                images[part], points[part] = batch
    return AvatarBatch(images, points, unsided(vectors))


def _units(spec: AvatarSpec, seed: int) -> np.ndarray:
    """Check a spec and give its action-unit vector."""
    if spec.style not in STYLES:
        raise UnknownNameError("avatar style", spec.style, STYLES)
    if spec.identity < 0 or spec.take < 0:
        raise UsageError(f"identity {spec.identity} and take {spec.take} must not be negative.")
    if not 0.0 <= spec.intensity <= 1.0 or math.isnan(spec.intensity):
        raise UsageError(f"intensity {spec.intensity} is outside 0..1.")
    check_expression(spec.expression)
    if spec.action_units:
        if spec.expression != "neutral":
            raise UsageError(f"give either action units or the expression '{spec.expression}', not both.")
        return vector_of(spec.action_units) * np.float32(spec.intensity)
    return peak_units(seed, spec.identity, spec.expression) * np.float32(spec.intensity)


def _taken(spec: AvatarSpec, seed: int) -> dict[str, Any]:
    relit = 1 + check_expression(spec.expression) if spec.relit else 0
    return capture(seed, spec.identity, spec.take, wild=spec.style == "wild", relit=relit)


def _collate(rows: list[dict[str, Any]], device: str) -> dict[str, Tensor]:
    """Per-picture parameters -> (B, 1, 1) numbers and (B, 3, 1, 1) colors."""
    batch = {}
    for name in rows[0]:
        values = torch.tensor([row[name] for row in rows], dtype=torch.float32, device=device)
        batch[name] = values[:, :, None, None] if values.dim() == 2 else values[:, None, None]
    return batch


def _render_chunk(
    specs: list[AvatarSpec], vectors: np.ndarray, style: str, size: int, seed: int, device: str
) -> tuple[np.ndarray, np.ndarray]:
    shape = _collate([person(seed, spec.identity) for spec in specs], device)
    taken = _collate([_taken(spec, seed) for spec in specs], device)
    if style == "wild":
        grain = [sensor_noise(seed, spec.identity, spec.take, size) for spec in specs]
        taken["grain"] = torch.from_numpy(np.stack(grain)).to(device)
    au = Activation(torch.from_numpy(vectors).to(device))
    plan = Plan.of(shape, au)
    geometry = lay_out(plan, shape, taken, au, size, _MARGIN.get(style, _USUAL_MARGIN))
    rgb = STYLE_FUNCTIONS[style](geometry)
    pixels = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    exact = {name: value.double() for name, value in taken.items()}
    points = face_landmarks(plan.features, plan.contour)
    placed = project(exact, plan.features, plan.contour, points, size)
    return pixels, placed.float().cpu().numpy()
