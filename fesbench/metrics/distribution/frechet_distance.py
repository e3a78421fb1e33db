"""Distances between the distributions of generated and real images: FID, FD-<extractor>.

What a distance rewards, its features say. On the embedded faces ``FD-dlib`` puts ``copy`` before MR and
RegGAN in each style: its features tell people apart, not expressions, and both sides show the same people.
``FD-judge`` and ``FD-AU`` order real images, then the two methods, then ``copy`` everywhere
(docs/statistics.md).

Only the 2015 Inception's distance is called FID, under a name of its own for each file and resize; on any
other extractor it is ``FD-<extractor>``, or by the name that the literature gives it. The reference is the
pooled real images of the test requests, cut down to the requested expressions where some rows are measured
alone.

FID falls with n for the same pair of distributions (bias). So the interval covers the expectation at this n
(``target:E[FD_n]``), not the distance of the two populations, and scores compare at equal n alone: the number
of images that counted, which their keys hold. Beside the score stands the band of `real_halves`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fesbench.data.views import RowsOf
from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric, cut_to
from fesbench.metrics.distribution.frechet_math import frechet_jackknife
from fesbench.metrics.distribution.real_halves import band_of, real_halves
from fesbench.metrics.inputs import MetricInputs, Rows
from fesbench.statistics.intervals import Interval
from fesbench.statistics.null import NullBand
from fesbench.vocabulary import EXPRESSIONS

INCEPTION = "inception-tf-2015"
SMALLEST = 10
"""Images a side below which a distance between distributions says nothing."""

TARGET_MEANS = "what the interval covers: an expectation at this n, so that n must be equal"

_OWN = "fesbench; Heusel et al. (2017) on features of expression"
_KYNKAANNIEMI = "Kynkäänniemi et al., The role of ImageNet classes in Fréchet inception distance (2023)"


@dataclass(frozen=True)
class Sides:
    """Two feature sets with their identities; rows without features are already left out.

    Attributes:
        generated: (n, d) float32, in the order of the requests' names; of features in a file `LazyRows`.
        reference: (m, d).
        clusters: (n,) identities of the generated images.
        reference_clusters: (m,) identities; None: none are shared.
        labels, reference_labels: (n,), (m,) expressions, -1 where there is no single one; None: unknown.
        extractor: its signature.
        reference_name: for the signature.
        inputs: what they were taken from.
        rows: (N,) all that were asked for, with features or without.
    """

    generated: Any
    reference: Any
    clusters: npt.NDArray[np.int64]
    reference_clusters: npt.NDArray[np.int64] | None
    labels: npt.NDArray[np.int64]
    reference_labels: npt.NDArray[np.int64] | None
    extractor: str
    reference_name: str
    inputs: MetricInputs
    rows: Rows


class Distribution(Metric):
    """A score of generated against reference features, with its interval cut to the score's range."""

    direction: Literal["higher", "lower"] = "lower"
    high = math.inf
    extractor = INCEPTION
    needs = frozenset({"reference"})
    per_sample = False
    smallest = SMALLEST

    @abstractmethod
    def _interval(self, sides: Sides) -> Interval:
        """The score with its interval."""

    def _null(self, sides: Sides) -> NullBand | None:
        """The band of real halves; None for a score that is 0 where there is no difference."""
        return None

    def _refusal(self, sides: Sides) -> str:
        """Why there is no score; "" where there is one."""
        n, m = len(sides.generated), len(sides.reference)
        if min(n, m) >= self.smallest:
            return ""
        return f"needs {self.smallest} images a side, has {n} generated and {m} reference"

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the rows that have features."""
        sides = sides_of(inputs, rows, self.extractor)
        found = Found(
            len(sides.generated),
            extractor=sides.extractor,
            reference=f"{sides.reference_name}:{len(sides.reference)}",
            reason=self._refusal(sides),
        )
        if not found.reason:
            found.interval = cut_to(self._interval(sides), self.low, self.high)
            # Of the pooled score alone: a column has one band.
            found.null = self._null(sides) if len(rows) == len(inputs) else None
        return found


class FrechetDistance(Distribution):
    """Fréchet distance: FID on the 2015 Inception, FD-<extractor> on any other.

    Those that the literature has given a name read the whole image, whatever it shows.
    """

    named = {
        "FID": {
            "title": "Fréchet Inception distance",
            "plain": "Fréchet distance between Inception features of real and generated images",
        },
        "FID-clean": {
            "title": "Fréchet Inception distance with clean-fid's file and antialiased resize",
            "extractor": "inception-clean-fid",
            "source": "Parmar et al., On aliased resizing and surprising subtleties in GAN evaluation (2022)",
        },
        "CLIP-FD": {
            "title": "Fréchet distance of CLIP ViT-B/32 features",
            "extractor": "clip-vit-b-32",
            "source": _KYNKAANNIEMI,
        },
        "DINOv2-FD": {
            "title": "Fréchet distance of DINOv2 ViT-B/14 features",
            "extractor": "dinov2-vit-b-14",
            "source": "Stein et al., Exposing flaws of generative model evaluation metrics (2023)",
        },
        "FD-dlib": {
            "title": "Fréchet distance of dlib features",
            "plain": "Fréchet distance between dlib face descriptors, real and generated; it rewards faces "
            "that are kept as they are, expressions hardly: copies of the sources score well",
            "extractor": "dlib",
        },
        "FD-judge": {
            "title": "Fréchet distance of the judge's probabilities",
            "plain": "Fréchet distance between what the judge sees in real and in generated images: are "
            "expressions as mixed and as sure as real ones; it believes the judge and does not see who is "
            "shown: other people's faces, or images that please the judge, may have the best score",
            "extractor": "judge",
            "source": _OWN,
        },
        "FD-AU": {
            "title": "Fréchet distance of action units",
            "plain": "Fréchet distance between measured action units, real and generated",
            "extractor": "au-regressor",
            "source": _OWN,
        },
    }
    source = "Heusel et al., GANs trained by a two time-scale update rule (2017)"
    portable = True
    meanings = {"cov": "divisor of the covariance", "target": TARGET_MEANS}

    def settings(self) -> dict[str, str]:
        """Covariance, precision, root, and what happens to an image without features."""
        missing = "left-out" if self.name.startswith("FD-") else "none"
        return {"cov": "n-1", "dtype": "float64", "missing": missing, "target": "E[FD_n]"}

    def move_to(self, extractor: str) -> None:
        """The distance on another extractor's features, under that extractor's name."""
        names = {own.get("extractor", INCEPTION): name for name, own in self.named.items()}
        name = names.get(extractor, f"FD-{extractor}")
        title = f"Fréchet distance of {extractor} features"
        own = self.named.get(name, {})
        self.name, self.extractor, self.title = name, extractor, own.get("title", title)
        self.plain, self.source = own.get("plain", ""), own.get("source", type(self).source)

    def _interval(self, sides: Sides) -> Interval:
        return frechet_jackknife(sides.generated, sides.reference, sides.clusters, sides.reference_clusters)

    def _null(self, sides: Sides) -> NullBand | None:
        parts = sides.generated, sides.reference, sides.clusters, sides.reference_clusters
        return band_of([real_halves(*parts, smallest=self.smallest)])


def sides_of(inputs: MetricInputs, rows: Rows, extractor: str) -> Sides:
    """The features of the requested images and of their reference.

    Raises:
        DataError: the two sides come from different extractors.
    """
    generated = inputs.feature_set(extractor, "generated")
    reference = inputs.feature_set(extractor, "reference")
    if generated.signature != reference.signature:
        raise DataError(
            f"generated and reference features come from different extractors: {generated.signature} "
            f"and {reference.signature}"
        )
    chosen, name = reference.valid.copy(), inputs.reference_name
    labels, wanted = inputs.reference_labels, np.unique(inputs.labels[rows])
    if labels is not None and len(wanted) and wanted.min() >= 0 and not np.isin(labels, wanted).all():
        chosen &= np.isin(labels, wanted)
        name += f"[{','.join(EXPRESSIONS[i] for i in wanted)}]"
    kept = in_order(inputs, rows[generated.valid[rows]])
    identities = inputs.reference_identity
    return Sides(
        generated=_rows_of(generated.values, kept),
        reference=_rows_of(reference.values, np.flatnonzero(chosen)),
        clusters=inputs.clusters[kept],
        reference_clusters=None if identities is None else identities[chosen],
        labels=inputs.labels[kept],
        reference_labels=None if labels is None else labels[chosen],
        extractor=generated.signature,
        reference_name=name,
        inputs=inputs,
        rows=rows,
    )


def _rows_of(values: npt.NDArray[np.float32], rows: Rows) -> Any:
    return RowsOf(values, rows) if isinstance(values, np.memmap) else values[rows]


def in_order(inputs: MetricInputs, rows: Rows) -> Rows:
    """Rows by their requests' names, the order in which torch-fidelity reads the files of a folder.

    What shuffles or draws images by a seed so gives one score, in whatever order they are asked for.
    """
    names = inputs.requests["request"].to_numpy(dtype=str)[rows]
    return rows[np.argsort(names, kind="stable")]
