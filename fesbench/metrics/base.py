"""What a metric is: a card, the inputs that it reads, and the measurement that it returns.

A metric is a pure function of a :class:`MetricInputs` (one task and domain of one cell) and a choice of
rows. It never reads a file, never draws from global random state, and never drops a request without counting
it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from fesbench.errors import UsageError
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, JUDGE
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, checked_rows
from fesbench.records.judges import Judges
from fesbench.records.signature import Signature
from fesbench.statistics.intervals import Interval, Replicates, cluster_mean
from fesbench.statistics.judges import widened
from fesbench.statistics.null import NullBand


@dataclass(eq=False)
class MetricCard:
    """What a reader must know to read a score.

    Attributes:
        name: Column name, such as "FSS".
        title: Full name.
        source: Citation.
        direction: Which way is better.
        low, high: Range of the score (may be infinite).
        unit: Unit, "" for a plain number; "fraction" lies in [0, 1].
        extractor: Name of the feature extractor, "" where pixels are compared.
        needs: Which parts of the inputs it reads: target, source, gallery, reference, training; and
            landmarks, action_units: those that are known of the target image (or of the driver).
        per_sample: Whether it yields one value a request.
        tasks: Kinds of task that it means something for; empty: all that its needs allow.
        reads_clips: Whether it reads clips; else images.
        plain: One sentence on what the score says, where the title is not enough.
        meanings: What each of the metric's own fields of a signature means; those of all metrics stand with
            the signature.
    """

    name: str
    title: str
    source: str
    direction: Literal["higher", "lower"] = "higher"
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    extractor: str = ""
    needs: frozenset[str] = frozenset()
    per_sample: bool = True
    tasks: frozenset[str] = frozenset()
    reads_clips: bool = False
    plain: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def judge(self) -> str:
        """Name of the classifier whose word it takes for what an output shows; "" where it asks none."""
        names = {JUDGE: JUDGE, CLIP_JUDGE: CLIP_JUDGE, CLIP_FEATURES: CLIP_JUDGE}
        return names.get(self.extractor, "")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Bounds of right and wrong where values are shares: those of the range; else None."""
        return (self.low, self.high) if self.unit == "fraction" else None


