"""Score one task in one domain of a cell: measure its images, tabulate its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.data.views import part
from fesbench.evaluation.cell_score import cell_score
from fesbench.evaluation.clips import clip_inputs
from fesbench.evaluation.inputs import metric_inputs
from fesbench.metrics.selection import protocol_metrics
from fesbench.protocol.references import gallery_rows, reference_rows
from fesbench.protocol.training_rows import labelled_rows
from fesbench.records.record import LEVEL, Record, Score
from fesbench.records.replicates import ReplicateRow, replicate_row
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.extractors.base import Extractor
    from fesbench.metrics.base import Measurement, Metric
    from fesbench.metrics.inputs import MetricInputs

CLIPS = 5
"""Axes of a stack of clips."""


@dataclass
class Scored:
    """A metric's scores, and its value of each request where it has one."""

    scores: list[Score]
    per_sample: np.ndarray | None


class Group:
    """One task in one domain of one cell.

    Args:
        context: what the cells share.
        record: of the cell.
        requests: N rows of the request table.
        images: made for them, uint8 (N, S, S, 3), an array or `LazyRows`, or clips (N, T, S, S, 3).
        discriminator: the method's own class head, where it has one.
    """

    def __init__(
        self,
        context: RunContext,
        record: Record,
        requests: pd.DataFrame,
        images: Any,
        discriminator: Extractor | None = None,
    ) -> None:
        self.context, self.record, self.requests = context, record, requests
        self.discriminator = discriminator
        self.replicates: list[ReplicateRow] = []
        self.kind: dict[str, Any] = requests.iloc[0][["given", "task", "domain"]].to_dict()
        self.is_target = bool(record.card.get("answers_with_target", False))
        self.gallery, _ = gallery_rows(context.protocol, context.store, context.split)
        self.reference, self.reference_name = reference_rows(
            context.protocol, context.store, context.split, requests
        )
        self.training = labelled_rows(context.protocol, context.store, context.split, "train")
        self.identities = sorted(set(context.store.manifest.table["identity"]))
        self.images = images
        self.inputs = self._inputs(requests, images, self.reference, self.reference_name)

    def _inputs(
        self, requests: pd.DataFrame, images: Any, reference: np.ndarray, reference_name: str
    ) -> MetricInputs:
        made = clip_inputs if images.ndim == CLIPS else metric_inputs
        return made(
            self.context,
            requests,
            images,
            identities=self.identities,
            gallery=self.gallery,
            training=self.training,
            reference=reference,
            reference_name=reference_name,
            discriminator=self.discriminator,
        )

    def score(self, name: str, metric: Metric, unavailable: str) -> Scored:
        """The pooled score of one metric, one per expression or unit and, of a sweep, one per level."""
        labels = self.inputs.labels
        everything = np.arange(len(self.requests))
        if unavailable:
            return self._empty(name, unavailable)
        if self.is_target and "target" in metric.card.needs:
            return self._empty(
                name, f"the target {'image' if self.inputs.clips is None else 'clip'} against itself"
            )
        clips = self.inputs.clips
        if "target" in metric.card.needs and (clips.frames if clips else self.inputs).target is None:
            return self._empty(name, f"no target {'clips' if clips else 'images'} in this domain")
        inputs, rows = self.inputs, everything
        if self.is_target and "reference" in metric.card.needs and self.reference_name == "test-real":
            inputs, rows = self._halves()
            labels = inputs.labels
        pooled = metric.measure(inputs, rows)
        scores = [self._score(name, "all", pooled)]
        for label in sorted(set(labels[labels >= 0])):
            chosen = np.flatnonzero(labels == label)
            scores.append(self._score(name, EXPRESSIONS[label], metric.measure(inputs, chosen)))
        units = inputs.requests["action_unit"].to_numpy()
        for unit in sorted(set(units[units > 0])):
            chosen = np.flatnonzero(units == unit)
            scores.append(self._score(name, f"AU{unit}", metric.measure(inputs, chosen)))
        levels = inputs.requests["intensity"].to_numpy()
        for level in sorted(set(levels)) if metric.sweeps and len(set(levels)) > 1 else ():
            chosen = np.flatnonzero(levels == level)
            scores.append(self._score(name, f"{LEVEL}{level:g}", metric.measure(inputs, chosen)))
        whole = inputs is self.inputs
        return Scored(scores, pooled.per_sample if whole else None)

    def _halves(self) -> tuple[MetricInputs, np.ndarray]:
        """Real images of every second test subject against the others', never an image with itself."""
        first = set(sorted(set(self.requests["identity"]))[::2])
        mine = self.requests["identity"].isin(first).to_numpy()
        other = self.requests["target"].to_numpy()[~mine]
        half = self.requests[mine].reset_index(drop=True)
        inputs = self._inputs(
            half, part(self.images, mine), np.unique(other[other >= 0]), "test-real-other-half"
        )
        return inputs, np.arange(len(half))

    def _score(self, name: str, expression: str, found: Measurement) -> Score:
        if found.value is not None and found.replicates is not None:
            key = (self.kind["task"], self.kind["domain"], expression, name)
            self.replicates.append(replicate_row(key, found.replicates, dict(enumerate(self.identities))))
        return cell_score(
            self.record,
            self.kind,
            name,
            expression,
            value=found.value,
            low=found.low,
            high=found.high,
            n_requested=found.n_requested,
            n_valid=found.n_valid,
            identities=found.identities,
            judge=self.context.judge_signature,
            signature=found.signature,
            reason=found.reason,
            null=found.null,
            without_judge=found.without_judge,
        )

    def _empty(self, name: str, reason: str) -> Scored:
        judge, n = self.context.judge_signature, len(self.requests)
        return Scored(
            [cell_score(self.record, self.kind, name, n_requested=n, judge=judge, reason=reason)], None
        )

    def sample_table(self, columns: dict[str, np.ndarray]) -> pd.DataFrame:
        """One row a request: who, what, every per-sample value, and what the judge saw."""
        from fesbench.metrics.expression.score import predictions

        told = ["request", "task", "domain", "identity", "target_expression", "second_expression"]
        table = self.requests[[*told, "action_unit", "intensity"]].copy()
        shown = self.context.store.manifest.table["publishable"].to_numpy()
        # a grid shows the source and the target beside what was made: both must be allowed
        rows = self.requests[["source", "target"]].to_numpy()
        table["publishable"] = (shown[np.maximum(rows, 0)] | (rows < 0)).all(axis=1) & (rows >= 0).any(axis=1)
        table["predicted"] = ""
        if self.context.judge is not None:
            codes = predictions(self.inputs)
            table["predicted"] = ["" if code < 0 else EXPRESSIONS[code] for code in codes]
        for name, values in columns.items():
            table[name] = values
        memorized = protocol_metrics(self.context.protocol).get("Memorized")
        if memorized is not None:
            extractor = memorized.card.extractor if "Memorized" in columns else ""
            table["nearest_training"] = self._nearest_training(extractor)
        return table

    def _nearest_training(self, extractor: str) -> np.ndarray:
        """The manifest's name of each output's nearest training image, "" where it was not looked for."""
        from fesbench.metrics.distribution.memorization import nearest_training

        if not extractor:
            return np.full(len(self.requests), "", dtype=object)
        places = nearest_training(self.inputs, extractor).training
        names = self.context.store.manifest.table["image"].to_numpy(dtype=object)[self.training]
        return np.array([names[place] if place >= 0 else "" for place in places], dtype=object)
