"""Where the features of a face are: from identity and action units to a few dozen scalars.

Every displacement of an action unit stands here (and the jaw's in ``contour``), in face units at full
intensity; minus is up. The same scalars place the landmarks and draw the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from fesbench.data.avatars.action_units import Activation, Sided

Scalars = dict[str, Tensor]
"""Identity or capture parameters of a batch: (B, 1, 1) numbers and (B, 3, 1, 1) colors."""


def exactly(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply an elementwise function to a few numbers a picture, in float64, rounded back to the input's type.

    A float32 sine or power may differ in its last bit with the number's place in a vector register, that is
    with the batch; a picture must not.
    """
    return function(values.double()).to(values.dtype)


@dataclass(frozen=True)
class Features:
    """Feature positions and sizes of a batch, each (B, 1, 1) or a pair of sides."""

    jaw: Tensor
    smile: Sided
    eye_x: Tensor
    eye_y: Sided
    eye_width: Tensor
    eye_tilt: Sided
    upper_lid: Sided
    lower_lid: Sided
    lid_power: Tensor
    lid_skew: Tensor
    brow_inner_x: Sided
    brow_outer_x: Tensor
    brow_inner_y: Sided
    brow_peak_y: Sided
    brow_outer_y: Sided
    nose_x: Tensor
    nasion_y: Tensor
    nose_tip_y: Tensor
    nose_base_y: Tensor
    nose_width: Tensor
    nose_depth: Tensor
    ala_y: Tensor
    mouth_x: Tensor
    mouth_y: Tensor
    mouth_rest_y: Tensor
    mouth_width: Sided
    corner: Sided
    upper_lip: Tensor
    lower_lip: Tensor
    upper_gap: Tensor
    lower_gap: Tensor
    mouth_lift: Tensor
    lower_pull: Tensor
    squareness: Tensor
    protrusion: Tensor
    cupid: Tensor
    chin_y: Tensor

    def single(self) -> Features:
        """The same in float32, for the pixels."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            sides = isinstance(value, Sided)
            values[name] = Sided(value.left.float(), value.right.float()) if sides else value.float()
        return Features(**values)


def jaw_drop(au: Activation) -> Tensor:
    """How far the jaw falls (AU26, AU27), (B, 1, 1)."""
    return 0.20 * au.unit(26) + 0.30 * au.unit(27)


def locate(shape: Scalars, au: Activation) -> Features:
    """All features of a batch."""
    found: dict[str, Tensor | Sided] = {}
    found.update(_eyes(shape, au))
    found.update(_brows(shape, au))
    found.update(_nose(shape, au))
    found.update(_mouth(shape, au))
    jaw = jaw_drop(au)
    length = 1 + shape["face_length"]
    chin = 1.53 * length * (1 + 0.6 * shape["chin_length"]) + 0.95 * jaw - 0.05 * au.unit(17)
    return Features(jaw=jaw, smile=au.sided(12), chin_y=chin, **found)  # type: ignore[arg-type]


def _eyes(shape: Scalars, au: Activation) -> dict[str, Tensor | Sided]:
    up_rest = 0.104 * (1 + shape["eye_height"])
    low_rest = 0.060 * (1 + 0.5 * shape["eye_height"])
    nose_wrinkle = au.unit(9)

    def lids(side: int) -> tuple[Tensor, Tensor, Tensor]:
        brow, widen, cheek, tight, smile, inner, outer, closed = (
            pair[side] for pair in (*(au.sided(n) for n in (4, 5, 6, 7, 12, 1, 2)), au.closure())
        )
        upper = up_rest + 0.060 * widen - 0.028 * tight - 0.016 * nose_wrinkle - 0.012 * cheek
        upper = upper - 0.012 * brow * (1 - widen)
        lower = low_rest - 0.034 * cheek - 0.036 * tight - 0.020 * nose_wrinkle - 0.012 * smile
        lower = lower + 0.008 * widen
        upper = upper * (1 - closed) - closed * lower * 0.85
        tilt = shape["eye_tilt"] + 0.012 - 0.015 * inner * (1 - outer)
        return upper, lower, tilt

    (up_l, low_l, tilt_l), (up_r, low_r, tilt_r) = lids(0), lids(1)
    return {
        "eye_x": 0.5 * (1 + shape["eye_spacing"]),
        "eye_y": Sided(shape["eye_y"] - shape["eye_asymmetry"], shape["eye_y"] + shape["eye_asymmetry"]),
        "eye_width": 0.218 * (1 + shape["eye_width"]),
        "eye_tilt": Sided(tilt_l, tilt_r),
        "upper_lid": Sided(up_l, up_r),
        "lower_lid": Sided(low_l, low_r),
        "lid_power": 0.62 + shape["lid_power"],
        "lid_skew": 0.13 + shape["lid_skew"],
    }


def _brows(shape: Scalars, au: Activation) -> dict[str, Tensor | Sided]:
    base = -0.315 + shape["brow_y"] + 0.6 * shape["eye_y"]
    nose_wrinkle = au.unit(9)

    def brow(side: int) -> tuple[Tensor, ...]:
        raise_in, raise_out, lower, cheek = (au.sided(n)[side] for n in (1, 2, 4, 6))
        closed = au.closure()[side]
        tilt, arch = shape["brow_tilt"], shape["brow_arch"]
        y = base + (2 * side - 1) * shape["brow_asymmetry"]
        inner = y + 0.055 + tilt - 0.185 * raise_in - 0.03 * raise_out + 0.150 * lower
        inner = inner + 0.045 * nose_wrinkle + 0.02 * closed
        peak = y - 0.040 - arch - 0.060 * raise_in - 0.150 * raise_out + 0.100 * lower
        peak = peak + 0.03 * nose_wrinkle + 0.01 * cheek
        outer = y + 0.075 - 0.6 * tilt - 0.115 * raise_out + 0.035 * lower
        outer = outer + 0.045 * raise_in * (1 - raise_out) + 0.012 * cheek
        start = 0.215 + shape["brow_gap"] + 0.25 * shape["eye_spacing"] - 0.050 * lower
        return inner, peak, outer, start - 0.01 * raise_in * lower

    left, right = brow(0), brow(1)
    names = ("brow_inner_y", "brow_peak_y", "brow_outer_y", "brow_inner_x")
    pairs: dict[str, Tensor | Sided] = {n: Sided(a, b) for n, a, b in zip(names, left, right, strict=True)}
    pairs["brow_outer_x"] = 0.875 * (1 + 0.5 * shape["brow_length"]) + 0.3 * shape["eye_spacing"]
    return pairs


def _nose(shape: Scalars, au: Activation) -> dict[str, Tensor | Sided]:
    length = 1 + shape["face_length"]
    wrinkle, raiser, smile = au.unit(9), au.unit(10), au.unit(12)
    base = 0.775 * length * (1 + 0.9 * shape["nose_length"])
    base = base - 0.045 * wrinkle - 0.012 * raiser + 0.004 * smile
    return {
        "nose_x": shape["nose_x"],
        "nasion_y": -0.06 + shape["eye_y"],
        "nose_tip_y": 0.575 * length * (1 + shape["nose_length"])
        - 0.035 * wrinkle
        + 0.010 * smile
        - 0.03 * shape["nose_turn"],
        "nose_base_y": base,
        "nose_width": 0.235 * (1 + shape["nose_width"]) + 0.018 * smile + 0.022 * wrinkle + 0.010 * raiser,
        "nose_depth": 0.30 * (1 + 0.6 * shape["nose_projection"]),
        "ala_y": base - 0.105 - 0.045 * wrinkle - 0.022 * raiser - 0.010 * smile,
    }


def _mouth(shape: Scalars, au: Activation) -> dict[str, Tensor | Sided]:
    jaw, smile, part = jaw_drop(au), au.unit(12), au.unit(25)
    wrinkle, raiser, lower, chin = au.unit(9), au.unit(10), au.unit(16), au.unit(17)
    pucker, stretch, funnel = au.unit(18), au.unit(20), au.unit(22)
    tight, press, suck = au.unit(23), au.unit(24), au.unit(28)
    rest = 1.075 * (1 + shape["face_length"]) * (1 + 0.15 * shape["nose_length"]) + shape["mouth_y"]

    def corners(side: int) -> tuple[Tensor, Tensor]:
        pull, dimple, depress = (au.sided(n)[side] for n in (12, 14, 15))
        width = 0.400 * (1 + shape["mouth_width"]) + 0.125 * pull + 0.045 * dimple + 0.012 * depress
        width = width + 0.095 * stretch - 0.12 * pucker - 0.07 * funnel - 0.035 * press - 0.045 * tight
        width = width - 0.025 * au.unit(26) - 0.05 * au.unit(27) - 0.02 * chin - 0.015 * wrinkle - 0.02 * suck
        drop = -0.170 * pull - 0.060 * dimple + 0.150 * depress + 0.045 * stretch
        drop = drop + 0.26 * jaw + 0.020 * raiser + 0.02 * chin - 0.004
        return width, drop

    (width_l, drop_l), (width_r, drop_r) = corners(0), corners(1)
    sealed = (1 - 0.8 * press) * (1 - 0.9 * suck)
    # Lips thin where they are pressed, tightened, sucked in or stretched, and swell where pushed out.
    thickness = (1 - 0.50 * press) * (1 - 0.42 * tight) * (1 - 0.82 * suck) * (1 - 0.25 * smile)
    thickness = (
        thickness * (1 - 0.22 * stretch) * (1 + 0.25 * pucker) * (1 + 0.22 * funnel) * (1 - 0.24 * jaw)
    )
    upper_gap = (0.030 + 0.060 * raiser + 0.045 * smile) * part + 0.0083 * raiser + 0.018 * jaw
    upper_gap = upper_gap * (part + jaw * 5).clamp(max=1) + 0.035 * funnel
    lower_gap = (0.045 + 0.050 * smile + 0.030 * lower) * part + 0.050 * lower + 0.80 * jaw + 0.045 * funnel
    return {
        "mouth_x": shape["mouth_x"],
        "mouth_y": rest - 0.035 * chin - 0.030 * raiser - 0.040 * wrinkle - 0.012 * smile - 0.01 * suck,
        "mouth_rest_y": rest,
        "mouth_width": Sided(width_l, width_r),
        "corner": Sided(drop_l, drop_r),
        "upper_lip": 0.112 * (1 + shape["upper_lip"]) * thickness * (1 - 0.10 * raiser),
        "lower_lip": 0.142 * (1 + shape["lower_lip"]) * thickness * (1 + 0.06 * chin) * (1 - 0.12 * lower),
        "upper_gap": upper_gap * sealed,
        "lower_gap": lower_gap * sealed,
        "mouth_lift": 0.070 * raiser * (1 - 0.6 * part) + 0.030 * wrinkle + 0.022 * au.unit(11),
        "lower_pull": 0.030 * lower,
        "squareness": (0.5 * raiser + 0.6 * lower + 0.5 * stretch + 0.4 * funnel).clamp(max=1),
        "protrusion": (pucker + 0.8 * funnel + 0.3 * chin - 0.9 * suck).clamp(min=-1),
        "cupid": shape["cupid"],
    }
