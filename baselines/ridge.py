"""Masked regression's mathematics: one small ridge regression per output pixel, all of them at once.

Output pixel p is an affine function of the r x r window around p. Its normal equations need, for every pair
of window places a and b, the sum over images of x[p+a] x[p+b]. That depends on p+a and on b-a alone, so the
whole image shares one table of correlations C_d[q] = sum x[q] x[q+d], and the r^2 x r^2 matrices of all
pixels are copies of its entries.

Sums over at most 256 images of products of 8-bit pixels stay below 2^24, so float32 products of a chunk are
exact; chunks are added in float64, and nothing is rounded before the solve.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_CHUNK = 32
_CACHED_PIXELS = 1024
_LEVELS = 255.0


def fit_local_ridge(
    source: np.ndarray, target: np.ndarray, *, window: int, penalty: float, penalize_bias: bool = True
) -> tuple[Tensor, Tensor]:
    """Fit t[p] = sum_a w[a, p] x[p+a] + b[p] for every pixel and channel apart; pixel values in [0, 1].

    Minimizes the squared error summed over images plus ``penalty`` times the squared weights (Khan et al.
    2020, the masked ridge problem; the release penalizes the bias too).

    Args:
        source, target: uint8 (M, H, W, C) with M >= 1.
        window: r, odd.
        penalty: lambda >= 0; 0 needs more images than window places.
        penalize_bias: as in the release.

    Returns:
        Weights float64 (C, r*r, H, W), zero outside the image, and biases float64 (C, H, W).
    """
    found = torch.empty(source.shape[3], window**2 + 1, *source.shape[1:3], dtype=torch.float64)
    tables = correlations(source, target, window)
    # A few rows at a time, so that their systems stay in the processor's cache.
    rows = max(1, _CACHED_PIXELS // source.shape[2])
    for channel in range(source.shape[3]):
        for top in range(0, source.shape[1], rows):
            part = slice(top, min(top + rows, source.shape[1]))
            systems, sides = assemble(tables, channel, part, window)
            found[channel, :, part] = solve_planes(systems, sides, penalty, penalize_bias)
    return found[:, :-1], found[:, -1]


def solve_planes(systems: Tensor, sides: Tensor, penalty: float, penalize_bias: bool = True) -> Tensor:
    """Solve one symmetric system per pixel, all pixels in step (elimination without pivots).

    Args:
        systems: float64 (k, k, H, W), positive semidefinite; overwritten.
        sides: float64 (k, H, W); overwritten.
        penalty: added to the diagonal, to the last place only if ``penalize_bias``.
        penalize_bias: see ``fit_local_ridge``.

    Returns:
        The solutions, float64 (k, H, W).
    """
    size = len(systems)
    for place in range(size):
        pivot = systems[place, place]
        # A place outside of the image (or black in every image) has an empty row; its weight is zero.
        outside = pivot == 0
        if place < size - 1 or penalize_bias:
            pivot += penalty
        pivot.masked_fill_(outside, 1.0)
    for place in range(size - 1):
        row = systems[place, place:]
        factor = systems[place + 1 :, place] / row[0]
        systems[place + 1 :, place + 1 :].addcmul_(factor[:, None], row[None, 1:], value=-1)
        sides[place + 1 :].addcmul_(factor, sides[place], value=-1)
    for place in range(size - 1, -1, -1):
        sides[place] /= systems[place, place]
        sides[:place].addcmul_(systems[:place, place], sides[place], value=-1)
    return sides


@dataclass(frozen=True)
class Correlations:
    """Sums over images of products of shifted pixels, in units of [0, 1], zero around the image.

    Attributes:
        auto: float64 (2r-1, 2r-1, C, H', W'): sum of x[q] x[q+d] by the step d.
        cross: float64 (r, r, C, H, W): sum of t[p] x[p+a] by the window place a.
        source: float64 (C, H', W'), sum of x; primes have a margin of r // 2.
        target: float64 (C, H, W), sum of t.
        count: M.
    """

    auto: Tensor
    cross: Tensor
    source: Tensor
    target: Tensor
    count: int


def correlations(source: np.ndarray, target: np.ndarray, window: int) -> Correlations:
    """Every product of pixels that any pixel's normal equations need, once.

    Args:
        source, target: uint8 (M, H, W, C).
        window: r, odd.
    """
    count, height, width, channels = source.shape
    half, reach, span = window // 2, window - 1, 2 * window - 1
    wide = width + 2 * reach
    shape = (channels, height + 2 * reach, wide)
    auto, cross = np.zeros((span, span, *shape)), np.zeros((window, window, *shape))
    sums = np.zeros((2, *shape))
    # The steps after (0, 0) in reading order; the others are the same products seen from the other end.
    forward = [(y, x) for y in range(window) for x in range(-reach, reach + 1) if y > 0 or x >= 0]
    places = [(y, x) for y in range(-half, half + 1) for x in range(-half, half + 1)]
    # Touching new memory costs more than the sums: a few images at a time, in buffers that are used again.
    buffers = torch.zeros(2, min(count, _CHUNK), *shape)
    inner = buffers[..., reach : reach + height, reach : reach + width]

    def auto_step(step: tuple[int, int]) -> None:
        shift = step[0] * wide + step[1]
        auto[step[0] + reach, step[1] + reach] += _shifted_products(x, x, shift).reshape(shape)

    def cross_step(place: tuple[int, int]) -> None:
        shift = place[0] * wide + place[1]
        cross[place[0] + half, place[1] + half] += _shifted_products(t, x, shift).reshape(shape)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, count, _CHUNK):
            used = min(_CHUNK, count - start)
            for k, images in enumerate((source, target)):
                part = np.ascontiguousarray(images[start : start + used])
                inner[k, :used] = torch.from_numpy(part).permute(0, 3, 1, 2)
            x, t = buffers[:, :used].flatten(2).numpy()
            list(pool.map(auto_step, forward))
            list(pool.map(cross_step, places))
            sums += np.stack([x.sum(axis=0), t.sum(axis=0)]).reshape(sums.shape)
    for dy, dx in forward:
        auto[reach - dy, reach - dx] = np.roll(auto[reach + dy, reach + dx], (dy, dx), axis=(-2, -1))
    margin, core = slice(half, -half or None), slice(reach, -reach or None)
    return Correlations(
        torch.from_numpy(auto[..., margin, margin]) / _LEVELS**2,
        torch.from_numpy(cross[..., core, core]) / _LEVELS**2,
        torch.from_numpy(sums[0][..., margin, margin]) / _LEVELS,
        torch.from_numpy(sums[1][..., core, core]) / _LEVELS,
        count,
    )


def _shifted_products(a: np.ndarray, b: np.ndarray, shift: int) -> np.ndarray:
    """Sum over images of a[q] b[q + shift]; the zeros around the image keep rows and channels apart."""
    found = np.zeros(a.shape[1], dtype=np.float32)
    end = a.shape[1] - abs(shift)
    if shift >= 0:
        np.einsum("mq,mq->q", a[:, :end], b[:, shift:], out=found[:end])
    else:
        np.einsum("mq,mq->q", a[:, -shift:], b[:, :end], out=found[-shift:])
    return found


def assemble(tables: Correlations, channel: int, rows: slice, window: int) -> tuple[Tensor, Tensor]:
    """The normal equations of some rows of pixels, without penalty.

    Returns:
        Float64 (r*r+1, r*r+1, rows, W) and (r*r+1, rows, W); the last place is the constant 1.
    """
    reach, width = window - 1, tables.target.shape[-1]
    places = [(y, x) for y in range(window) for x in range(window)]
    size = len(places) + 1
    systems = torch.empty(size, size, rows.stop - rows.start, width, dtype=torch.float64)
    for i, (ay, ax) in enumerate(places):
        at = (channel, slice(rows.start + ay, rows.stop + ay), slice(ax, ax + width))
        for j, (by, bx) in enumerate(places):
            systems[i, j] = tables.auto[by - ay + reach, bx - ax + reach][at]
        systems[i, -1] = systems[-1, i] = tables.source[at]
    systems[-1, -1] = float(tables.count)
    sides = torch.cat([tables.cross.flatten(0, 1)[:, channel, rows], tables.target[None, channel, rows]])
    return systems, sides


def apply_local(image: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """The fitted map: (N, C, H, W) -> (N, C, H, W).

    Args:
        image: pixel values in [0, 1].
        weights: (C, r*r, H, W), or (N, C, r*r, H, W) for a map per image.
        biases: (C, H, W) or (N, C, H, W).
    """
    window = round(weights.shape[-3] ** 0.5)
    half, (height, width) = window // 2, image.shape[-2:]
    padded = F.pad(image, (half, half, half, half))
    found = biases + torch.zeros_like(image)
    for place in range(window * window):
        y, x = divmod(place, window)
        found = found + weights[..., place, :, :] * padded[..., y : y + height, x : x + width]
    return found


def inside_image(size: int, window: int) -> Tensor:
    """Which window places lie inside the image: bool (r*r, H, W)."""
    half = window // 2
    ones = F.pad(torch.ones(1, 1, size, size), (half, half, half, half))
    return F.unfold(ones, window).reshape(window * window, size, size) > 0
