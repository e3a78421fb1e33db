"""What methods that make clips share: the labels that move a face, and clips at another number of frames."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.methods.card import Problem


def moving(problem: Problem) -> list[int]:
    """The labels that a clip may end in: all but neutral."""
    return [k for k in range(len(problem.labels)) if k != problem.neutral]


def category(label: Tensor, problem: Problem) -> Tensor:
    """Which of the moving labels: int64 (N,) -> bool (N, moving labels), all false for neutral and -1."""
    return label[:, None] == torch.tensor(moving(problem), device=label.device)


def at_frames(clips: Tensor, length: int) -> Tensor:
    """Clips (N, T, ...) at ``length`` equal steps of time, each the nearest frame there is; 1 = the last."""
    last = clips.shape[1] - 1
    if length == 1:
        return clips[:, last:]
    # halves go to the earlier frame, as in the clips that methods train on
    places = (torch.linspace(0, last, length, dtype=torch.float64) - 0.5 - 1e-9).ceil().long()
    return clips[:, places.clamp(0, last).to(clips.device)]


def answered(clips: Tensor, length: int) -> Tensor:
    """What `synthesize` returns of clips (N, T, 3, H, W): ``length`` frames, or the last as an image."""
    found = at_frames(clips, length)
    return found[:, 0] if length == 1 else found
