"""Augmentation gain: is a recognizer better for having been trained on synthetic images too?

Definition (Li, 2021, table 4): one fixed expression recognizer is trained on the N real images of training
subjects plus k N synthetic ones, and tested on real images of test subjects::

    augmentation-gain@k = accuracy(k) - accuracy(0)

What keeps it honest, all of it in the signature:

- the generator saw training subjects alone, and synthetic images are made from their images;
- the same number of optimizer steps for every k: one hundred times the images would else train longer;
- half of each batch is real and half is added, for every k > 0;
- a synthetic image's label is the expression that was asked for; no classifier filters it;
- the same seeds for every k (five; fewer under ``smoke`` alone), and the step to keep is chosen on validation
  subjects;
- two controls stand beside it at the same k: ``[classical]`` adds flipped, moved and relit variants of the
  real images, ``[repetition]`` adds the real images once more. A gain below theirs is no gain.

The classes are the expressions that the task asks for (neutral is not synthesized, so it is none of them).
Intervals resample subjects: each test image's value is its mean over seeds, paired between k and 0. The
spread over seeds is told apart, as ``augmentation-gain-seed-sd@k``, for it says how far one more training
would move the score, not one more subject. Where the synthetic images are fewer than k N different ones
(told apart together with their label), there is no score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import MetricCard
from fesbench.statistics.intervals import cluster_mean

RESAMPLING_SEED = 0
REAL, SYNTHETIC, CLASSICAL, REPETITION = "real", "synthetic", "classical", "repetition"
CONTROLS = (CLASSICAL, REPETITION)
ACCURACY, GAIN, SPREAD = "augmentation-accuracy", "augmentation-gain", "augmentation-gain-seed-sd"

_SETTINGS = {
    "added": "what was added to the real images",
    "batch": "images of a training batch by origin",
    "classes": "expressions that the recognizer tells apart",
    "factor": "times as many added as real images",
    "kept": "training step that is kept",
    "labels": "what an added image is labelled by",
    "recipe": "recipe of the recognizer",
    "seeds": "seeds of the trainings",
    "steps": "optimizer steps of a training",
}
_SOURCE = "Li (2021), table 4, with equal steps and two controls"
CARDS = {
    ACCURACY: MetricCard(
        ACCURACY,
        "accuracy on real images of a recognizer that was trained on added images too",
        _SOURCE,
        unit="fraction",
        meanings=_SETTINGS,
    ),
    GAIN: MetricCard(
        GAIN,
        "accuracy of a recognizer that was trained on added images too, minus that without them",
        _SOURCE,
        low=-1.0,
        unit="fraction",
        meanings=_SETTINGS,
    ),
    SPREAD: MetricCard(
        SPREAD,
        "standard deviation over seeds of the accuracy's gain",
        _SOURCE,
        direction="lower",
        unit="fraction",
        per_sample=False,
        meanings=_SETTINGS,
    ),
}
"""By the part of a name before ``@``; their requests are trainings, so that they are no :class:`Metric`."""

Arm = tuple[str, int]
"""What was added, and how many times as much as is real: ("synthetic", 5); ("real", 0) adds nothing."""


@dataclass
class Outcomes:
    """What the recognizers of one method answered on the real test images.

    Attributes:
        identities: str (N,), who each test image shows.
        right: by arm, bool (seeds, N).
        missing: why there is no synthetic arm, by factor.
        settings: of the recipe, for the signature.
    """

    identities: npt.NDArray[np.str_]
    right: dict[Arm, npt.NDArray[np.bool_]]
    missing: dict[int, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AugmentationScore:
    """One score by name; ``factor`` is its k and ``arm`` what was added."""

    name: str
    arm: str
    factor: int
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def score_outcomes(outcomes: Outcomes) -> list[AugmentationScore]:
    """Accuracy without and with what was added, and the gain, of the method and of the controls."""
    base = outcomes.right[REAL, 0]
    found = [_mean(f"{ACCURACY}@0", (REAL, 0), base.astype(float), outcomes, bounds=(0.0, 1.0))]
    for arm, right in outcomes.right.items():
        if arm == (REAL, 0):
            continue
        what = f"@{arm[1]}" + (f"[{arm[0]}]" if arm[0] in CONTROLS else "")
        gains = right.astype(float) - base
        found.append(_mean(f"{ACCURACY}{what}", arm, right.astype(float), outcomes, bounds=(0.0, 1.0)))
        found.append(_mean(f"{GAIN}{what}", arm, gains, outcomes, bounds=None))
        if len(gains) > 1:
            spread = float(gains.mean(axis=1).std(ddof=1))
            found.append(AugmentationScore(f"{SPREAD}{what}", *arm, spread))
    for factor, reason in outcomes.missing.items():
        found += [
            AugmentationScore(f"{kind}@{factor}", SYNTHETIC, factor, None, reason=reason)
            for kind in (ACCURACY, GAIN)
        ]
    return found


def _mean(
    name: str,
    arm: Arm,
    values: npt.NDArray[np.float64],
    outcomes: Outcomes,
    bounds: tuple[float, float] | None,
) -> AugmentationScore:
    """Mean over images of the values' mean over seeds, with its interval over subjects."""
    each = values.mean(axis=0)
    found = cluster_mean(each, outcomes.identities, seed=RESAMPLING_SEED, bounds=bounds)
    low, high = (None if math.isnan(bound) else bound for bound in (found.low, found.high))
    return AugmentationScore(name, *arm, found.value, low, high)
