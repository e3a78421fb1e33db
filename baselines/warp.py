"""Reference row: the source warped piecewise-affinely to the target's landmarks; shape without texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard

_BORDER = 5


@dataclass(frozen=True)
class WarpHyper:
    """Nothing to set."""


class Warp(Method):
    """Triangles between the target's landmarks and the image border, filled from the source's triangles."""

    card: ClassVar[MethodCard] = MethodCard(
        id="warp",
        title="warp",
        citation="The source warped to the target's landmarks",
        year=0,
        needs=frozenset({"pairs", "neutral", "landmarks"}),
        controls=frozenset(
            {"expression", "transfer", "intensity", "compound", "sequence", "motion-transfer"}
        ),
        reference=True,
        notes="a label becomes its mean displacement, scaled by intensity; in clips its mean trajectory",
    )
    presets: ClassVar[dict[str, Any]] = {"paper": WarpHyper(), "tiny": WarpHyper()}

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Warped sources; clips along the landmarks of each frame.

        Raises:
            MethodError: landmarks are not known.
        """
        if requests.clip_landmarks is None:
            return self._warped(requests.source, requests.source_landmarks, requests.target_landmarks)
        frames = requests.clip_landmarks.unbind(1)
        made = [self._warped(requests.source, requests.source_landmarks, frame) for frame in frames]
        return torch.stack(made, dim=1)

    def _warped(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        size = self.problem.size
        known, wanted = (points.double().cpu().numpy() for points in (source, target))
        if not (np.isfinite(known).all() and np.isfinite(wanted).all()):
            raise MethodError("warp was asked for an image whose landmarks are not known")
        fields = [source_positions(a, b, size) for a, b in zip(known, wanted, strict=True)]
        # grid_sample without aligned corners puts -1 and 1 at the outer edges of the border pixels.
        grid = (2 * torch.from_numpy(np.stack(fields)) + 1) / size - 1
        grid = grid.to(images)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(-1, 1)


def source_positions(source: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """Where each output pixel comes from: float64 (size, size, 2), x and y in source pixels.

    Args:
        source, target: float64 (68, 2) landmarks in pixels; those that coincide in the target count once.
        size: side of the image.
    """
    from scipy.spatial import Delaunay

    border = border_points(size)
    # A landmark on or beyond the border would fight with the points that hold the border in place.
    inside = ((target > 0.5) & (target < size - 1.5)).all(axis=1)
    wanted = np.concatenate([target[inside], border])
    _, first = np.unique(wanted.round(3), axis=0, return_index=True)
    wanted = wanted[np.sort(first)]
    known = np.concatenate([source[inside], border])[np.sort(first)]
    mesh = Delaunay(wanted)
    y, x = np.mgrid[0:size, 0:size]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    triangle = mesh.find_simplex(pixels, tol=1e-6)
    transform = mesh.transform[triangle]
    first_two = np.einsum("nij,nj->ni", transform[:, :2], pixels - transform[:, 2])
    weights = np.concatenate([first_two, 1 - first_two.sum(axis=1, keepdims=True)], axis=1)
    found = np.einsum("nk,nkc->nc", weights, known[mesh.simplices[triangle]])
    # A triangle too flat to invert covers no pixel center worth speaking of; such pixels stay where they are.
    broken = ~np.isfinite(found).all(axis=1) | (triangle < 0)
    found[broken] = pixels[broken]
    return found.reshape(size, size, 2)


def border_points(size: int) -> np.ndarray:
    """Evenly spaced points on the image border: float64 (4 * _BORDER - 4, 2)."""
    axis = np.linspace(0, size - 1, _BORDER)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return grid[(grid == 0).any(axis=1) | (grid == size - 1).any(axis=1)]
