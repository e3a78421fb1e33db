"""Metrics: pure functions of evidence, each with a card, a signature and an interval.

``METRICS`` maps a column name to its metric and is built when first asked for, so that importing the
package stays quick. Outside packages add their own through the entry-point group ``fesbench.metrics`` (an
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
    from fesbench.metrics.distribution import FrechetDistance, KernelDistance
    from fesbench.metrics.expression import ExpressionScore
    from fesbench.metrics.fidelity import PSNR, SSIM
    from fesbench.metrics.identity import FaceSimilarity, Rank1, Verification

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

    ``FD-<extractor>`` is known for every extractor.

    Raises:
        UnknownNameError: no such metric; names the nearest ones.
        UsageError: the metric is defined on its own extractor alone.
    """
    from fesbench.errors import UnknownNameError

    known = _registry()
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
