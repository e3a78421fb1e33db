"""Precision, recall, density, coverage: are generated images where real ones are, and everywhere there?

Around each real image X_i stands a ball that reaches to its k-th nearest other real image, and around
each generated Y_j one to its k-th nearest other generated image; balls are closed. With N real and M
generated images

    Precision = share of generated images in the ball of any real one
    Recall    = share of real images in the ball of any generated one
    Density   = 1 / (k M) sum_j (number of real balls that hold Y_j)       may exceed 1
    Coverage  = share of real balls that hold any generated image

(Kynkäänniemi et al. 2019 for the first two, Naeem et al. 2020 for the others). One stray real image has a
large ball that makes Precision generous; Density counts balls and is not misled; Coverage asks for the real
balls alone, so that stray generated images do not help it as they help Recall. A collapsed method has a
low Recall and Coverage.

The papers use k = 3 and k = 5; here k = 5 in all four. All depend on n and k: the signature has both. An
image without features (no face found) lies in no ball. Neighbors are exact, by all distances, which are
formed a block at a time: time grows with n m, memory with n + m. The same code serves all extractors:
``Precision`` is on Inception features, ``Precision[dlib]`` on dlib's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.distribution.frechet_distance import Distribution, Sides
from fesbench.metrics.distribution.frechet_math import codes_among
from fesbench.metrics.inputs import Floats
from fesbench.statistics.intervals import Interval, jackknife_interval

Ints = npt.NDArray[np.int64]

NEIGHBORS = 5

GROUPS = 50
"""Above this number of identities the interval deletes them in so many groups."""

HELD_DISTANCES = 2**24
"""Squared distances that are in memory at once, 128 MB: all between 4,096 images a side."""

ROUNDING = 1e-12
"""Squared distances this share of the largest squared norm apart are equal: copies lie on a radius of 0."""

PRECISION, RECALL, DENSITY, COVERAGE = "Precision", "Recall", "Density", "Coverage"

_KYNKAANNIEMI = "Kynkäänniemi et al., Improved precision and recall metric for generative models (2019)"


class Neighborhood(Distribution):
    """One of the four scores, with its delete-one-identity interval."""

    named = {
        "Precision": {"title": "share of generated images among real ones", "source": _KYNKAANNIEMI},
        "Recall": {"title": "share of real images among generated ones", "source": _KYNKAANNIEMI},
        "Density": {
            "title": "real neighborhoods that hold a generated image, over k",
            "high": math.inf,
            "unit": "",
        },
        "Coverage": {"title": "share of real neighborhoods that hold a generated image"},
    }
    direction = "higher"
    high = 1.0
    unit = "fraction"
    source = "Naeem et al., Reliable fidelity and diversity metrics for generative models (2020)"
    portable = True
    meanings = {"ball": "border of a neighborhood", "k": "number of neighbors"}

    def settings(self) -> dict[str, str]:
        """Number of neighbors, the border of a ball, and what an image without features counts as."""
        return {"k": str(NEIGHBORS), "ball": "closed", "dtype": "float64", "missing": "outside"}

    def _interval(self, sides: Sides) -> Interval:
        def compute() -> dict[str, Interval]:
            return neighborhoods(
                sides.generated,
                sides.reference,
                sides.clusters,
                sides.reference_clusters,
                asked=sides.inputs.clusters[sides.rows],
            )

        # The four scores share their distances.
        key = ("neighborhoods", self.extractor, NEIGHBORS, sides.rows.tobytes())
        return sides.inputs.memo(key, compute)[self.name.partition("[")[0]]


def neighborhoods(
    generated: npt.ArrayLike,
    reference: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    reference_clusters: npt.ArrayLike | None = None,
    *,
    asked: npt.ArrayLike | None = None,
    k: int | None = None,
) -> dict[str, Interval]:
    """Precision, recall, density and coverage, each with its delete-one-identity interval.

    Args:
        generated: (M, d) features.
        reference: (N, d) features of real images.
        clusters: (M,) identities; None: every row its own.
        reference_clusters: (N,) identities; the same one is deleted on both sides. None: only generated.
        asked: identities of all requested images, those without features included; None: ``clusters``.
        k: neighbors; None: NEIGHBORS.

    Raises:
        DataError: a side of k images or fewer, or different dimensions.
    """
    k = NEIGHBORS if k is None else k
    x, y = np.asarray(generated, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) <= k:
        raise DataError(
            f"{k} neighbors need more than {k} samples a side of one extractor's features; "
            f"got {x.shape} and {y.shape}"
        )
    names, code_x = np.unique(np.arange(len(x)) if clusters is None else clusters, return_inverse=True)
    wanted = code_x if asked is None else codes_among(np.asarray(asked), names)
    code_y = np.full(len(y), -1)
    if reference_clusters is not None:
        code_y = codes_among(np.asarray(reference_clusters), names)
    blocks = len(names)
    if blocks > GROUPS:
        code_x, blocks = code_x % GROUPS, GROUPS
        code_y, wanted = (np.where(code < 0, -1, code % GROUPS) for code in (code_y, wanted))
    balls = _Balls.of(x, y, code_x, code_y, k)
    left_x, left_y = ((code[:, None] != np.arange(blocks)).sum(axis=0).min() for code in (code_x, code_y))
    enough = blocks >= 2 and min(left_x, left_y) > k
    deletions = [None, *range(blocks if enough else 0)]
    asked_for = [len(wanted) if block is None else int((wanted != block).sum()) for block in deletions]
    scores, *deleted = balls.scores(deletions, asked_for)
    if not enough:
        nothing = "none: too few identities"
        return {
            kind: Interval(value, math.nan, math.nan, nothing, len(names)) for kind, value in scores.items()
        }
    return {
        kind: _bounded(jackknife_interval(value, np.array([each[kind] for each in deleted]), names=names))
        for kind, value in scores.items()
    }


@dataclass(frozen=True)
class _Balls:
    """Two sides about the real ones' mean.

    Attributes:
        x, y: (M, d), (N, d) generated and real.
        code_x, code_y: of the identity, or group of them, that a row is deleted with; -1: never.
        k: neighbors.
        rounding: what squared distances may be off by.
    """

    x: Floats
    y: Floats
    code_x: Ints
    code_y: Ints
    k: int
    rounding: float

    @classmethod
    def of(cls, x: Floats, y: Floats, code_x: Ints, code_y: Ints, k: int) -> _Balls:
        center = y.mean(axis=0)
        x, y = x - center, y - center
        scale = max(float((side**2).sum(axis=1).max()) for side in (x, y))
        return cls(x, y, code_x, code_y, k, ROUNDING * scale)

    def scores(self, deletions: Sequence[int | None], asked: Sequence[int]) -> list[dict[str, float]]:
        """The four scores without each of some blocks of identities; None: with all.

        Args:
            deletions: the blocks.
            asked: how many images were asked for beside each.
        """
        radii_x = self._radii(self.x, self.code_x, deletions)
        radii_y = self._radii(self.y, self.code_y, deletions)
        inside, held = np.zeros(len(deletions), dtype=np.int64), np.zeros(len(deletions), dtype=np.int64)
        recalled, covered = (np.zeros((len(deletions), len(self.y)), dtype=bool) for _ in range(2))
        for rows in _chunks(len(self.x), len(self.y)):
            between = _squared(self.x[rows], self.y)
            for n, block in enumerate(deletions):
                in_real = np.less_equal(between, radii_y[n])[self.code_x[rows] != block]
                in_generated = np.less_equal(between, radii_x[n, rows, None])
                inside[n] += in_real.any(axis=1).sum()
                held[n] += np.count_nonzero(in_real)
                covered[n] |= np.logical_or.reduce(in_real, axis=0)
                recalled[n] |= np.logical_or.reduce(in_generated, axis=0)
        return [
            {
                PRECISION: float(inside[n] / asked[n]),
                RECALL: float(recalled[n][self.code_y != block].mean()),
                DENSITY: float(held[n] / (self.k * asked[n])),
                COVERAGE: float(covered[n][self.code_y != block].mean()),
            }
            for n, block in enumerate(deletions)
        ]

    def _radii(self, points: Floats, codes: Ints, deletions: Sequence[int | None]) -> Floats:
        """(deletions, points) squared radii, grown by the rounding; balls of the block hold nothing."""
        radii = np.empty((len(deletions), len(points)))
        for rows in _chunks(len(points), len(points)):
            distances, near = _near(points, codes, self.k, rows)
            for n, block in enumerate(deletions):
                left = distances if block is None else np.where(near == block, np.inf, distances)
                found = np.partition(left, self.k - 1, axis=1)[:, self.k - 1]
                radii[n, rows] = np.where(codes[rows] != block, found + self.rounding, -np.inf)
        return radii


def _chunks(count: int, columns: int) -> Iterator[slice]:
    """So many rows at a time that their distances to the columns are `HELD_DISTANCES` at most."""
    step = max(1, HELD_DISTANCES // columns)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _near(points: Floats, codes: Ints, k: int, rows: slice) -> tuple[Floats, Ints]:
    """The nearest others of some points, and their codes: k of them, and as many as one identity may take."""
    distances = _squared(points[rows], points)
    distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
    most = int(np.bincount(codes[codes >= 0]).max()) if (codes >= 0).any() else 0
    wanted = min(k + most, len(points) - 1)
    nearest = np.argpartition(distances, wanted - 1, axis=1)[:, :wanted]
    return np.take_along_axis(distances, nearest, axis=1), codes[nearest]


def _squared(x: Floats, y: Floats) -> Floats:
    found: Floats = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * (x @ y.T)
    return np.maximum(found, 0.0)


def _bounded(found: Interval) -> Interval:
    """Where every image is in, or none, deletion shows no spread: the bound of as many trials as subjects."""
    if found.low != found.high or found.value not in (0.0, 1.0):
        return found
    width = 1 - 0.025 ** (1 / found.clusters)
    low, high = (0.0, width) if found.value == 0.0 else (1 - width, 1.0)
    return replace(found, low=low, high=high, method="clopper-pearson over identities")
