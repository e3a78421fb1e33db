"""The 68 landmarks (iBUG order), read off the curves that draw the face."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.data.avatars import curves
from fesbench.data.avatars.contour import Contour
from fesbench.data.avatars.features import Features

_JAW = (66, 58, 50, 42, 34, 25, 17, 8, 0)
"""Samples of the dense half outline, eye level down to the chin (0); every eighth is a control point."""

_INSET = (0.955, 0.965, 0.98, 0.99)
"""Beside the ears, annotators mark where the ear joins the cheek, a little inside of the silhouette."""

_BROW = (0.03, 0.27, 0.52, 0.76, 0.97)
_BROW_OFFSET = 0.015
_CORNER = 0.95
_LID = 0.38


def face_landmarks(features: Features, contour: Contour) -> Tensor:
    """Landmarks in face coordinates before pose, (B, 68, 2), in the features' precision."""
    parts = [
        _jaw(contour),
        _brow(features, 0),
        _brow(features, 1),
        _nose(features),
        _eye(features, 0),
        _eye(features, 1),
        _mouth(features),
    ]
    return torch.cat(parts, dim=1)


def _jaw(contour: Contour) -> Tensor:
    left, right = (half[:, list(_JAW)] for half in contour.points)
    inset = left.new_tensor((*_INSET, *[1.0] * (len(_JAW) - len(_INSET))))[:, None]
    one = torch.ones_like(inset)
    mirrored = left * torch.cat([-inset, one], dim=1)
    return torch.cat([mirrored, (right * torch.cat([inset, one], dim=1))[:, :-1].flip(1)], dim=1)


def _row(features: Features, values: tuple[float, ...] | list[float]) -> Tensor:
    """Curve parameters as (1, 1, K), to be broadcast with (B, 1, 1) features."""
    return torch.tensor(values, dtype=features.jaw.dtype, device=features.jaw.device)[None, None]


def _points(x: Tensor, y: Tensor) -> Tensor:
    """(B, 1, K) coordinates -> (B, K, 2)."""
    x, y = torch.broadcast_tensors(x, y)
    return torch.stack((x[:, 0], y[:, 0]), dim=-1)


def _brow(features: Features, side: int) -> Tensor:
    along = _row(features, _BROW if side else _BROW[::-1])
    start = features.brow_inner_x[side]
    x = (2 * side - 1) * (start + (features.brow_outer_x - start) * along)
    return _points(x, curves.brow(features, along, float(side)) + _BROW_OFFSET)


def _nose(features: Features) -> Tensor:
    down = _row(features, [0.03, 0.37, 0.71, 1.06])
    height = features.nose_tip_y - features.nasion_y
    bridge = _points(features.nose_x + 0 * down, features.nasion_y + height * down)
    across = _row(features, [-1.0, -0.5, 0.0, 0.5, 1.0])
    x = features.nose_x + 0.93 * features.nose_width * across
    raised = 0.3 * (features.nose_base_y - 0.105 - features.ala_y)
    y = features.nose_base_y + 0.03 - 0.065 * across.abs() ** 1.5 - raised * across.abs()
    return torch.cat([bridge, _points(x, y)], dim=1)


def _eye(features: Features, side: int) -> Tensor:
    # Both orders go clockwise in the image, from the outer (left eye) or inner (right eye) corner.
    order = [-_CORNER, -_LID, _LID, _CORNER, _LID, -_LID]
    along = _row(features, order if side else [-a for a in order])
    up, low = curves.lids(features, along, float(side))
    weight = _row(features, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]), _row(features, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    y = curves.eye_axis(features, along, float(side)) + weight[0] * up + weight[1] * low
    return _points((2 * side - 1) * (features.eye_x + features.eye_width * along), y)


_MOUTH = (
    *((-1.0, "middle"), (-0.62, "top"), (-0.25, "top"), (0.0, "top"), (0.25, "top"), (0.62, "top")),
    *((1.0, "middle"), (0.62, "bottom"), (0.27, "bottom"), (0.0, "bottom"), (-0.27, "bottom")),
    *((-0.62, "bottom"), (-0.86, "middle"), (-0.27, "upper_inner"), (0.0, "upper_inner")),
    *((0.27, "upper_inner"), (0.86, "middle"), (0.27, "lower_inner"), (0.0, "lower_inner")),
    (-0.27, "lower_inner"),
)


def _mouth(features: Features) -> Tensor:
    along = _row(features, [position for position, _ in _MOUTH])
    rightness = _row(features, [0.5 if a == 0 else float(a > 0) for a, _ in _MOUTH])
    lips = curves.lips(features, along, rightness)._asdict()
    y = torch.cat([lips[edge][..., k : k + 1] for k, (_, edge) in enumerate(_MOUTH)], dim=-1)
    return _points(features.mouth_x + features.mouth_width.at(rightness) * along, y)
