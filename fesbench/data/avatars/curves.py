"""The analytic curves of lids, brows and lips.

At fixed parameters they give the landmarks, per pixel they give masks and heights: the two agree by
construction. ``rightness`` is 0 on the image's left and 1 on its right.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fesbench.data.avatars.features import Features


class Lips(NamedTuple):
    """The y of the four lip edges, and of the closed line, at a position along the mouth."""

    top: Tensor
    upper_inner: Tensor
    lower_inner: Tensor
    bottom: Tensor
    middle: Tensor


def lids(features: Features, along: Tensor, rightness: Tensor | float) -> tuple[Tensor, Tensor]:
    """Upper and lower lid relative to the eye's axis; ``along`` is -1 (inner) ... 1 (outer corner)."""
    inside = (1 - along * along).clamp(min=1e-5)
    up = -features.upper_lid.at(rightness) * inside**features.lid_power * (1 - features.lid_skew * along)
    low = features.lower_lid.at(rightness) * inside**0.75 * (1 + 0.22 * along)
    return up, low


def eye_axis(features: Features, along: Tensor, rightness: Tensor | float) -> Tensor:
    """The y of the line between the corners of an eye."""
    return features.eye_y.at(rightness) - features.eye_tilt.at(rightness) * along


def brow(features: Features, along: Tensor, rightness: Tensor | float) -> Tensor:
    """The y of a brow's center line; ``along`` is 0 (inner) ... 1 (outer end); peak at 0.6."""
    inner, peak, outer = (
        pair.at(rightness) for pair in (features.brow_inner_y, features.brow_peak_y, features.brow_outer_y)
    )
    m = 0.6
    return (
        inner * (along - m) * (along - 1) / m
        + peak * along * (along - 1) / (m * (m - 1))
        + outer * along * (along - m) / (1 - m)
    )


def lips(features: Features, along: Tensor, rightness: Tensor | float) -> Lips:
    """The lips at ``along``, -1 (image left corner) ... 1 (image right corner).

    The corners follow |along| to a power near 2: that is what makes a smile or a frown read.
    """
    distance = along.abs().clamp(max=1)
    inside = (1 - distance * distance).clamp(min=1e-4)
    center_dip = 0.010 * torch.exp(-((along / 0.16) ** 2)) - 0.008 * torch.exp(
        -(((distance - 0.35) / 0.2) ** 2)
    )
    middle = features.mouth_y + features.corner.at(rightness) * distance**1.9 + center_dip
    power = 0.62 - 0.26 * features.squareness
    lift = features.mouth_lift * inside
    upper_inner = middle - features.upper_gap * inside**power - lift
    lower_inner = middle + features.lower_gap * inside ** (power + 0.05) - lift
    bow = 0.16 * (1 + features.cupid)
    arch = 1 - bow * torch.exp(-((along / 0.15) ** 2)) + 0.12 * torch.exp(-(((distance - 0.27) / 0.16) ** 2))
    top = upper_inner - features.upper_lip * inside**0.80 * arch
    sag = 1 - 0.06 * torch.exp(-((along / 0.2) ** 2))
    bottom = lower_inner + (features.lower_lip * sag + features.lower_pull) * inside**0.78
    return Lips(top, upper_inner, lower_inner, bottom, middle)
