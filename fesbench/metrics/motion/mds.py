"""Classical multidimensional scaling: a flat image of who resembles whom under which method.

From a matrix of distances D the squared ones are double-centered, ``B = -1/2 J D^2 J`` with
``J = I - 11'/n``; the points are the leading eigenvectors of B times the roots of their eigenvalues. It has
one solution, unlike iterative scaling, but for signs, which are fixed here. How much of the distances the
plane shows is printed with it: no score is ever computed from the image.

Source: Torgerson, *Multidimensional scaling: I. Theory and method*, Psychometrika 17, 1952; Otberdout et al.,
TPAMI 44(2), 2022, draw preserved identities so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError

Floats = npt.NDArray[np.float64]

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
"""Okabe and Ito's palette: told apart by people with any color vision."""

_SHAPES = ("circle", "square", "diamond", "triangle", "cross", "star")
_MARGIN, _LEGEND, _ROW = 24.0, 150.0, 18.0


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
    values = np.asarray(features, dtype=np.float64)
    found: Floats = np.linalg.norm(values[:, None, :] - values[None, :, :], axis=2)
    return found


def picture(
    scaling: Scaling,
    identities: Sequence[str],
    methods: Sequence[str],
    *,
    title: str = "Identities under each method",
    size: int = 480,
) -> str:
    """An SVG of the points: a subject has a color, a method a shape; the key names both.

    Colors and shapes repeat where there are more subjects than colors or methods than shapes, so every mark
    also carries its subject and method as a tooltip.

    Args:
        scaling: of N images, on two axes.
        identities: N names.
        methods: N names, such as "source" or a method's id.
        title: above the image.
        size: side of the plot in pixels.

    Raises:
        DataError: not one identity and one method for each point, or no two axes.
    """
    points = scaling.points
    if points.shape != (len(identities), 2) or len(methods) != len(identities):
        raise DataError(
            f"an image of {points.shape} points needs as many identities and methods; "
            f"got {len(identities)} and {len(methods)}"
        )
    people, kinds = list(dict.fromkeys(identities)), list(dict.fromkeys(methods))
    # One scale for both axes, or distances would lie.
    span = float(np.ptp(points, axis=0).max()) or 1.0
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    places = (points - middle) * np.array([1.0, -1.0]) / span * (size - 2 * _MARGIN) + size / 2
    places[:, 1] += _MARGIN
    note = f"axes show {scaling.share:.0%} of the variance"
    height = max(size + 2 * _MARGIN, 3 * _MARGIN + _ROW * (len(people) + len(kinds) + 3))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size + _LEGEND:g}" height="{height:g}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}; {note}">',
        f'<rect width="100%" height="100%" fill="#fff"/><text x="{_MARGIN:g}" y="18" font-size="14">'
        f"{escape(title)}</text>",
        f'<text x="{_MARGIN:g}" y="{size + 2 * _MARGIN - 8:g}" fill="#555">{note}</text>',
    ]
    for (x, y), who, how in zip(places, identities, methods, strict=True):
        color = _COLORS[people.index(who) % len(_COLORS)]
        parts.append(_mark(x, y, _SHAPES[kinds.index(how) % len(_SHAPES)], color, f"{who}, {how}"))
    parts += _key(size, people, kinds)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _key(left: float, people: list[str], kinds: list[str]) -> list[str]:
    """The two lists of names beside the plot."""
    parts, y = [], 2 * _MARGIN
    for heading, names in (("person", people), ("method", kinds)):
        parts.append(f'<text x="{left:g}" y="{y:g}" fill="#555">{heading}</text>')
        for number, name in enumerate(names):
            y += _ROW
            person = heading == "person"
            color = _COLORS[number % len(_COLORS)] if person else "#555"
            shape = "circle" if person else _SHAPES[number % len(_SHAPES)]
            parts.append(_mark(left + 6, y - 4, shape, color, name))
            parts.append(f'<text x="{left + 18:g}" y="{y:g}">{escape(name)}</text>')
        y += 1.5 * _ROW
    return parts


def _mark(x: float, y: float, shape: str, color: str, title: str) -> str:
    """One mark of about 9 pixels with a tooltip."""
    r = 4.5
    outlines = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
        "cross": (
            *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
            *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
        ),
        "star": tuple(
            (
                (1.4 if k % 2 == 0 else 0.55) * np.sin(k * np.pi / 5),
                -(1.4 if k % 2 == 0 else 0.55) * np.cos(k * np.pi / 5),
            )
            for k in range(10)
        ),
    }
    look = f'fill="{color}" stroke="#fff" stroke-width="0.7"'
    told = f"<title>{escape(title)}</title>"
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" {look}>{told}</circle>'
    path = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in outlines[shape])
    return f'<polygon points="{path}" {look}>{told}</polygon>'
