"""How alike two expressions move: landmark curves as points of a sphere (square-root velocity functions).

A sequence of landmarks is a curve a(t) in R^(2n), t in [0, 1]. Its square-root velocity function is::

    q(t) = a'(t) / sqrt(|a'(t)|),    0 where a'(t) = 0

and has length 1 under ``<p, q> = integral of p(t) . q(t) dt`` after division by its norm. The distance of two
motions is the arc between them on that sphere, ``arccos <q1, q2>`` in [0, pi] radians. Without dynamic
re-parametrization it is the **fixed-rate** distance: the same movement at another pace is another motion.

Choices that move the figure, one for all: curves are resampled linearly to :data:`FRAMES` frames; the
derivative is numpy's second-order gradient; integrals follow the trapezoid rule on the same grid; similarity
transforms are taken out frame by frame against the first frame, fitted to the points that expressions hardly
move. No smoothing: smooth both sides alike beforehand where a detector jitters. The unit sphere forgets how
large a motion is, so :func:`length_ratio` stands beside every distance.

Sources: Srivastava, Klassen, Joshi, Jermyn, *Shape Analysis of Elastic Curves in Euclidean Spaces*, TPAMI
33(7), 2011; Otberdout et al., *Dynamic Facial Expression Generation on Hilbert Hypersphere*, TPAMI 44(2),
2022, who compare generated with real dynamics so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError

FRAMES = 32
"""Frames that every curve is resampled to before it is compared."""

STILL_POINTS = (27, 28, 29, 30, 36, 39, 42, 45)
"""Bridge of the nose and eye corners (iBUG): what moves with the head and hardly with the expression."""

_ROUNDING = 1e-12
"""Steps below this share of the positions are rounding: scaled to the sphere they would pass for a motion."""

Floats = npt.NDArray[np.float64]


def motion_distance(generated: npt.ArrayLike, real: npt.ArrayLike) -> float:
    """Fixed-rate geodesic distance of two landmark sequences, head motion taken out.

    Args:
        generated: (T, 68, 2) pixels; T >= 2.
        real: (R, 68, 2) pixels; R >= 2, it may differ from T.

    Returns:
        Radians in [0, pi]; 0 = the same motion up to its size. A motion that stands still has no direction:
        pi / 2 from every other, and 0 from another that stands still.

    Raises:
        DataError: no landmark sequences, or values that are not finite.
    """
    return geodesic_distance(
        srvf(resampled(without_head_motion(generated), FRAMES)),
        srvf(resampled(without_head_motion(real), FRAMES)),
    )


def length_ratio(generated: npt.ArrayLike, real: npt.ArrayLike) -> float:
    """Length of the generated motion over that of the real one, both in inter-ocular distances.

    Args:
        generated: (T, 68, 2) pixels.
        real: (R, 68, 2) pixels.

    Returns:
        0 = frozen, 1 = as much motion as in reality; infinite where the real one stands still.
    """
    made, true = (
        curve_length(resampled(without_head_motion(sequence), FRAMES)) for sequence in (generated, real)
    )
    return made / true if true > 0 else float("inf")


def without_head_motion(sequence: npt.ArrayLike) -> Floats:
    """Landmarks relative to the face of the first frame, in units of its inter-ocular distance.

    Every frame is moved by the similarity that fits its :data:`STILL_POINTS` to those of the first frame.

    Args:
        sequence: (T, 68, 2) pixels.

    Returns:
        float64 (T, 68, 2); the middle between the outer eye corners of the first frame is the origin.

    Raises:
        DataError: another shape, fewer than two frames, values that are not finite, or eyes in one place.
    """
    from fesbench.extractors.crops import fit_similarity

    points = np.asarray(sequence, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (68, 2) or len(points) < 2:
        raise DataError(f"a motion is a sequence of landmarks (T, 68, 2) with T >= 2, not {points.shape}")
    if not np.isfinite(points).all():
        raise DataError(
            "a motion's landmarks must be finite; leave out frames without a face, and count them"
        )
    still = list(STILL_POINTS)
    first = points[0]
    between = float(np.linalg.norm(first[36] - first[45]))
    if between == 0 or not all(np.ptp(frame[still], axis=0).any() for frame in points):
        raise DataError("a motion's landmarks lie all in one place; that is no face")
    moved = []
    for frame in points:
        fit = fit_similarity(frame[still], first[still])
        moved.append(frame @ fit[:, :2].T + fit[:, 2])
    centered: Floats = (np.stack(moved) - (first[36] + first[45]) / 2) / between
    return centered


def resampled(curve: npt.ArrayLike, frames: int) -> Floats:
    """The curve at ``frames`` equally spaced times, linearly between its own: (T, ...) -> (frames, ...)."""
    values = np.asarray(curve, dtype=np.float64)
    if len(values) < 2 or frames < 2:
        raise DataError(f"a curve needs two frames or more, not {min(len(values), frames)}")
    place = np.linspace(0, len(values) - 1, frames)
    low = np.minimum(place.astype(np.int64), len(values) - 2)
    share = (place - low).reshape(-1, *[1] * (values.ndim - 1))
    found: Floats = values[low] * (1 - share) + values[low + 1] * share
    return found


def srvf(curve: npt.ArrayLike) -> Floats:
    """The square-root velocity function of a curve, scaled to the unit sphere.

    Args:
        curve: (T, ...) positions at equally spaced times of [0, 1]; T >= 2.

    Returns:
        float64 (T, D) of norm 1; all zeros for a curve that stands still.
    """
    positions = np.asarray(curve, dtype=np.float64).reshape(len(np.asarray(curve)), -1)
    if len(positions) < 2 or not np.isfinite(positions).all():
        raise DataError("a curve needs two frames or more, of finite values")
    velocity = np.gradient(positions, 1 / (len(positions) - 1), axis=0)
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    moving = speed > _ROUNDING * np.abs(positions).max() * (len(positions) - 1)
    q = np.divide(velocity, np.sqrt(speed), out=np.zeros_like(velocity), where=moving)
    norm = np.sqrt(inner_product(q, q))
    unit: Floats = q / norm if norm > 0 else q
    return unit


def inner_product(first: Floats, second: Floats) -> float:
    """Integral over [0, 1] of the pointwise products of two functions (T, D), by the trapezoid rule."""
    if first.shape != second.shape:
        raise DataError(f"two functions on one grid are needed, not {first.shape} and {second.shape}")
    return float(np.trapezoid((first * second).sum(axis=1), dx=1 / (len(first) - 1)))


def geodesic_distance(first: Floats, second: Floats) -> float:
    """Arc between two square-root velocity functions on the unit sphere, radians in [0, pi]."""
    standing = [not np.any(q) for q in (first, second)]
    if all(standing):
        return 0.0
    # Rounding may lead beyond 1, where arccos is not defined.
    return float(np.arccos(np.clip(inner_product(first, second), -1.0, 1.0)))


def curve_length(curve: npt.ArrayLike) -> float:
    """Length of a curve (T, ...), the sum of its steps, in the units of its positions."""
    values = np.asarray(curve, dtype=np.float64)
    steps = np.linalg.norm(np.diff(values.reshape(len(values), -1), axis=0), axis=1)
    return float(steps[steps > _ROUNDING * np.abs(values).max(initial=0.0)].sum())
