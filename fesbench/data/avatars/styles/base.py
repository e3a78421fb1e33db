"""The base style: a studio photograph."""

from __future__ import annotations

from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.scene import compose
from fesbench.data.avatars.shading import Light, shade, tone_map


def base(g: Geometry) -> Tensor:
    """Display RGB (B, 3, S, S)."""
    return tone_map(shade(g, compose(g), Light.of(g.capture)))
