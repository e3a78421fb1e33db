"""From a clip's motion to pixels, landmarks and action units, through the avatars' own renderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fesbench.data.avatar_clips.timing import ClipSpec, Motion, motion
from fesbench.data.avatars.action_units import Activation, unsided
from fesbench.data.avatars.capture import capture
from fesbench.data.avatars.face import Plan, lay_out
from fesbench.data.avatars.identity import person
from fesbench.data.avatars.landmarks import face_landmarks
from fesbench.data.avatars.pose import project
from fesbench.data.avatars.styles import STYLE_FUNCTIONS
from fesbench.errors import UsageError

_SMALLEST, _LARGEST = 16, 1024
_MARGIN = 0.18
"""By how much pose may move a feature, as for every style with a studio's pose."""

_CHUNK = 8


@dataclass(frozen=True)
class AvatarClip:
    """A rendered clip, or some of its frames, with the exact annotation of each.

    Attributes:
        images: uint8 (T, S, S, 3), sRGB.
        landmarks: float32 (T, 68, 2) x, y in pixels; pixel centers are integers; iBUG order.
        action_units: float32 (T, len(ACTION_UNITS)) in [0, 1], the stronger side; blinks are AU45.
        intensity: float64 (T,) in [0, 1]; see `fesbench.data.avatar_clips.timing.Motion`.
    """

    images: np.ndarray
    landmarks: np.ndarray
    action_units: np.ndarray
    intensity: np.ndarray


def render_clip(
    spec: ClipSpec, size: int, frames: int, *, seed: int = 0, only: Sequence[int] | None = None
) -> AvatarClip:
    """Render a clip; a frame depends on its own place alone, to the byte on one machine.

    Args:
        spec: which clip.
        size: side of the frames in pixels, 16 to 1024.
        frames: T, of the whole clip.
        seed: of the avatar family.
        only: the frames that are wanted; None: all.

    Raises:
        UsageError: a size out of range, or what `motion` refuses.
    """
    if not _SMALLEST <= size <= _LARGEST:
        raise UsageError(f"size {size}: use {_SMALLEST} to {_LARGEST} pixels.")
    moves = motion(spec, frames, seed=seed)
    chosen = np.arange(frames) if only is None else np.asarray(only, dtype=np.int64)
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    points = np.empty((len(chosen), 68, 2), np.float32)
    with torch.inference_mode():
        for start in range(0, len(chosen), _CHUNK):
            part = slice(start, start + _CHUNK)
            images[part], points[part] = _render(spec, moves, chosen[part], size, seed)
    return AvatarClip(images, points, unsided(moves.units[chosen]), moves.intensity[chosen])


def _render(
    spec: ClipSpec, moves: Motion, frames: np.ndarray, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same steps as `fesbench.data.avatars.rendering.render`, with a pose a frame."""
    still = capture(seed, spec.identity, spec.take)
    poses = [
        {**still, **{name: still[name] + float(path[frame]) for name, path in moves.head.items()}}
        for frame in frames
    ]
    shape, taken = _collate([person(seed, spec.identity)] * len(frames)), _collate(poses)
    au = Activation(torch.from_numpy(moves.units[frames]))
    plan = Plan.of(shape, au)
    rgb = STYLE_FUNCTIONS["base"](lay_out(plan, shape, taken, au, size, _MARGIN))
    pixels = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    exact = {name: value.double() for name, value in taken.items()}
    placed = project(exact, plan.features, plan.contour, face_landmarks(plan.features, plan.contour), size)
    return pixels, placed.float().numpy()


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Per-frame parameters -> (B, 1, 1) numbers and (B, 3, 1, 1) colors."""
    batch = {}
    for name in rows[0]:
        values = torch.tensor([row[name] for row in rows], dtype=torch.float32)
        batch[name] = values[:, :, None, None] if values.dim() == 2 else values[:, None, None]
    return batch
