"""Distances between the distributions of generated and real pictures: FID, KID, FD-<extractor>.

Only the TensorFlow-2015 Inception's distance is called FID; on any other extractor it is
``FD-<extractor>``. The reference is the pooled real images of the test requests, cut down to the requested
expressions where some rows are measured alone. FID falls with n for the same pair of distributions (bias),
so figures compare at equal n, which the signature holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import (
    Evidence,
    Floats,
    Measurement,
    Metric,
    MetricCard,
    Rows,
    checked_rows,
    from_interval,
    refusal,
)
from fesbench.metrics.frechet import frechet_distance, frechet_jackknife
from fesbench.statistics import Interval, jackknife_interval
from fesbench.vocabulary import EXPRESSIONS

__all__ = ["FrechetDistance", "KernelDistance", "frechet_distance", "kernel_distance"]

INCEPTION = "inception-tf-2015"
SMALLEST = 10
"""Images a side below which a distance between distributions says nothing."""

KID_SCALE = 1000.0


@dataclass(frozen=True)
class _Sides:
    """Two feature sets with their identities; rows without features are already left out."""

    generated: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    clusters: npt.NDArray[np.int64]
    reference_clusters: npt.NDArray[np.int64] | None
    extractor: str
    reference_name: str


class _Distribution(Metric):
    """A distance between generated and reference features."""

    def _interval(self, sides: _Sides) -> Interval:
        raise AssertionError("a distribution metric defines its distance")

    def measure(self, evidence: Evidence, rows: Rows) -> Measurement:
        """The distance with its delete-one-identity interval."""
        rows = checked_rows(evidence, rows)
        sides = _sides(evidence, rows, self.card.extractor)
        n, m = len(sides.generated), len(sides.reference)
        signature = self.signature(
            evidence, n, len(rows), extractor=sides.extractor, reference=f"{sides.reference_name}:{m}"
        )
        if min(n, m) < SMALLEST:
            reason = f"needs {SMALLEST} images a side, has {n} generated and {m} reference"
            return refusal(self, None, rows, n, signature, reason)
        return from_interval(self, self._interval(sides), None, rows, n, signature)


class FrechetDistance(_Distribution):
    """Fréchet distance; called FID on the TensorFlow-2015 Inception, FD-<extractor> on any other."""

    def __init__(self, extractor: str = INCEPTION) -> None:
        inception = extractor == INCEPTION
        self.card = MetricCard(
            name="FID" if inception else f"FD-{extractor}",
            title="Fréchet Inception distance" if inception else f"Fréchet distance of {extractor} features",
            direction="lower",
            low=0.0,
            high=float("inf"),
            unit="",
            extractor=extractor,
            needs=frozenset({"reference"}),
            source="Heusel et al., GANs trained by a two time-scale update rule (2017)",
            per_sample=False,
        )

    def settings(self) -> dict[str, str]:
        """Covariance, precision, root, and what happens to a picture without features."""
        return {
            "cov": "n-1",
            "dtype": "float64",
            "missing": "left-out" if self.card.name != "FID" else "none",
        }

    def with_extractor(self, extractor: str) -> FrechetDistance:
        """The distance on another extractor's features, under that extractor's name."""
        return FrechetDistance(extractor)

    def _interval(self, sides: _Sides) -> Interval:
        return frechet_jackknife(sides.generated, sides.reference, sides.clusters, sides.reference_clusters)


class KernelDistance(_Distribution):
    """KID: unbiased squared MMD on all samples, cubic kernel, times 1000; may be slightly negative."""

    card = MetricCard(
        name="KID",
        title="kernel Inception distance x 1000",
        direction="lower",
        low=float("-inf"),
        high=float("inf"),
        unit="x1000",
        extractor=INCEPTION,
        needs=frozenset({"reference"}),
        source="Binkowski et al., Demystifying MMD GANs (2018)",
        per_sample=False,
    )

    def settings(self) -> dict[str, str]:
        """Kernel, estimator, scale."""
        return {"kernel": "poly3", "est": "unbiased", "subset": "all", "scale": f"x{KID_SCALE:g}"}

    def _interval(self, sides: _Sides) -> Interval:
        return kernel_distance(sides.generated, sides.reference, sides.clusters, sides.reference_clusters)


def kernel_distance(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters_a: npt.ArrayLike | None = None,
    clusters_b: npt.ArrayLike | None = None,
) -> Interval:
    """1000 times the unbiased squared MMD with kernel (x.y/d + 1)^3, with its delete-one-identity interval.

    Args:
        a: (n, d) generated features.
        b: (m, d) reference features.
        clusters_a: (n,) identities; None: every row its own.
        clusters_b: (m,) identities; the same identity is deleted on both sides. None: only from ``a``.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise DataError(
            f"KID needs two samples a side of one extractor's features; got {x.shape} and {y.shape}"
        )
    d = x.shape[1]
    names, codes_x = np.unique(np.arange(len(x)) if clusters_a is None else clusters_a, return_inverse=True)
    member_x = np.zeros((len(x), len(names)))
    member_x[np.arange(len(x)), codes_x] = 1.0
    member_y = (
        np.zeros((len(y), len(names)))
        if clusters_b is None
        else (np.asarray(clusters_b)[:, None] == names) * 1.0
    )
    kxx, kyy, kxy = ((p @ q.T / d + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    np.fill_diagonal(kxx, 0.0)
    np.fill_diagonal(kyy, 0.0)
    n, m = float(len(x)), float(len(y))
    value = _mmd(kxx.sum(), kyy.sum(), kxy.sum(), n, m)
    kept_x, kept_y = n - member_x.sum(axis=0), m - member_y.sum(axis=0)
    if len(names) < 2 or kept_x.min() < 2 or kept_y.min() < 2:
        return Interval(float(value), float("nan"), float("nan"), "none: too few identities", len(names))
    deleted = _mmd(
        _kept(kxx, member_x, member_x),
        _kept(kyy, member_y, member_y),
        _kept(kxy, member_x, member_y),
        kept_x,
        kept_y,
    )
    return jackknife_interval(float(value), deleted, clusters=len(names))


def _kept(kernel: Floats, left: Floats, right: Floats) -> Floats:
    """Sum of the kernel without each identity's rows and columns, (identities,)."""
    rows, columns = left.T @ kernel.sum(axis=1), kernel.sum(axis=0) @ right
    both = np.einsum("ik,ik->k", left, kernel @ right)
    return kernel.sum() - rows - columns + both


def _mmd(
    kxx: npt.ArrayLike, kyy: npt.ArrayLike, kxy: npt.ArrayLike, n: npt.ArrayLike, m: npt.ArrayLike
) -> Floats:
    n, m = np.asarray(n), np.asarray(m)
    found: Floats = KID_SCALE * (kxx / (n * (n - 1)) + kyy / (m * (m - 1)) - 2 * np.asarray(kxy) / (n * m))
    return found


def _sides(evidence: Evidence, rows: Rows, extractor: str) -> _Sides:
    generated = evidence.feature_set(extractor, "generated")
    reference = evidence.feature_set(extractor, "reference")
    if generated.signature != reference.signature:
        raise DataError(
            f"generated and reference features come from different extractors: {generated.signature} "
            f"and {reference.signature}"
        )
    chosen, name = reference.valid.copy(), evidence.reference_name
    labels, wanted = evidence.reference_labels, np.unique(evidence.labels[rows])
    if labels is not None and len(wanted) and wanted.min() >= 0 and not np.isin(labels, wanted).all():
        chosen &= np.isin(labels, wanted)
        name += f"[{','.join(EXPRESSIONS[i] for i in wanted)}]"
    kept = rows[generated.valid[rows]]
    identities = evidence.reference_identity
    return _Sides(
        generated=generated.values[kept],
        reference=reference.values[chosen],
        clusters=evidence.clusters[kept],
        reference_clusters=None if identities is None else identities[chosen],
        extractor=generated.signature,
        reference_name=name,
    )
