"""Verification arithmetic on similarities: thresholds at a false accept rate, true accepts, ranks.

A threshold is conservative: the smallest one whose false accept rate does not exceed the level, with every
tied impostor counted as accepted. Rates are quantized in steps of one impostor pair, so below 10 / level
pairs the level cannot be resolved and no score is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.statistics.intervals import Interval, Replicates, bootstrap_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK = 4_000_000

TOLERANCE = 1e-6
"""Similarities this near to one another are tied: a network's rounding parts even equal images."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of probes and gallery images.

    Attributes:
        genuine: (P,) similarity of pairs of one identity; -inf where a face was not found (a rejection).
        genuine_identity: (P,) its identity, 0..K-1.
        impostor: (Q,) similarity of pairs of two identities, both faces found, in descending order.
        impostor_probe, impostor_gallery: (Q,) the two identities.
        identities: K.
        names: The K identities as they were given, ascending.
    """

    genuine: Floats
    genuine_identity: Ints
    impostor: Floats
    impostor_probe: Ints
    impostor_gallery: Ints
    identities: int
    names: tuple[int, ...] = ()


def make_pairs(
    similarity: Floats,
    found: npt.NDArray[np.bool_],
    probe: Ints,
    gallery: Ints,
) -> Pairs:
    """Sort the pairs of a similarity matrix into genuine and impostor ones.

    A pair without both faces is rejected when genuine. As an impostor it is left out, because counting it
    as a correct rejection would lower the threshold and so reward a method that destroys faces.

    Args:
        similarity: (N, G) probes against gallery.
        found: (N, G) both faces were found.
        probe: (N,) identities.
        gallery: (G,) identities.
    """
    names, codes = np.unique(np.concatenate((probe, gallery)), return_inverse=True)
    a, b = codes[: len(probe)], codes[len(probe) :]
    same = a[:, None] == b[None, :]
    genuine = np.nonzero(same)
    impostor = np.nonzero(~same & found)
    order = np.argsort(-similarity[impostor], kind="stable")
    return Pairs(
        genuine=np.where(found[genuine], similarity[genuine], -np.inf),
        genuine_identity=a[genuine[0]],
        impostor=similarity[impostor][order],
        impostor_probe=a[impostor[0]][order],
        impostor_gallery=b[impostor[1]][order],
        identities=len(names),
        names=tuple(names.tolist()),
    )


def enough_pairs(pairs: int, far: float) -> bool:
    """Whether a false accept rate can be resolved: at least 10 / far impostor pairs.

    Raises:
        DataError: no rate.

    >>> enough_pairs(999, 0.01), enough_pairs(1000, 0.01)
    (False, True)
    """
    if not 0 < far < 1:
        raise DataError(f"a false accept rate lies between 0 and 1, not {far}")
    return pairs * far >= 10 - 1e-9


def threshold(impostor_descending: Floats, far: float) -> float:
    """What a genuine pair must exceed: the (floor(far * n) + 1)-th largest impostor similarity.

    Just above it the false accept rate is at most ``far``; at it, ties included, the rate is beyond.

    >>> threshold(np.array([0.9, 0.7, 0.5, 0.1]), 0.25)
    0.7
    """
    return float(impostor_descending[_allowance(far * len(impostor_descending))])


def tar_at_far(pairs: Pairs, far: float) -> float:
    """True accept rate over the genuine pairs at the conservative threshold, which a tie does not exceed."""
    return float((pairs.genuine > threshold(pairs.impostor, far) + TOLERANCE).mean())


def tar_interval(
    pairs: Pairs, far: float, *, seed: int, replicates: int = 2000, level: float = 0.95
) -> Interval:
    """TAR with a bootstrap over identities that recomputes the threshold in every replicate.

    Both sides of a pair are drawn from the resampled identities: an identity drawn w times gives its
    genuine pairs weight w, and a pair of two identities the weight of their product; two copies of one
    identity are no impostors. Expanded percentiles from 8 identities on; below, Student's t with the
    bootstrap's standard error. A rate of exactly 0 or 1 gets the Clopper-Pearson bound over identities,
    since resampling shows no spread there.
    """
    value, k = tar_at_far(pairs, far), len(np.unique(pairs.genuine_identity))
    if k == 1:
        return Interval(value, math.nan, math.nan, "none: one identity", 1)
    rng = np.random.default_rng(seed)
    even = np.full(pairs.identities, 1 / pairs.identities)
    draws = replicate_tar(pairs, far, rng.multinomial(pairs.identities, even, size=replicates))
    kept = Replicates("identity-bootstrap", draws, pairs.names)
    if value in (0.0, 1.0):
        width = 1 - ((1 - level) / 2) ** (1 / k)
        low, high = (0.0, width) if value == 0.0 else (1 - width, 1.0)
        return Interval(value, low, high, "clopper-pearson over identities", k, kept)
    found = bootstrap_interval(value, draws, clusters=k, level=level, bounds=(0.0, 1.0))
    return replace(found, method=f"{found.method}, threshold anew", replicates=kept)


def replicate_tar(pairs: Pairs, far: float, weights: Ints) -> Floats:
    """TAR of each replicate; NaN where a replicate has no genuine or no impostor pair.

    Args:
        pairs: The pairs.
        far: Level.
        weights: (R, K) how often each identity was drawn.
    """
    table = np.zeros((pairs.identities, pairs.identities))
    np.add.at(table, (pairs.impostor_probe, pairs.impostor_gallery), 1.0)
    totals = np.einsum("ra,ab,rb->r", weights, table, weights, optimize=True)
    cuts = _replicate_thresholds(pairs, _allowances(far * totals), weights)
    genuine_weight = np.ascontiguousarray(weights[:, pairs.genuine_identity])
    total = genuine_weight.sum(axis=1)
    accepted = (genuine_weight * (pairs.genuine[None, :] > cuts[:, None] + TOLERANCE)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate: Floats = np.where(totals > 0, accepted / total, np.nan)
    return rate


def _replicate_thresholds(pairs: Pairs, allowances: Floats, weights: Ints) -> Floats:
    """(R,) the impostor similarity at which the weighted count first exceeds each replicate's allowance."""
    cuts = np.full(len(weights), np.nan)
    open_rows = np.arange(len(weights))
    total = len(pairs.impostor)
    head = min(total, 256)
    while len(open_rows) and total:
        # The count is exceeded early in the sorted list, so only its head is weighed, and doubled where too
        # short.
        a, b = pairs.impostor_probe[:head], pairs.impostor_gallery[:head]
        still = []
        for rows in np.array_split(open_rows, max(1, len(open_rows) * head // _CHUNK)):
            counts = (weights[rows][:, a] * weights[rows][:, b]).cumsum(axis=1)
            exceeded = counts > allowances[rows, None]
            reached = exceeded[:, -1]
            cuts[rows[reached]] = pairs.impostor[exceeded[reached].argmax(axis=1)]
            still.append(rows[~reached])
        if head == total:
            break
        open_rows, head = np.concatenate(still), min(total, head * 4)
    return cuts


def rank1(
    similarity: Floats,
    found: npt.NDArray[np.bool_],
    probe: Ints,
    gallery: Ints,
) -> Floats:
    """(N,) 1 where the most similar gallery image is the probe's identity, else 0; ties (`TOLERANCE`) are 0.

    NaN where the gallery holds no image of the probe's identity or none of another.
    """
    same = probe[:, None] == gallery[None, :]
    best = np.where(found, similarity, -np.inf)
    own = np.where(same, best, -np.inf).max(axis=1, initial=-np.inf)
    other = np.where(~same, best, -np.inf).max(axis=1, initial=-np.inf)
    defined = same.any(axis=1) & (~same).any(axis=1)
    return np.where(defined, (own > other + TOLERANCE).astype(np.float64), np.nan)


def _allowance(expected: float) -> int:
    return math.floor(expected + 1e-9)


def _allowances(expected: Floats) -> Floats:
    return np.floor(expected + 1e-9)
