"""Classical multidimensional scaling: a flat image of who resembles whom under which method.

From a matrix of distances D the squared ones are double-centered, ``B = -1/2 J D^2 J`` with
``J = I - 11'/n``; the points are the leading eigenvectors of B times the roots of their eigenvalues. It has
one solution, unlike iterative scaling, but for signs, which are fixed here. How much of the distances the
plane shows is printed with its picture (`fesbench.reports.identity_map`); no score is computed from it.

Source: Torgerson, *Multidimensional scaling: I. Theory and method*, Psychometrika 17, 1952; Otberdout et al.,
TPAMI 44(2), 2022, draw preserved identities so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """Points in the plane, and what the plane leaves out.

    Attributes:
        points: float64 (N, k), axes by falling variance; the largest coordinate of each axis is positive.
        share: of the positive eigenvalues' sum that the k axes hold, in [0, 1]; 1 = the plane shows all.
        negative: sum of the negative eigenvalues' sizes over that of all; 0 for Euclidean distances.
    """

    points: Floats
    share: float
    negative: float


def classical_mds(distances: npt.ArrayLike, axes: int = 2) -> Scaling:
    """Points whose Euclidean distances resemble the given ones.

    Args:
        distances: (N, N), symmetric, zero on the diagonal, not negative; N > axes.
        axes: of the points; axes without a positive eigenvalue are 0.

    Raises:
        DataError: no such matrix.
    """
    d = np.asarray(distances, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) <= axes:
        raise DataError(
            f"scaling to {axes} axes takes a square matrix of more than {axes} rows, not {d.shape}"
        )
    if not np.isfinite(d).all() or (d < 0).any() or np.diag(d).any() or not np.allclose(d, d.T, atol=1e-9):
        raise DataError("scaling takes finite symmetric distances with zeros on the diagonal")
    squared = ((d + d.T) / 2) ** 2
    rows = squared.mean(axis=0)
    centered = -0.5 * (squared - rows[:, None] - rows[None, :] + rows.mean())
    values, vectors = np.linalg.eigh(centered)
    values, vectors = values[::-1], vectors[:, ::-1]
    points = vectors[:, :axes] * np.sqrt(np.maximum(values[:axes], 0.0))
    # An eigenvector's sign is arbitrary, and differs between machines.
    largest = points[np.abs(points).argmax(axis=0), np.arange(axes)]
    points = points * np.where(largest < 0, -1.0, 1.0)
    positive, size = float(values[values > 0].sum()), float(np.abs(values).sum())
    share = float(np.maximum(values[:axes], 0.0).sum()) / positive if positive > 0 else 1.0
    return Scaling(points, share, (size - positive) / size if size > 0 else 0.0)


def euclidean(features: npt.ArrayLike) -> Floats:
    """Distances between the rows of features (N, D): float64 (N, N), exactly symmetric."""
    from scipy.spatial.distance import pdist, squareform

    found: Floats = squareform(pdist(np.asarray(features, dtype=np.float64)))
    return found
