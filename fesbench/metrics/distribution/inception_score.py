"""IS: how surely a classifier of objects names each image, and how many names it uses.

With p(c | x) the softmax of the 1008 class scores of image x and p(c) its mean over the images,

    IS = exp( mean_x sum_c p(c | x) (log p(c | x) - log p(c)) ),    averaged over splits

(Salimans et al. 2016), computed as torch-fidelity does: scores without their bias, images in the order of
their file names, shuffled with seed 2020, ten splits, double precision. It asks for no real image and none
of its classes is an expression: on faces it lies between 1 and 2, reflects clothes and background, and grows
with n. It stands here for comparison with old tables; the row of real images says what it is worth.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.distribution.frechet_distance import in_order
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import Interval, jackknife_interval

SPLITS = 10
SEED = 2020
SMALLEST_SPLIT = 10
"""Images a split below which it has hardly anything to average."""


class InceptionScore(Metric):
    """Inception score with a delete-one-identity interval."""

    name = "IS"
    title = "Inception score"
    low = 1.0
    high = 1008.0
    extractor = "inception-tf-2015-logits"
    source = "Salimans et al., Improved techniques for training GANs (2016)"
    per_sample = False
    meanings = {"shuffle": "order of the images before they are split", "splits": "number of splits"}

    def settings(self) -> dict[str, str]:
        """Splits and how images come into them."""
        return {"splits": str(SPLITS), "shuffle": f"by-name-seed{SEED}", "dtype": "float64"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Mean over splits."""
        features = inputs.feature_set(self.extractor, "generated")
        kept = in_order(inputs, rows[features.valid[rows]])
        found = Found(len(kept), extractor=features.signature)
        if len(kept) < SPLITS * SMALLEST_SPLIT:
            found.reason = f"needs {SPLITS * SMALLEST_SPLIT} images for {SPLITS} splits, has {len(kept)}"
        else:
            found.interval = score_interval(features.values[kept], inputs.clusters[kept])
        return found


def inception_score(logits: npt.ArrayLike, *, splits: int = SPLITS, seed: int = SEED) -> tuple[float, float]:
    """Inception score.

    Args:
        logits: (N, C) class scores.
        splits: parts of the shuffled images, each scored alone.
        seed: of the shuffle.

    Returns:
        mean and population standard deviation over the splits.

    Raises:
        DataError: fewer images than splits.

    >>> round(inception_score(np.diag([50.0, 50.0, 50.0]), splits=1)[0], 6)
    3.0
    """
    scores = [math.exp(_mutual(*parts)) for parts in _split(logits, splits, seed)[0]]
    return float(np.mean(scores)), float(np.std(scores))


def score_interval(
    logits: npt.ArrayLike, clusters: npt.ArrayLike, *, splits: int = SPLITS, seed: int = SEED
) -> Interval:
    """Inception score with its delete-one-identity interval; the other images stay in their splits.

    The low end is cut at 1, below which no score lies.

    Args:
        logits: (N, C) class scores.
        clusters: (N,) identities.
        splits: see :func:`inception_score`.
        seed: of the shuffle.
    """
    from scipy.special import xlogy

    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    parts, rows = _split(logits, splits, seed)
    scores, deleted = [math.exp(_mutual(*part)) for part in parts], np.zeros(len(names))
    value = float(np.mean(scores))
    for (p, own), row, score in zip(parts, rows, scores, strict=True):
        here, local = np.unique(codes[row], return_inverse=True)
        changed = np.full(len(names), score)
        member = (local == np.arange(len(here))[:, None]).astype(np.float64)
        left = len(row) - member.sum(axis=1)
        if left.min() < 1:
            return Interval(value, math.nan, math.nan, "none: too few identities", len(names))
        # Rounding must not leave a share of a class below 0.
        mean = np.maximum(p.sum(axis=0) - member @ p, 0.0) / left[:, None]
        negative = (own.sum() - member @ own) / left
        changed[here] = np.exp(negative - xlogy(mean, mean).sum(axis=1))
        deleted += changed / splits
    if len(names) < 2:
        return Interval(value, math.nan, math.nan, "none: too few identities", len(names))
    found = jackknife_interval(value, deleted, names=names)
    return Interval(value, max(1.0, found.low), found.high, found.method, found.clusters, found.replicates)


def _split(
    logits: npt.ArrayLike, splits: int, seed: int
) -> tuple[list[tuple[Floats, Floats]], list[npt.NDArray[np.int64]]]:
    """For each split p (n, C) and the images' own sums of p log p (n,); and which images it holds."""
    from scipy.special import log_softmax

    scores = np.asarray(logits, dtype=np.float64)
    n = len(scores)
    if scores.ndim != 2 or splits < 1 or n < splits:
        raise DataError(f"an Inception score of {splits} splits cannot be had from scores {scores.shape}")
    order = np.random.RandomState(seed).permutation(n)
    rows = [order[i * n // splits : (i + 1) * n // splits] for i in range(splits)]
    logs = [log_softmax(scores[row], axis=1) for row in rows]
    return [(np.exp(log), (np.exp(log) * log).sum(axis=1)) for log in logs], rows


def _mutual(p: Floats, own: Floats) -> float:
    """Mean over images of the divergence of p(c | x) from p(c)."""
    from scipy.special import xlogy

    mean = p.mean(axis=0)
    # No divergence is negative but by rounding.
    return max(0.0, float(own.mean() - xlogy(mean, mean).sum()))
