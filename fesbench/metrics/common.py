"""What several metrics ask of rows: is there a target image, features at unit length, pairs within groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.inputs import FeatureSet, Floats, MetricInputs, Rows

NEIGHBORS = 20
"""An item of a group is paired with so many that follow it, cyclically: all pairs of groups up to 41."""

NO_TARGET = "no target image exists for these requests"


def has_target(inputs: MetricInputs) -> npt.NDArray[np.bool_]:
    """(N,) whether a request has a target image."""
    if "target" not in inputs.requests:
        return np.ones(len(inputs), dtype=bool)
    present: npt.NDArray[np.bool_] = inputs.requests["target"].to_numpy() >= 0
    return present


def unit_rows(values: npt.NDArray[np.floating]) -> Floats:
    """Rows of unit length in float64; a zero or invalid row stays zero and has cosine 0 with everything."""
    x = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def same_extractor(a: FeatureSet, b: FeatureSet) -> None:
    """Refuse to compare features of two extractors.

    Raises:
        DataError: their signatures differ.
    """
    if a.signature != b.signature:
        raise DataError(f"images are compared across two extractors: {a.signature} and {b.signature}")


def faces_and_sources(
    inputs: MetricInputs, extractor: str, rows: Rows
) -> tuple[Floats, Floats, npt.NDArray[np.bool_], str]:
    """Embeddings of outputs, as far as they show a face, and of the images that they were made from.

    Returns:
        outputs and sources at unit length (rows, D), whether both have a face (rows,), the signature.
    """
    output = inputs.faces(extractor)
    source = inputs.feature_set(extractor, "source")
    same_extractor(output, source)
    valid: npt.NDArray[np.bool_] = output.valid[rows] & source.valid[rows]
    return unit_rows(output.values[rows]), unit_rows(source.values[rows]), valid, output.signature


def codes(inputs: MetricInputs, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) int: equal where the requested label and these columns of the requests are equal.

    Columns that the requests do not have are left out. Codes do not depend on the order of the requests.
    """
    known = [inputs.requests[name].astype(str) for name in columns if name in inputs.requests]
    texts = ["|".join(parts) for parts in zip(inputs.labels.astype(str), *known, strict=True)]
    return np.unique(np.array(texts, dtype=str), return_inverse=True)[1].astype(np.int64)


def pairs_within(groups: npt.NDArray[np.int64], order: npt.NDArray[np.int64], rows: Rows) -> Rows:
    """Pairs of rows of one group: each with the next ones in its order, cyclically, up to ``NEIGHBORS``.

    Args:
        groups: (N,) int.
        order: (N,) int, all different.
        rows: The rows to pair.

    Returns:
        (P, 2) rows, no pair twice.
    """
    ranked = rows[np.lexsort((order[rows], groups[rows]))]
    found = [np.zeros((0, 2), dtype=np.int64)]
    starts = np.flatnonzero(np.diff(groups[ranked], prepend=-1)) if len(ranked) else np.zeros(0, int)
    for members in np.split(ranked, starts[1:]):
        n = len(members)
        for offset in range(1, min(NEIGHBORS, n // 2) + 1):
            # Half way round a group of even size every pair would be met twice.
            first = np.arange(n // 2 if 2 * offset == n else n)
            found.append(np.stack([members[first], members[(first + offset) % n]], axis=1))
    return np.concatenate(found)


def distance_name(extractor: str) -> str:
    """How :func:`feature_distances` compares two outputs, for signatures."""
    from fesbench.extractors.registry import pair_names

    return "own" if extractor in pair_names() else "l2-unit"


def feature_distances(
    inputs: MetricInputs, extractor: str, pairs: Rows
) -> tuple[Floats, npt.NDArray[np.bool_], str]:
    """How far pairs of outputs are apart: a pair extractor's value, else the L2 distance at unit length.

    Returns:
        distance (P,), whether both images have features (P,), the extractor's signature.
    """
    from fesbench.extractors.registry import pair_names

    if extractor in pair_names():
        found = inputs.pair_set(extractor, "generated", "generated", pairs)
        return found.values[:, 0].astype(np.float64), found.valid, found.signature
    features = inputs.feature_set(extractor, "generated")
    unit = unit_rows(features.values)
    distance: Floats = np.linalg.norm(unit[pairs[:, 0]] - unit[pairs[:, 1]], axis=1)
    found_both: npt.NDArray[np.bool_] = features.valid[pairs[:, 0]] & features.valid[pairs[:, 1]]
    return distance, found_both, features.signature


def mean_by_row(distance: Floats, pairs: Rows, count: int) -> Floats:
    """(count,) the mean distance of the pairs that a row is in; NaN where it is in none.

    Sums run in the order of the values, so that they are bit-equal for any order of the rows.
    """
    ends, twice = pairs.T.ravel(), np.tile(distance, 2)
    order = np.lexsort((twice, ends))
    sums = np.bincount(ends[order], weights=twice[order], minlength=count)
    met = np.bincount(ends, minlength=count)
    return np.divide(sums, met, out=np.full(count, np.nan), where=met > 0)
