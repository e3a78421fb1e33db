"""Judges on real images: accuracy, calibration and confusion in each domain, before their word is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fesbench.data.views import RowsOf
from fesbench.extractors.registry import CLIP_JUDGE, JUDGE, MEMBERS
from fesbench.judges.clips import STEPS
from fesbench.protocol.training_rows import labelled_clips, labelled_rows
from fesbench.records.confusion import UNREADABLE
from fesbench.records.judge_check import JudgeCheck
from fesbench.statistics.intervals import cluster_mean
from fesbench.statistics.judges import widened
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.context.context import RunContext

BINS = 10
"""Of equal width, for the calibration error."""


def judge_check(context: RunContext, judge: str, domain: str) -> JudgeCheck | None:
    """A judge on the real images of the test subjects in a domain, computed once a run.

    Args:
        context: whose protocol, images and judge.
        judge: name of an extractor with classes.
        domain: one of the protocol's.

    Returns:
        None where no image there shows an expression that the judge has a class for.
    """
    key = (judge, domain)
    if key not in context.judge_checks:
        context.judge_checks[key] = _measured(context, judge, domain)
    return context.judge_checks[key]


def _measured(context: RunContext, judge: str, domain: str) -> JudgeCheck | None:
    if judge == CLIP_JUDGE:
        return _measured_on_clips(context, domain)
    store = context.store
    rows, classes = judged_rows(context, judge, domain)
    if not len(rows):
        return None
    shown, subjects = (store.manifest.table[name].to_numpy()[rows] for name in ("expression", "identity"))
    points = np.asarray(store.manifest.landmarks[rows], dtype=np.float32)
    images = RowsOf(store.images, rows)
    found = context.features(judge, images, points, subjects)
    without: tuple[float, ...] = ()
    if judge == JUDGE and context.judges is not None:
        said = np.asarray(context.features(MEMBERS, images, points, subjects).values)
        each = said.reshape(len(rows), context.judges.members, len(classes))
        picks = np.stack([np.delete(each, k, 1).mean(axis=1).argmax(axis=1) for k in range(each.shape[1])])
        without = tuple((shown == np.array(classes)[picks]).mean(axis=1).tolist())
    return checked(
        found.values,
        found.valid,
        shown,
        subjects,
        judge=judge,
        signature=found.signature if judge != JUDGE else f"{found.signature}:{context.judges}",
        domain=domain,
        classes=classes,
        without=without,
    )


def judged_rows(context: RunContext, judge: str, domain: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The real images in a domain, rows of the store, that a judge of images is checked on; its classes."""
    classes = context.judge_classes if judge == JUDGE else context.columns(judge)
    rows = labelled_rows(context.protocol, context.store, context.split, "test", domain=domain)
    return rows[np.isin(context.store.manifest.table["expression"].to_numpy()[rows], classes)], classes


def _measured_on_clips(context: RunContext, domain: str) -> JudgeCheck | None:
    """The clip judges on the real clips of the test subjects; what a clip shows is its peak."""
    store, classes = context.store, context.columns(CLIP_JUDGE)
    clips = labelled_clips(context.protocol, store, context.split, "test", domain=domain)
    clips = [clip for clip in clips if EXPRESSIONS[clip.label] in classes]
    if not clips:
        return None
    rows = np.array([clip.resampled(STEPS) for clip in clips])
    who = store.manifest.table["identity"].to_numpy()
    seen = context.features(MEMBERS, RowsOf(store.images, rows.reshape(-1)), None, who[rows.reshape(-1)])
    answers = seen.values.reshape(*rows.shape, -1)
    found = context.clip_answers(CLIP_JUDGE, answers, who[rows[:, 0]])
    return checked(
        found.values,
        found.valid,
        np.array([EXPRESSIONS[clip.label] for clip in clips], dtype=object),
        who[rows[:, 0]],
        judge=CLIP_JUDGE,
        signature=f"{found.signature}:{context.clip_judges}",
        domain=domain,
        classes=classes,
    )


def checked(
    probabilities: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    shown: npt.NDArray[np.object_],
    subjects: npt.NDArray[np.object_],
    *,
    judge: str,
    signature: str,
    domain: str,
    classes: tuple[str, ...],
    without: tuple[float, ...] = (),
) -> JudgeCheck:
    """What a judge's answers to N real images are worth.

    Args:
        probabilities: (N, len(classes)).
        valid: (N,), whether it could read the image.
        shown: (N,), the image's expression, one of ``classes``.
        subjects: (N,), who is shown.
        judge, signature, domain: for the check.
        classes: in the order of the columns.
        without: the accuracy of a panel without each of its judges; () for one judge.
    """
    answers = np.where(valid, probabilities.argmax(axis=1), len(classes))
    right = (answers == [classes.index(name) for name in shown]).astype(np.float64)
    _, clusters = np.unique(subjects, return_inverse=True)
    interval = cluster_mean(right, clusters, seed=0, bounds=(0.0, 1.0))
    interval = widened(interval, without, bounds=(0.0, 1.0), trials=len(right))
    low, high = (None if np.isnan(bound) else bound for bound in (interval.low, interval.high))
    labels = [name for name in classes if (shown == name).any()]
    return JudgeCheck(
        judge=judge,
        signature=signature,
        domain=domain,
        images=len(shown),
        subjects=len(np.unique(subjects)),
        accuracy=interval.value,
        low=low,
        high=high,
        chance=1 / len(classes),
        calibration_error=calibration_error(probabilities.max(axis=1)[valid], right[valid]),
        shown=labels,
        seen=[*classes, UNREADABLE],
        counts=[np.bincount(answers[shown == n], minlength=len(classes) + 1).tolist() for n in labels],
    )


def calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Expected calibration error: how far, in the mean, a judge's highest probability lies from its accuracy.

    ``sum over bins of n_b / n |mean right - mean confidence|``, bins of equal width, the upper end included.
    Source: C. Guo et al. On calibration of modern neural networks. ICML 2017, equation 3.

    Args:
        confidence: float (N,) in [0, 1].
        right: (N,), 1 where the answer was right, else 0.

    >>> round(calibration_error([0.95, 0.85, 0.65, 0.65], [1, 1, 1, 0]), 3)
    0.125
    """
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=hit - sure, minlength=BINS)
    return float(np.abs(gaps).sum() / len(sure)) if len(sure) else 0.0
