"""What a metric is: a card, the evidence it reads, and the measurement it returns.

A metric is a pure function of an :class:`MetricInputs` (one task and domain of one cell) and a choice of
rows. It never reads a file, never draws from global random state, and never drops a request without counting
it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fesbench.errors import UsageError
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.records.signature import Signature
from fesbench.statistics.intervals import Interval, Replicates, cluster_mean


@dataclass(frozen=True)
class MetricCard:
    """What a reader must know to read a figure.

    Attributes:
        name: Column name, such as "FSS".
        title: Full name.
        direction: Which way is better.
        low, high: Range of the figure (may be infinite).
        unit: Unit, "" for a plain number; "fraction" lies in [0, 1].
        extractor: Name of the feature extractor, "" where pixels are compared.
        needs: Which parts of the evidence it reads: truth, source, gallery, reference, training; and
            landmarks, action_units: those that are known of the target image (or of the driver).
        source: Citation.
        per_sample: Whether it yields one value a request.
        tasks: Kinds of task that it means something for; empty: all that its needs allow.
    """

    name: str
    title: str
    direction: Literal["higher", "lower"]
    low: float
    high: float
    unit: str
    extractor: str
    needs: frozenset[str]
    source: str
    per_sample: bool
    tasks: frozenset[str] = frozenset()


@dataclass
class Measurement:
    """What a metric found on some rows.

    Attributes:
        per_sample: (rows,) value of each request, NaN where the metric is not defined for it; None: no such
            values.
        value: The figure; None with a ``reason``.
        low, high: 95 % interval; None where too few identities allow none.
        n_requested: Rows asked for.
        n_valid: Rows whose images could be read by the extractor (a face found); the others count as
            failures.
        identities: Number of identities (clusters) behind the figure.
        signature: How the figure was made.
        interval_method: How the interval was made.
        replicates: The figure on changed sets of subjects, where it is no mean of ``per_sample``.
    """

    card: MetricCard
    per_sample: Floats | None
    value: float | None
    low: float | None
    high: float | None
    n_requested: int
    n_valid: int
    identities: int
    signature: Signature
    reason: str = ""
    interval_method: str = ""
    replicates: Replicates | None = None


class Metric(ABC):
    """A metric with its settings; two with equal signatures measure the same."""

    card: MetricCard

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Every setting that can change the value, for the signature."""

    @abstractmethod
    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Measure the given rows of the evidence (indices into ``evidence.requests``)."""

    def with_extractor(self, extractor: str) -> Metric:
        """The same metric on another extractor.

        Raises:
            UsageError: the metric's name belongs to one extractor, or it uses none.
        """
        raise UsageError(f"metric '{self.card.name}' is defined on '{self.card.extractor or 'pixels'}' alone")

    def signature(
        self,
        inputs: MetricInputs,
        n_valid: int,
        n_requested: int,
        *,
        found: Mapping[str, str] | None = None,
        **parts: str,
    ) -> Signature:
        """The signature of a measurement.

        Args:
            evidence: what was measured.
            n_valid: images that could be read.
            n_requested: images that were asked for.
            found: settings that follow from the evidence, beside the metric's own.
            parts: extractor, resize, reference.
        """
        return Signature.of(
            self.card.name,
            n_valid=n_valid,
            n_requested=n_requested,
            protocol=inputs.protocol,
            alignment=inputs.alignment,
            settings={**self.settings(), **(found or {})},
            **parts,
        )


def mean_measurement(
    metric: Metric,
    inputs: MetricInputs,
    rows: Rows,
    values: Floats,
    *,
    n_valid: int,
    signature: Signature,
    bounds: tuple[float, float] | None = None,
) -> Measurement:
    """Mean of per-request values with its identity-clustered interval; NaN rows are left out."""
    kept = np.isfinite(values)
    clusters = inputs.clusters[rows]
    if not kept.any():
        return refusal(metric, values, rows, n_valid, signature, "no request has a value")
    interval = cluster_mean(values[kept], clusters[kept], seed=inputs.seed, bounds=bounds)
    return from_interval(metric, interval, values, rows, n_valid, signature)


def from_interval(
    metric: Metric, interval: Interval, values: Floats | None, rows: Rows, n_valid: int, signature: Signature
) -> Measurement:
    """A measurement from an interval; NaN bounds become None."""
    low, high = (None if math.isnan(bound) else bound for bound in (interval.low, interval.high))
    return Measurement(
        card=metric.card,
        per_sample=values,
        value=interval.value,
        low=low,
        high=high,
        n_requested=len(rows),
        n_valid=n_valid,
        identities=interval.clusters,
        signature=signature,
        interval_method=interval.method,
        replicates=interval.replicates,
    )


def refusal(
    metric: Metric, values: Floats | None, rows: Rows, n_valid: int, signature: Signature, reason: str
) -> Measurement:
    """A measurement without a figure, and why."""
    return Measurement(metric.card, values, None, None, None, len(rows), n_valid, 0, signature, reason)


def renamed(card: MetricCard, extractor: str, name: str | None = None) -> MetricCard:
    """The card of the same metric on another extractor, under a name that says so."""
    return replace(card, extractor=extractor, name=name or f"{card.name}[{extractor}]")
