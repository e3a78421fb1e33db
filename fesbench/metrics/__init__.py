"""Metrics: pure functions of evidence, each with a card, a signature and an interval.

``METRICS`` maps a column name to its metric and is built when first asked for, so that importing the
package stays quick. External packages add their own through the entry-point group ``fesbench.metrics`` (an
object with ``card`` and ``measure``).
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fesbench.metrics.base import Metric

    METRICS: dict[str, Metric]

__all__ = ["METRICS", "metric"]


@cache
def _registry() -> dict[str, Metric]:
    from fesbench.metrics.control import action_units as au
    from fesbench.metrics.control.action_unit_error import ActionUnitError
    from fesbench.metrics.control.detection import FaceNotFound
    from fesbench.metrics.control.landmarks import LandmarkError
    from fesbench.metrics.distribution.diversity import ExpressionDiversity, PeopleDiversity
    from fesbench.metrics.distribution.frechet_distance import FrechetDistance
    from fesbench.metrics.distribution.frechet_variants import FrechetExtrapolated, FrechetOverExpressions
    from fesbench.metrics.distribution.inception_score import InceptionScore
    from fesbench.metrics.distribution.kernel import KernelDistance
    from fesbench.metrics.distribution.memorization import Memorized, NearestRatio
    from fesbench.metrics.distribution.neighbors import KINDS, Neighborhood
    from fesbench.metrics.expression.discriminator import DiscriminatorAccuracy
    from fesbench.metrics.expression.score import ExpressionScore, KnownExpressionScore
    from fesbench.metrics.expression.variants import (
        MacroExpressionScore,
        RestrictedExpressionScore,
        TopTwoExpressionScore,
    )
    from fesbench.metrics.fidelity.perceptual import PerceptualDistance
    from fesbench.metrics.fidelity.qualiclip import Quality, QualityGain, QualityT2
    from fesbench.metrics.fidelity.ssim_psnr import PSNR, SSIM, LuminanceSSIM, MultiScaleSSIM, PooledPSNR
    from fesbench.metrics.identity.acd import ContentDistance, InputDistance
    from fesbench.metrics.identity.fvs import FaceVerification, FaceVerificationAtFar
    from fesbench.metrics.identity.similarity import FaceSimilarity, Rank1, Verification

    own: tuple[Metric, ...] = (
        ExpressionScore(),
        FaceSimilarity(),
        Verification(0.01),
        Verification(0.001),
        Rank1(),
        SSIM(),
        PSNR(),
        FrechetDistance(),
        KernelDistance(),
        FrechetDistance("dlib"),
        FrechetDistance("inception-clean-fid"),
        FrechetOverExpressions(),
        FrechetExtrapolated(),
        FrechetDistance("clip-vit-b-32"),
        FrechetDistance("dinov2-vit-b-14"),
        KernelDistance(subsets=True),
        InceptionScore(),
        *(Neighborhood(kind) for kind in KINDS),
        FaceVerification(),
        FaceVerificationAtFar(0.001),
        InputDistance(),
        ContentDistance(),
        FaceNotFound(),
        LuminanceSSIM(),
        PooledPSNR(),
        MultiScaleSSIM(),
        PerceptualDistance("LPIPS"),
        PerceptualDistance("LPIPS-vgg"),
        PerceptualDistance("DISTS"),
        Quality(),
        QualityT2(),
        QualityGain(),
        PeopleDiversity(),
        ExpressionDiversity(),
        Memorized(),
        ExpressionScore("fer"),
        KnownExpressionScore("fer"),
        RestrictedExpressionScore(),
        MacroExpressionScore(),
        TopTwoExpressionScore(),
        au.ActionUnitCorrelation(),
        au.ActionUnitMonotonicity(),
        au.ActionUnitTau(),
        au.ActionUnitLeakage(),
        ActionUnitError(),
        LandmarkError(),
        DiscriminatorAccuracy("generated"),
        DiscriminatorAccuracy("truth"),
        DiscriminatorAccuracy("training"),
        NearestRatio(),
    )
    found = {m.card.name: m for m in own}
    return found | {name: m for name, m in _plugins().items() if name not in found}


def _plugins() -> dict[str, Metric]:
    from importlib.metadata import entry_points

    from fesbench.metrics.base import Metric

    found: dict[str, Metric] = {}
    for point in entry_points(group="fesbench.metrics"):
        try:
            made = point.load()
            made = made() if isinstance(made, type) else made
        # A broken plug-in is reported by name and must not end the run.
        except Exception as error:  # noqa: BLE001
            warnings.warn(f"metric plug-in '{point.name}' cannot be loaded: {error}", stacklevel=2)
            continue
        if isinstance(made, Metric):
            found[made.card.name] = made
        else:
            warnings.warn(f"metric plug-in '{point.name}' is no fesbench Metric", stacklevel=2)
    return found


def metric(name: str, extractor: str | None = None) -> Metric:
    """The metric of a column name, on another extractor where one is given.

    ``FD-<extractor>`` is known for every extractor, and ``NAME[extractor]`` for every metric that can be
    measured on another one.

    Raises:
        UnknownNameError: no such metric; names the nearest ones.
        UsageError: the metric is defined on its own extractor alone.
    """
    from fesbench.errors import UnknownNameError

    known = _registry()
    base, bracket, inside = name.removesuffix("]").partition("[")
    if name not in known and bracket and name.endswith("]") and base in known:
        return known[base].with_extractor(inside)
    if name not in known and name.startswith("FD-") and len(name) > 3:
        found = known["FD-dlib"].with_extractor(name[3:])
    elif name in known:
        found = known[name]
    else:
        raise UnknownNameError("metric", name, known)
    return found if extractor in (None, found.card.extractor) else found.with_extractor(str(extractor))


def __getattr__(name: str) -> dict[str, Metric]:
    if name == "METRICS":
        return _registry()
    raise AttributeError(f"module 'fesbench.metrics' has no attribute '{name}'")
