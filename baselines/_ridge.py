"""Masked regression's mathematics: one small ridge regression per output pixel, all of them at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fesbench.errors import MethodError

from ._ridge_tables import LEVELS, assemble, tabulate

_NUMBERS = 1_200_000
_TOGETHER = 6


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
    _, height, width, channels = source.shape
    size = window**2 + 1
    tables = tabulate(source, target, window)
    found = torch.empty(size, height, width * channels, dtype=torch.float64)
    # Some rows at a time: few enough for the processor's cache, enough that calls do not count.
    rows = min(height, max(1, _NUMBERS // (size * (size + 1) * width * channels)))
    memory = torch.zeros(size, size + 1, rows, width * channels, dtype=torch.float64)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        systems = assemble(tables, part, window, memory[:, :, : part.stop - top])
        found[:, part] = solve_planes(systems, penalty * LEVELS**2, penalize_bias)
    by_channel = found.unflatten(2, (width, channels)).permute(3, 0, 1, 2)
    return by_channel[:, :-1], by_channel[:, -1]


def solve_planes(systems: Tensor, penalty: float, penalize_bias: bool = True) -> Tensor:
    """Solve one symmetric system per pixel, all pixels in step (elimination without pivots).

    Args:
        systems: float64 (k, k+1, ...): upper triangles, positive semidefinite, and the right-hand sides in
            the last column; overwritten.
        penalty: added to the diagonal, to the last place only if ``penalize_bias``.
        penalize_bias: see ``fit_local_ridge``.

    Returns:
        The solutions, float64 (k, ...).
    """
    size = len(systems)
    pivots = systems.diagonal(dim1=0, dim2=1)
    # A place outside of the image (or black in every image) has an empty row; its weight is zero.
    outside = pivots == 0
    pivots[..., : size if penalize_bias else size - 1] += penalty
    pivots.masked_fill_(outside, 1.0)
    for place in range(size - 1):
        row = systems[place]
        for low in range(place + 1, size, _TOGETHER):
            some = slice(low, min(low + _TOGETHER, size))
            # What symmetry has below the pivot stands to the right of it.
            factors = row[some] / row[place]
            systems[some, low:].addcmul_(factors[:, None], row[low:], value=-1)
    found = systems[:, -1]
    for place in range(size - 1, -1, -1):
        found[place] /= systems[place, place]
        found[:place].addcmul_(systems[:place, place], found[place], value=-1)
    return found


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


def local_map(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A masked affine map out of its matrix.

    Args:
        matrix: sparse CSR (n*n, n*n + 1), pixels row by row, the bias last.

    Returns:
        weights float32 (r*r, n, n) by place in the window, the smallest that holds them; biases (n, n).

    Raises:
        MethodError: another shape, or a weight between pixels so far apart that it is no local map.
    """
    rows, columns, values, biases = _entries(matrix)
    pixels, side = len(biases), math.isqrt(len(biases))
    down, right = columns // side - rows // side, columns % side - rows % side
    half = int(torch.stack([down, right]).abs().max()) if len(rows) else 0
    if 2 * half >= side:
        raise MethodError(f"the matrix joins pixels {half} apart in an image of {side}; it is no local map")
    window = 2 * half + 1
    weights = torch.zeros(window * window, pixels)
    weights[(down + half) * window + right + half, rows] = values
    return weights.reshape(-1, side, side), biases.reshape(side, side)


def sparse_map(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An affine map of a few pixels each out of its matrix.

    Args:
        matrix: as of `local_map`.

    Returns:
        support int64 (f, n*n), f the most input pixels of a row; weights float32 (f, n*n), 0 where a row has
        fewer; biases float32 (n*n,).

    Raises:
        MethodError: another shape.
    """
    rows, columns, values, biases = _entries(matrix)
    counts = torch.bincount(rows, minlength=len(biases))
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
    support = torch.zeros(int(counts.max()), len(biases), dtype=torch.int64)
    weights = torch.zeros(support.shape)
    support[place, rows], weights[place, rows] = columns, values
    return support, weights, biases


def _entries(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows, columns and values (entries,) of a map between pixels, row by row, and its biases (n*n,)."""
    pixels = matrix.shape[0]
    if math.isqrt(pixels) ** 2 != pixels or matrix.shape[1] != pixels + 1:
        raise MethodError(f"a matrix of shape {tuple(matrix.shape)} is no map of a square image with a bias")
    rows = torch.repeat_interleave(torch.arange(pixels), matrix.crow_indices().diff())
    columns, values = matrix.col_indices(), matrix.values().float()
    linear, biases = columns < pixels, torch.zeros(pixels)
    biases[rows[~linear]] = values[~linear]
    return rows[linear], columns[linear], values[linear], biases
