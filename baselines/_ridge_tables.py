"""Masked regression's normal equations: every pixel's at once, from one shared table of products.

The system of pixel p needs, for every pair of window places a and b, the sum over images of x[p+a] x[p+b].
That depends on p+a and on b-a alone, so the entries of all systems are shifted views of C_d[q], the sum of
x[q] x[q+d], for the few steps d between two places of a window. Channels stay interleaved as in the images: a
step to the right is C numbers further.

Everything is in units of 1/255 with 255 as the constant column, so all sums are whole numbers. Up to 256
images, the sums of products of 8-bit pixels stay below 2^24 and are exact in float32; blocks of so many are
added in float64. Nothing is rounded before the solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LEVELS = 255.0
_EXACT = 256
_CHUNK = 8
_LINE = 16


@dataclass(frozen=True)
class Tables:
    """Sums over images of products of pixels, in rows of a margin, the image and a margin of r // 2 pixels.

    Attributes:
        level: float64 (r, H', W' C): sum of x[q] x[q+d] for steps d = (0, 0), (0, 1) ... in the same row.
        down: float64 (r-1, 2r-1, H', W' C): the same for steps (1, -(r-1)) ... to the rows below.
        cross: float64 (r, r, H', W' C): sum of t[p] x[p+a] by the window place a.
        sums: float64 (2, H', W' C): sums of x and t.
        count: number of images.
        channels: C.
    """

    level: Tensor
    down: Tensor
    cross: Tensor
    sums: Tensor
    count: int
    channels: int


def tabulate(source: np.ndarray, target: np.ndarray, window: int) -> Tables:
    """Every product of pixels that any pixel's normal equations need, once.

    Args:
        source, target: uint8 (M, H, W, C).
        window: r, odd.
    """
    count, height, width, channels = source.shape
    half, reach, span = window // 2, window - 1, 2 * window - 1
    pitch = (width + 2 * half) * channels
    plane = (height + 2 * half) * pitch
    first = half * (pitch + channels)
    # The first pixel of every table starts a cache line; writes across two lines are slower.
    lead = -first % _LINE
    stride = -(-(lead + plane) // _LINE) * _LINE
    planes = window + reach * span + window**2 + 2
    block = torch.zeros(planes, stride)
    # New memory costs time: up to one block there is none in float64.
    total = torch.zeros(planes, stride, dtype=torch.float64) if count > _EXACT else block
    # From the first pixel to the last one; margins between the rows are zero, as all products with them.
    length = (height - 1) * pitch + width * channels
    inner = slice(first, first + length)
    level, down, cross, sums = _parts(block[:, lead + first : lead + first + length], window)
    # Zeros for the steps that leave the image; a few images at a time, in memory that stays warm.
    padded = torch.zeros(2, min(count, _CHUNK), height + 3 * half + 1, pitch)
    image = padded[:, :, half : half + height, half * channels : half * channels + width * channels]
    for start in range(0, count, _EXACT):
        stop = min(start + _EXACT, count)
        for low in range(start, stop, _CHUNK):
            used = min(_CHUNK, stop - low)
            for which, images in enumerate((source, target)):
                part = torch.from_numpy(np.ascontiguousarray(images[low : low + used]))
                image[which, :used] = part.flatten(2)
            for x, t in padded.flatten(2)[:, :used].unbind(1):
                here, there = x[inner], t[inner]
                steps = (pitch, channels, 1)
                level.addcmul_(here, x.as_strided(level.shape, steps[1:], x.storage_offset() + first))
                if reach:
                    below = x.storage_offset() + first + pitch - reach * channels
                    down.addcmul_(here, x.as_strided(down.shape, steps, below))
                cross.addcmul_(there, x.as_strided(cross.shape, steps, x.storage_offset()))
            sums += padded.flatten(2)[:, :used, inner].sum(dim=1)
        if total is not block:
            total += block
            block.zero_()
    found = _parts(total[:, lead : lead + plane].unflatten(1, (-1, pitch)), window)
    return Tables(*found, count, channels)


def _parts(planes: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    reach, span = window - 1, 2 * window - 1
    level, down, cross, sums = planes.split([window, reach * span, window**2, 2])
    return level, down.unflatten(0, (reach, span)), cross.unflatten(0, (window, window)), sums


def assemble(tables: Tables, rows: slice, window: int, systems: Tensor) -> Tensor:
    """Write the normal equations of some rows of pixels, times 255^2, without penalty.

    Args:
        tables: of all images.
        rows: which of the image.
        window: r, odd.
        systems: float64 (r*r+1, r*r+2, rows, W C), to be filled: the upper triangles of the systems, with the
            bias as the last unknown, and the right-hand sides in the last column. The rest stays as it is.

    Returns:
        ``systems``.
    """
    half, reach, channels = window // 2, window - 1, tables.channels
    width = systems.shape[-1]

    def around(y: int, x: int) -> tuple[slice, slice]:
        """All pixels' places (y, x) of their windows, in the tables."""
        return slice(rows.start + y, rows.stop + y), slice(x * channels, x * channels + width)

    for place in range(window**2):
        y, x = divmod(place, window)
        at = around(y, x)
        below = place + window - x
        systems[place, place:below] = tables.level[: window - x, *at]
        if y < reach:
            steps = tables.down[: reach - y, reach - x : reach - x + window, *at]
            systems[place, below:-2] = steps.flatten(0, 1)
        systems[place, -2] = LEVELS * tables.sums[0, *at].double()
    center = around(half, half)
    systems[:-1, -1] = tables.cross.flatten(0, 1)[:, *center]
    systems[-1, -2] = tables.count * LEVELS**2
    systems[-1, -1] = LEVELS * tables.sums[1, *center].double()
    return systems
