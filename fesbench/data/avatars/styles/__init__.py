"""Ways to draw the same geometry: the base style and four that a method never trained on.

A style is a function ``(Geometry) -> display RGB (B, 3, S, S) in [0, 1]``. Landmarks, action units and
identity are the geometry's, so they stay valid in all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from fesbench.data.avatars.face import Geometry
from fesbench.data.avatars.styles.base import base
from fesbench.data.avatars.styles.cartoon import cartoon
from fesbench.data.avatars.styles.portrait import portrait
from fesbench.data.avatars.styles.statue import statue
from fesbench.data.avatars.styles.wild import wild

STYLE_FUNCTIONS: dict[str, Callable[[Geometry], Tensor]] = {
    "base": base,
    "statue": statue,
    "portrait": portrait,
    "cartoon": cartoon,
    "wild": wild,
}
