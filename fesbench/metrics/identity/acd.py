"""Average content distance: does the subject stay the same over a video, or over the expressions of a still?

On videos, with one feature vector e(v_t) a frame (MoCoGAN: OpenFace's unit vectors):

    ACD(v)   = 2 / (T (T - 1)) sum_{j<k} ||e(v_j) - e(v_k)||          (MoCoGAN; also called ACD-C)
    ACD-I(v) = 1 / T sum_j ||e(v_j) - e(x_0)||                        (x_0: the input photograph)

averaged over videos; the distance is L2, not squared. On stills there is no video: the forms "over
expressions" put the outputs of one subject in the place of the frames, as US-GAN must have done, and carry
their own names. A method that returns its input has 0 in both, so they are read beside ECS. Values of
different face models lie on different scales.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import (
    NEIGHBORS,
    codes,
    distance_name,
    faces_and_sources,
    feature_distances,
    mean_by_row,
    pairs_within,
)
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

EMBEDDING = "dlib"
MISSING = math.sqrt(2)
"""Distance to a face that was not found: that of two unit vectors which have nothing in common."""


def acd(features: npt.ArrayLike) -> float:
    """Mean pairwise L2 distance of a video's frames, (T, D) with T >= 2; as they are, not normalized.

    Raises:
        DataError: fewer than two frames, or values that are not finite.

    >>> acd([[0.0, 0.0], [3.0, 4.0]])
    5.0
    """
    x = _frames(features, least=2)
    rows, columns = np.triu_indices(len(x), k=1)
    return float(np.linalg.norm(x[rows] - x[columns], axis=1).mean())


acd_c = acd
"""The content form is MoCoGAN's own."""


def acd_i(features: npt.ArrayLike, source: npt.ArrayLike) -> float:
    """Mean L2 distance of a video's frames, (T, D), to the input photograph, (D,).

    Raises:
        DataError: no frame, other dimensions, or values that are not finite.

    >>> acd_i([[0.0, 0.0], [3.0, 4.0]], source=[0.0, 0.0])
    2.5
    """
    x, y = _frames(features, least=1), np.asarray(source, dtype=np.float64)
    if y.shape != x.shape[1:] or not np.isfinite(y).all():
        raise DataError(f"the source's features have shape {y.shape}, the frames' {x.shape}")
    return float(np.linalg.norm(x - y, axis=1).mean())


class InputDistance(Metric):
    """ACD-I over expressions: mean L2 distance at unit length between outputs and their source.

    A pair without both faces counts as unrelated.
    """

    name = "ACD-I-expressions"
    title = "average content distance to the input, over expressions"
    direction = "lower"
    high = 2.0
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source"})
    source = "Zhao et al. (2018), ACD-I; on stills as in US-GAN (arXiv 2112.13002)"
    portable = True
    anchored = True

    def settings(self) -> dict[str, str]:
        """Distance, what is paired, and what a missing face counts as."""
        return {"dist": "l2-unit", "pair": "source-output", "missing": "sqrt2"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The distance of every pair."""
        output, source, valid, made = faces_and_sources(inputs, self.extractor, rows)
        values = np.where(valid, np.linalg.norm(output - source, axis=1), MISSING)
        return Found(int(valid.sum()), values, extractor=made, reference="source")


class WithinSubject(Metric):
    """Mean distance between the outputs of one subject for different requests, at equal intensity."""

    missing: float = math.nan
    high = 2.0
    extractor = EMBEDDING
    needs = frozenset({"source"})
    portable = True
    meanings = {"next": "largest number of pairs or images compared"}

    def settings(self) -> dict[str, str]:
        """Distance, what is paired with what, and what a missing face counts as."""
        return {
            "dist": distance_name(self.extractor),
            "pair": "one-source-two-expressions",
            "next": str(NEIGHBORS),
            "missing": "left-out" if math.isnan(self.missing) else "sqrt2",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Each output's mean distance to the subject's others."""
        asked = codes(inputs, ("second_expression", "action_unit"))
        pairs = pairs_within(_takes(inputs), request_order(asked, inputs), rows)
        pairs = pairs[asked[pairs[:, 0]] != asked[pairs[:, 1]]]
        distance, both, made = feature_distances(inputs, self.extractor, pairs)
        if self.wants_face and inputs.face_kept is not None:
            both &= inputs.face_kept[pairs].all(axis=1)
        distance = np.where(both, distance, self.missing)
        kept = np.isfinite(distance)
        values: Floats = mean_by_row(distance[kept], pairs[kept], len(inputs))[rows]
        seen = np.zeros(len(inputs), dtype=bool)
        seen[pairs[both]] = True
        reason = ""
        if not np.isfinite(values).any():
            reason = "no subject has outputs for two requests of one intensity"
        return Found(int(seen[rows].sum()), values, extractor=made, reason=reason)


class ContentDistance(WithinSubject):
    """ACD-C over expressions: how far apart the outputs of one subject are on a face model."""

    name = "ACD-C-expressions"
    title = "average content distance between a subject's outputs, over expressions"
    direction = "lower"
    source = "Tulyakov et al., MoCoGAN (2018), ACD; on stills as in US-GAN (arXiv 2112.13002)"
    missing = MISSING
    wants_face = True


def _takes(inputs: MetricInputs) -> npt.NDArray[np.int64]:
    """(N,) int: one subject from one source at one intensity."""
    table = inputs.requests
    known = [table[name].to_numpy() for name in ("source", "intensity") if name in table]
    return np.unique(np.stack([inputs.clusters, *known], axis=1), axis=0, return_inverse=True)[1].ravel()


def request_order(first: npt.NDArray[np.int64], inputs: MetricInputs) -> npt.NDArray[np.int64]:
    """Places of the requests sorted by a code, then by name: the same for any order of the table."""
    order = np.lexsort((inputs.requests["request"].to_numpy(dtype=str), first))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def _frames(features: npt.ArrayLike, least: int) -> Floats:
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) < least or not np.isfinite(x).all():
        raise DataError(f"ACD needs finite features (T, D) of at least {least} frames, not {x.shape}")
    return x
