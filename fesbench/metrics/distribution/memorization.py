"""Does a method hand out images that it was trained on? Distances to the nearest training image.

    d(y) = min over training images t of || e(y) - e(t) ||        (unit length, L2)

Real images of subjects who were never trained on have such distances too, and they are the yardstick: q is
their 1 % quantile, an order statistic, so that at most 1 % of them lie closer.

    Memorized = share of outputs with d < q                       (honest: about 1 %; lower is better)
    NN-ratio  = mean d(outputs) / mean d(real test images)      (honest: about 1; copies: 0)

Both say nothing about quality: a destroyed face is far from everything.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import same_extractor, unit_rows
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

EMBEDDING = "dlib"
QUANTILE = 0.01
FEWEST_REAL = 100
"""Real distances below which a 1 % quantile is nothing but their smallest."""

_CHUNK = 256


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of every output.

    Attributes:
        distance: (N,) to it; NaN where the output has no features.
        training: (N,) its row among the training images; -1 where the output has no features.
        real: (M,) distances of the real test images that have features.
        signature: of the extractor.
        trained_on: number of training images with features.
    """

    distance: Floats
    training: npt.NDArray[np.int64]
    real: Floats
    signature: str
    trained_on: int


def nearest_training(inputs: MetricInputs, extractor: str = EMBEDDING) -> Nearest:
    """Look for every output, and every real test image, among the training images."""
    return inputs.memo(("nearest-training", extractor), lambda: _nearest(inputs, extractor))


def closest_pairs(
    inputs: MetricInputs, count: int, extractor: str = EMBEDDING
) -> list[tuple[int, int, float]]:
    """The outputs nearest to a training image, for an image: (request row, training row, distance).

    Ascending by distance, then by row; each training image at most once.
    """
    found = nearest_training(inputs, extractor)
    shown: list[tuple[int, int, float]] = []
    used: set[int] = set()
    for row in np.argsort(found.distance, kind="stable"):
        image = int(found.training[row])
        if image < 0 or len(shown) == count:
            break
        if image not in used:
            used.add(image)
            shown.append((int(row), image, float(found.distance[row])))
    return shown


class _Nearest(Metric):
    """Of the distances to the nearest training image; the yardstick is held fixed."""

    extractor = EMBEDDING
    needs = frozenset({"reference", "training"})
    source = "after Meehan et al., A non-parametric test to detect data-copying (2020)"
    portable = True

    @abstractmethod
    def _values(self, found: Nearest) -> Floats:
        """(N,) the value of every output, NaN without features."""

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the rows that have features."""
        near = nearest_training(inputs, self.extractor)
        found = Found(
            int(np.isfinite(near.distance[rows]).sum()),
            self._values(near)[rows],
            extractor=near.signature,
            reference=f"training:{near.trained_on},{inputs.reference_name}:{len(near.real)}",
        )
        if not near.trained_on:
            found.reason = "no training image has features"
        elif len(near.real) < FEWEST_REAL:
            found.reason = f"needs {FEWEST_REAL} real test images as a yardstick, has {len(near.real)}"
        return found


class Memorized(_Nearest):
    """Share of outputs closer to a training image than 99 % of real test images are."""

    name = "Memorized"
    title = "outputs closer to a training image than real images are"
    direction = "lower"
    unit = "fraction"
    meanings = {"quantile": "quantile that sets the threshold"}

    def settings(self) -> dict[str, str]:
        """Distance, quantile of the real distances, and what a missing face counts as."""
        return {"dist": "l2-unit", "quantile": f"{QUANTILE:g}", "missing": "left-out"}

    def _values(self, found: Nearest) -> Floats:
        if not len(found.real):
            return np.full(len(found.distance), math.nan)
        cut = float(np.quantile(found.real, QUANTILE, method="inverted_cdf"))
        return np.where(np.isnan(found.distance), math.nan, found.distance < cut)


class NearestRatio(_Nearest):
    """Mean distance to the nearest training image, in units of the real test images'."""

    name = "NN-ratio"
    title = "distance to the nearest training image, relative to real images"
    high = math.inf
    meanings = {"unit": "what the score is divided by"}

    def settings(self) -> dict[str, str]:
        """Distance, yardstick, and what a missing face counts as."""
        return {"dist": "l2-unit", "unit": "mean-of-real", "missing": "left-out"}

    def _values(self, found: Nearest) -> Floats:
        mean = found.real.mean() if len(found.real) else 0.0
        # Real test images that are all training images give no unit; the split's check finds them first.
        return found.distance / mean if mean > 0 else np.full(len(found.distance), math.nan)


def _nearest(inputs: MetricInputs, extractor: str) -> Nearest:
    output, training, real = (
        inputs.feature_set(extractor, which) for which in ("generated", "training", "reference")
    )
    same_extractor(output, training)
    same_extractor(output, real)
    known = np.flatnonzero(training.valid)
    distance = np.full(len(output.values), math.nan)
    nearest = np.full(len(output.values), -1, dtype=np.int64)
    yardstick = np.zeros(0)
    if len(known):
        trained = unit_rows(training.values[known])
        distance[output.valid], places = _search(unit_rows(output.values[output.valid]), trained)
        nearest[output.valid] = known[places]
        yardstick = np.sort(_search(unit_rows(real.values[real.valid]), trained)[0])
    return Nearest(distance, nearest, yardstick, output.signature, len(known))


def _search(wanted: Floats, among: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Distance and place of the nearest row; memory does not grow with the number wanted."""
    from scipy.spatial.distance import cdist

    distance, place = np.zeros(len(wanted)), np.zeros(len(wanted), dtype=np.int64)
    for start in range(0, len(wanted), _CHUNK):
        part = cdist(wanted[start : start + _CHUNK], among)
        place[start : start + _CHUNK] = part.argmin(axis=1)
        distance[start : start + _CHUNK] = part.min(axis=1)
    return distance, place
