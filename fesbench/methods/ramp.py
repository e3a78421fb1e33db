"""Clips of methods that make images: each frame is one, at the label's mean intensity at that time.

A method that controls ``intensity``, and not ``sequence``, answers a clip so; its row says that it is ramped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch


def ramped(answer: Callable[[RequestBatch], Tensor], requests: RequestBatch) -> Tensor:
    """Clips out of images at rising intensity, all frames of a clip with one noise.

    Args:
        answer: requests of images -> float (N, 3, H, W).
        requests: of clips.

    Returns:
        Float (N, T, 3, H, W).

    Raises:
        MethodError: no label is granted, whose intensity could rise.
    """
    return torch.stack([answer(frame_of(requests, t)) for t in range(requests.length)], dim=1)


def frame_of(requests: RequestBatch, frame: int) -> RequestBatch:
    """The requests of one frame as images: intensity, landmarks and action units as far as they have come.

    Raises:
        MethodError: see `ramped`.
    """
    strength, landmarks = requests.clip_intensity, requests.clip_landmarks
    if strength is None or landmarks is None or requests.given != "label":
        raise MethodError("a clip is ramped along the development of a label, and none is granted")
    source, now = torch.nan_to_num(requests.source_action_units), strength[:, frame]
    share = now / requests.intensity.clamp(min=1e-6)
    return replace(
        requests,
        intensity=now,
        target_action_units=torch.lerp(source, requests.target_action_units, share[:, None]),
        target_landmarks=landmarks[:, frame],
        task="intensity",
        length=1,
        clip_intensity=None,
        clip_landmarks=None,
    )