@dataclass
class Measurement:
    """What a metric found on some rows.

    Attributes:
        per_sample: (rows,) value of each request, NaN where the metric is not defined for it; None: no such
            values.
        value: The score; None with a ``reason``.
        low, high: 95 % interval; None where too few identities allow none.
        n_requested: Rows asked for.
        n_valid: Rows whose images could be read by the extractor (a face found); the others count as
            failures.
        identities: Number of identities (clusters) behind the score.
        signature: How the score was made.
        interval_method: How the interval was made.
        replicates: The score on changed sets of subjects, where it is no mean of ``per_sample``.
        null: What the score says of real images in place of the generated ones, where that is not 0.
        without_judge: The score without each judge of the panel; () where no panel had a say.
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
    null: NullBand | None = None
    without_judge: tuple[float, ...] = ()


@dataclass
class Found:
    """What a metric computes from rows; :meth:`Metric.measure` makes the measurement of it.

    Attributes:
        n_valid: Rows whose images could be read.
        values: (rows,) one a request, NaN where there is none; None: no such values.
        interval: The score with its interval; None: the mean of the finite ``values``.
        reason: Why there is no score; "" where there is one.
        extractor, resize, reference: For the signature.
        settings: What follows from the inputs, beside the metric's own settings.
        n_requested: Images asked for where they are not the rows.
        null: See :class:`Measurement`.
    """

    n_valid: int
    values: Floats | None = None
    interval: Interval | None = None
    reason: str = ""
    extractor: str = ""
    resize: str = ""
    reference: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    n_requested: int | None = None
    null: NullBand | None = None


class Metric(MetricCard, ABC):
    """A metric is its own card, by class attributes; two with equal signatures measure the same.

    ``name = "..."`` in the body of a class declares a metric, and ``named = {"...": {...}}`` several: their
    names, and the attributes in which they differ. Both are read from the source, so names are plain strings
    and ``named`` a display of a dictionary.

    Args:
        extractor: another one than the card's.
        name: one of ``named``; "": the class's own, or the first of them.
        attributes: others than the class's.
    """

    named: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    wants_face: bool = False
    """An output in which a detector finds no face, though it finds one in the source, counts as missing."""

    sweeps: ClassVar[bool] = False
    """Whether it is told for each requested level as well, where there are several."""

    anchored: ClassVar[bool] = False
    """Whether its raw value means little without those of real pairs and of destroyed faces beside it."""

    wants_judge: bool = False
    """Reads the protocol's judge beside its own extractor."""

    portable: ClassVar[bool] = False
    """Whether it can be measured on another extractor, as ``NAME[extractor]``."""

    meanings: Mapping[str, str] = {}

    def __init__(self, extractor: str = "", *, name: str = "", **attributes: Any) -> None:
        own = name or getattr(type(self), "name", "") or next(iter(self.named))
        for key, value in {**self.named.get(own, {}), "name": own, **attributes}.items():
            setattr(self, key, value)
        if extractor not in ("", self.extractor):
            self.move_to(extractor)

    @property
    def card(self) -> MetricCard:
        """The metric itself."""
        return self

    @property
    def networks(self) -> tuple[str, ...]:
        """The extractors that it asks, whose weights its value stands on."""
        return (self.extractor,)

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Every setting that can change the value, for the signature."""

    @abstractmethod
    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Compute the values or the score of rows, which are checked already."""

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Measure the given rows of the inputs (indices into ``inputs.requests``).

        A mean of values has an identity-clustered interval; rows without a value are left out. Where the
        protocol's judges had a say, the interval holds their error as well.

        Raises:
            DataError: wrong rows, or inputs that do not fit together.
        """
        rows = checked_rows(inputs, rows)
        found = self.find(inputs, rows)
        asked = len(rows) if found.n_requested is None else found.n_requested
        signature = self.signature(
            inputs,
            found.n_valid,
            asked,
            found=found.settings,
            extractor=found.extractor,
            resize=found.resize,
            reference=found.reference,
        )
        values, reason = found.values, found.reason
        interval = None if reason else self._found_interval(inputs, rows, found)
        if interval is None:
            reason = reason or "no request has a value"
            return Measurement(self, values, None, None, None, asked, found.n_valid, 0, signature, reason)
        without = self._without_judge(inputs, rows)
        if without:
            whole = widened(interval, without, bounds=self.bounds, trials=len(rows))
            interval = cut_to(whole, self.low, self.high)
        low, high = (None if math.isnan(bound) else bound for bound in (interval.low, interval.high))
        return Measurement(
            card=self,
            per_sample=values,
            value=interval.value,
            low=low,
            high=high,
            n_requested=asked,
            n_valid=found.n_valid,
            identities=interval.clusters,
            signature=signature,
            interval_method=interval.method,
            replicates=interval.replicates,
            null=found.null,
            without_judge=without,
        )

    def _found_interval(self, inputs: MetricInputs, rows: Rows, found: Found) -> Interval | None:
        """The score with its interval over identities; None where no row has a value."""
        if found.interval is not None or found.values is None:
            return found.interval
        kept = np.isfinite(found.values)
        if not kept.any():
            return None
        clusters = inputs.clusters[rows][kept]
        mean = cluster_mean(found.values[kept], clusters, seed=inputs.seed, bounds=self.bounds)
        # Of two subjects Student's t reaches beyond what an SSIM can be.
        return cut_to(mean, self.low, self.high)

    @property
    def by_judges(self) -> bool:
        """Whether the protocol's judges, of images or of clips, have a say in it."""
        return self.extractor in (JUDGE, CLIP_JUDGE, CLIP_FEATURES) or self.wants_judge

    def panel(self, inputs: MetricInputs) -> Judges | None:
        """The judges that have a say in it; None where nobody has, or one whose error nobody knows."""
        if not self.by_judges:
            return None
        return inputs.clip_judges if self.extractor in (CLIP_JUDGE, CLIP_FEATURES) else inputs.judges

    def _without_judge(self, inputs: MetricInputs, rows: Rows) -> tuple[float, ...]:
        """The score without each judge; () where no panel has a say, or without one of them there is none."""
        panel = self.panel(inputs)
        if panel is None or panel.members < 2:
            return ()
        scores = []
        for member in range(panel.members):
            found = self.find(inputs.without_judge(member), rows)
            if found.interval is not None:
                scores.append(found.interval.value)
            elif found.values is not None and np.isfinite(found.values).any():
                scores.append(float(np.nanmean(found.values)))
        return tuple(scores) if len(scores) == panel.members else ()

    def with_extractor(self, extractor: str) -> Self:
        """The same metric on another extractor.

        Raises:
            UsageError: the metric's name belongs to one extractor, or it uses none.
        """
        if not self.portable:
            raise UsageError(f"metric '{self.name}' is defined on '{self.extractor or 'pixels'}' alone")
        made = copy(self)
        made.move_to(extractor)
        return made

    def move_to(self, extractor: str) -> None:
        """Take another extractor, and a name that says so."""
        base = self.name.partition("[")[0]
        own = getattr(type(self), "name", base)
        self.name = own if extractor == type(self).extractor else f"{base}[{extractor}]"
        self.extractor = extractor

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
            inputs: what was measured.
            n_valid: images that could be read.
            n_requested: images that were asked for.
            found: settings that follow from the inputs, beside the metric's own.
            parts: extractor, resize, reference.
        """
        panel = self.panel(inputs)
        judges = {} if panel is None else {"judges": str(panel)}
        face = {"face": inputs.face_rule if inputs.face_kept is not None else "unchecked"}
        return Signature.of(
            self.name,
            n_valid=n_valid,
            n_requested=n_requested,
            protocol=inputs.protocol,
            alignment=inputs.alignment,
            settings={**self.settings(), **(found or {}), **(face if self.wants_face else {}), **judges},
            **parts,
        )


def cut_to(interval: Interval, low: float, high: float) -> Interval:
    """An interval within a range; one without bounds (NaN) stays so."""
    # Python's max keeps a NaN that stands first: no interval stays no interval.
    return replace(interval, low=max(interval.low, low), high=min(interval.high, high))
