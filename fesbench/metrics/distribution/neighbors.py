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
image without features (no face found) lies in no ball. The same code serves all extractors: ``Precision``
is on Inception features, ``Precision[dlib]`` on dlib's.
"""

from __future__ import annotations

import math
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
    scores = balls.scores(None, len(wanted))
    left_x, left_y = ((code[:, None] != np.arange(blocks)).sum(axis=0).min() for code in (code_x, code_y))
    if blocks < 2 or min(left_x, left_y) <= k:
        nothing = "none: too few identities"
        return {
            kind: Interval(value, math.nan, math.nan, nothing, len(names)) for kind, value in scores.items()
        }
    deleted = [balls.scores(block, int((wanted != block).sum())) for block in range(blocks)]
    return {
        kind: _bounded(jackknife_interval(value, np.array([each[kind] for each in deleted]), names=names))
        for kind, value in scores.items()
    }


@dataclass(frozen=True)
class _Balls:
    """Squared distances between the sides, and enough neighbors within each to lose any one identity.

    Attributes:
        between: (M, N) from generated to real images.
        near_x, near_y: squared distances to the nearest images of the same side, and their codes.
        code_x, code_y: of the identity, or group of them, that a row is deleted with; -1: never.
        k: neighbors.
        rounding: what squared distances may be off by.
    """

    between: Floats
    near_x: tuple[Floats, Ints]
    near_y: tuple[Floats, Ints]
    code_x: Ints
    code_y: Ints
    k: int
    rounding: float

    @classmethod
    def of(cls, x: Floats, y: Floats, code_x: Ints, code_y: Ints, k: int) -> _Balls:
        center = y.mean(axis=0)
        x, y = x - center, y - center
        scale = max(float((side**2).sum(axis=1).max()) for side in (x, y))
        near_x, near_y = _near(x, code_x, k), _near(y, code_y, k)
        return cls(_squared(x, y), near_x, near_y, code_x, code_y, k, ROUNDING * scale)

    def scores(self, block: int | None, asked: int) -> dict[str, float]:
        """The four scores without a block of identities; ``asked`` is how many images were asked for."""
        rows_x, rows_y = self.code_x != block, self.code_y != block
        # Balls of the block hold nothing; its points are left out below.
        radius_x = np.where(rows_x, self._radii(self.near_x, block) + self.rounding, -np.inf)
        radius_y = np.where(rows_y, self._radii(self.near_y, block) + self.rounding, -np.inf)
        in_real = np.less_equal(self.between, radius_y)[rows_x]
        in_generated = np.less_equal(self.between, radius_x[:, None])
        return {
            PRECISION: float(in_real.any(axis=1).sum() / asked),
            RECALL: float(np.logical_or.reduce(in_generated, axis=0)[rows_y].mean()),
            DENSITY: float(np.count_nonzero(in_real) / (self.k * asked)),
            COVERAGE: float(np.logical_or.reduce(in_real, axis=0)[rows_y].mean()),
        }

    def _radii(self, near: tuple[Floats, Ints], block: int | None) -> Floats:
        """Squared distance to the k-th neighbor that is not in the block."""
        distances, codes = near
        if block is not None:
            distances = np.where(codes == block, np.inf, distances)
        radii: Floats = np.partition(distances, self.k - 1, axis=1)[:, self.k - 1]
        return radii


def _near(points: Floats, codes: Ints, k: int) -> tuple[Floats, Ints]:
    """Each point's nearest others: k of them, and as many more as one identity may take away."""
    distances = _squared(points, points)
    np.fill_diagonal(distances, np.inf)
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
