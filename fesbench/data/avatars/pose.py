"""View and head pose: from pixels to face coordinates and back.

Face coordinates: unit = mean distance between the pupils, origin between the eyes, x to the image's
right, y down, z toward the viewer. Projection is orthographic.

The rotation uses a *pose depth* that is smoother than the drawn surface: its slope is bounded, so a
turned head never folds over itself, and the landmarks stay exact because they use the same depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fesbench.data.avatars.contour import Contour
from fesbench.data.avatars.features import Features, Scalars, exactly

VIEW_CENTER = (0.0, 0.32)
VIEW_SPAN = 3.72
_PIVOT = 0.35
_ITERATIONS = 6


@dataclass(frozen=True)
class Frame:
    """Coordinates of every pixel of a picture, or of a window of it; tensors are (B, H, W).

    Attributes:
        x: face coordinate to the image's right.
        y: face coordinate, down.
        side: |x|: mirror-symmetric features are written for one side.
        rightness: 0 on the image's left ... 1 on its right, soft over the midline.
        pixel: size of a pixel in face units.
        edge: softness of a sharp edge: sigmoid(distance / edge) is an antialiased step.
    """

    x: Tensor
    y: Tensor
    side: Tensor
    rightness: Tensor
    pixel: float
    edge: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor, pixel: float) -> Frame:
        """Derive the mirrored coordinates and the edge width from x and y."""
        return cls(x, y, x.abs(), torch.sigmoid(x / 0.03), pixel, 0.45 * pixel)

    def window(self, rows: slice, columns: slice) -> Frame:
        """The same coordinates on a rectangle of pixels."""
        cut = (slice(None), rows, columns)
        x, y, side, rightness = (t[cut].contiguous() for t in (self.x, self.y, self.side, self.rightness))
        return Frame(x, y, side, rightness, self.pixel, self.edge)


def window(size: int, half_width: float, top: float, bottom: float, margin: float) -> tuple[slice, slice]:
    """Rows and columns of a ``size`` picture that hold a box of face units, whatever the pose.

    ``margin`` (units) covers the largest displacement by pose; it is fixed for a style, never taken from
    the batch, so that a picture does not depend on its neighbors.
    """

    def span(low: float, high: float, center: float) -> slice:
        start = int((low - margin - center) / VIEW_SPAN * size + size / 2)
        stop = int((high + margin - center) / VIEW_SPAN * size + size / 2) + 1
        # Multiples of 8 keep rows aligned to vector registers.
        return slice(max(0, start // 8 * 8), min(size, -(-stop // 8) * 8))

    return span(top, bottom, VIEW_CENTER[1]), span(-half_width, half_width, VIEW_CENTER[0])


def _rotation(capture: Scalars) -> list[list[Tensor]]:
    """Roll x pitch x yaw as nested 3 x 3 list of (B, 1, 1)."""
    (cy, sy), (cp, sp), (cr, sr) = (
        (exactly(torch.cos, capture[name]), exactly(torch.sin, capture[name]))
        for name in ("yaw", "pitch", "roll")
    )
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    yaw = [[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]]
    pitch = [[one, zero, zero], [zero, cp, sp], [zero, -sp, cp]]
    roll = [[cr, -sr, zero], [sr, cr, zero], [zero, zero, one]]
    return _product(roll, _product(pitch, yaw))


def _product(a: list[list[Tensor]], b: list[list[Tensor]]) -> list[list[Tensor]]:
    return [[a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j] for j in range(3)] for i in range(3)]


def _pose_depth(features: Features, contour: Contour, x: Tensor, y: Tensor) -> Tensor:
    """Smooth depth of head and nose, relative to the pivot."""
    head = torch.exp(-1.1 * contour.reach(x, y) ** 2.4)
    along = ((y - features.nasion_y) / (features.nose_tip_y - features.nasion_y)).clamp(0, 1.25)
    width = 0.15 + 0.05 * along
    ridge = torch.exp(-(((x - features.nose_x) / width) ** 2))
    nose = features.nose_depth * along**1.3 * ridge * torch.sigmoid((features.nose_base_y - y) / 0.06)
    return head + nose - _PIVOT


def screen_grid(size: int, device: torch.device, border: int = 0) -> tuple[Tensor, Tensor]:
    """Screen coordinates (face units, before pose) of pixel centers: two (1, S + 2 border, same) tensors."""
    side = size + 2 * border
    steps = (torch.arange(side, dtype=torch.float32, device=device) + 0.5 - border) / size - 0.5
    x = (steps * VIEW_SPAN + VIEW_CENTER[0])[None, None, :].expand(1, side, side)
    y = (steps * VIEW_SPAN + VIEW_CENTER[1])[None, :, None].expand(1, side, side)
    return x, y


def body_coordinates(capture: Scalars, size: int, border: int = 0) -> tuple[Tensor, Tensor]:
    """Coordinates (B, S, S) of the picture after zoom and shift, without the head's rotation."""
    screen_x, screen_y = screen_grid(size, capture["zoom"].device, border)
    return (screen_x - capture["shift_x"]) / capture["zoom"], (screen_y - capture["shift_y"]) / capture[
        "zoom"
    ]


def face_coordinates(
    capture: Scalars, features: Features, contour: Contour, size: int, border: int = 0
) -> tuple[Tensor, Tensor]:
    """Face coordinates (B, S, S) of each pixel, by fixed-point inversion of the projection."""
    rotation = _rotation(capture)
    u0, v0 = body_coordinates(capture, size, border)
    determinant = rotation[0][0] * rotation[1][1] - rotation[0][1] * rotation[1][0]
    x, y = u0, v0
    for _ in range(_ITERATIONS):
        depth = _pose_depth(features, contour, x, y)
        u, v = u0 - rotation[0][2] * depth, v0 - rotation[1][2] * depth
        x = (rotation[1][1] * u - rotation[0][1] * v) / determinant
        y = (rotation[0][0] * v - rotation[1][0] * u) / determinant
    return x, y


def project(capture: Scalars, features: Features, contour: Contour, points: Tensor, size: int) -> Tensor:
    """Face points (B, K, 2) -> pixel coordinates (B, K, 2); pixel centers are integers."""
    x, y = points[:, None, :, 0], points[:, None, :, 1]
    depth = _pose_depth(features, contour, x, y)
    rotation = _rotation(capture)
    screen = [
        (row[0] * x + row[1] * y + row[2] * depth) * capture["zoom"] + capture[shift]
        for row, shift in zip(rotation[:2], ("shift_x", "shift_y"), strict=True)
    ]
    pixels = [
        (s[:, 0] - c) / VIEW_SPAN * size + size / 2 - 0.5 for s, c in zip(screen, VIEW_CENTER, strict=True)
    ]
    return torch.stack(pixels, dim=-1)


def depth_on_screen(capture: Scalars, x: Tensor, y: Tensor, height: Tensor) -> Tensor:
    """The surface's depth after rotation; its slopes over the screen give the normals."""
    row = _rotation(capture)[2]
    return row[0] * x + row[1] * y + row[2] * height
