"""Score one task in one domain of a cell: build its evidence, measure it, tabulate its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.evaluation.cell_score import cell_score
from fesbench.evaluation.inputs import _known, _labels, _Pictures, _stack
from fesbench.extractors.registry import DISCRIMINATOR, JUDGE, REGRESSOR, pair_names
from fesbench.metrics.selection import protocol_metrics
from fesbench.protocol.references import gallery_rows, neutral_rows, reference_rows
from fesbench.protocol.training_rows import labelled_rows
from fesbench.records.record import Record, Score
from fesbench.records.replicates import ReplicateRow, replicate_row
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.extractors.base import Extractor
    from fesbench.metrics.base import Measurement, Metric
    from fesbench.metrics.inputs import MetricInputs

RESAMPLING_SEED = 0


@dataclass
class Scored:
    """A metric's scores, and its value of each request where it has one."""

    scores: list[Score]
    per_sample: np.ndarray | None


class Group:
    """One task in one domain of one cell."""

    def __init__(
        self,
        context: RunContext,
        record: Record,
        requests: pd.DataFrame,
        images: np.ndarray,
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
        self.inputs = self._evidence(requests, images, self.reference, self.reference_name)

    def _evidence(
        self, requests: pd.DataFrame, images: np.ndarray, reference: np.ndarray, reference_name: str
    ) -> MetricInputs:
        from fesbench.metrics.inputs import MetricInputs

        store = self.context.store
        table = store.manifest.table
        self.people = dict(enumerate(sorted(set(table["identity"]))))
        people = {who: code for code, who in self.people.items()}
        single = (requests["second_expression"] == "").to_numpy()
        target = np.array([EXPRESSIONS.index(name) if name else -1 for name in requests["target_expression"]])
        truth_rows, source_rows = requests["target"].to_numpy(), requests["source"].to_numpy()
        drivers = requests["driver"].to_numpy()
        truth = _stack(store.images, truth_rows) if (truth_rows >= 0).any() else None
        sources = _stack(store.images, source_rows)
        expressions = table["expression"].to_numpy()
        names = table["identity"].to_numpy()
        asked = requests["identity"].to_numpy()
        pictures = _Pictures(
            self.context,
            self.discriminator,
            {
                "generated": (images, source_rows, asked),
                "truth": (truth, truth_rows, asked),
                "source": (sources, source_rows, asked),
                "gallery": (None, self.gallery, names[self.gallery]),
                "reference": (None, reference, names[reference]),
                "training": (None, self.training, names[self.training]),
            },
        )
        return MetricInputs(
            requests=requests,
            generated=images,
            truth=truth,
            source=sources,
            clusters=np.array([people[who] for who in requests["identity"]]),
            seed=RESAMPLING_SEED,
            protocol=self.context.signature,
            features=pictures.features,
            pair_values=pictures.pair_values,
            labels=np.where(single, target, -1),
            gallery_identity=np.array([people[names[row]] for row in self.gallery]),
            reference_name=reference_name,
            reference_identity=np.array([people[names[row]] for row in reference]),
            reference_labels=_labels(expressions[reference]),
            judge_classes=self.context.judge_classes,
            columns=self._columns(),
            training_labels=_labels(expressions[self.training]),
            training_identity=np.array([people[names[row]] for row in self.training]),
            alignment=f"{store.alignment}+crop-by-source-landmarks",
            landmarks={
                "source": _known(store.manifest.landmarks, source_rows),
                "truth": _known(store.manifest.landmarks, truth_rows),
                "driver": _known(store.manifest.landmarks, drivers),
                "driver-neutral": _known(store.manifest.landmarks, neutral_rows(table, drivers)),
            },
            action_units={
                "source": _known(store.manifest.action_units, source_rows),
                "truth": _known(store.manifest.action_units, truth_rows),
            },
        )

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """What the values of the protocol's extractors are, where they have names."""
        metrics = protocol_metrics(self.context.protocol).values()
        named = {DISCRIMINATOR: () if self.discriminator is None else self.discriminator.classes}
        for extractor in {m.card.extractor for m in metrics} - {"", JUDGE, DISCRIMINATOR, *pair_names()}:
            if extractor != REGRESSOR or self.context.regressor is not None:
                named[extractor] = self.context.columns(extractor)
        return named

    def score(self, name: str, metric: Metric, unavailable: str) -> Scored:
        """The pooled score of one metric and one per expression."""
        labels = self.inputs.labels
        everything = np.arange(len(self.requests))
        if unavailable:
            return self._empty(name, unavailable)
        if self.is_target and "truth" in metric.card.needs:
            return self._empty(name, "the target image against itself")
        if "truth" in metric.card.needs and self.inputs.truth is None:
            return self._empty(name, "no target images in this domain")
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
        whole = inputs is self.inputs
        return Scored(scores, pooled.per_sample if whole else None)

    def _halves(self) -> tuple[MetricInputs, np.ndarray]:
        """Real images of every second test subject against the others', never an image with itself."""
        people = sorted(set(self.requests["identity"]))
        first = set(people[::2])
        mine = self.requests["identity"].isin(first).to_numpy()
        other = self.requests["target"].to_numpy()[~mine]
        half = self.requests[mine].reset_index(drop=True)
        inputs = self._evidence(
            half, self.inputs.generated[mine], np.unique(other[other >= 0]), "test-real-other-half"
        )
        return inputs, np.arange(len(half))

    def _score(self, name: str, expression: str, found: Measurement) -> Score:
        if found.value is not None and found.replicates is not None:
            key = (self.kind["task"], self.kind["domain"], expression, name)
            self.replicates.append(replicate_row(key, found.replicates, self.people))
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
        # a grid shows the source and the truth beside what was made: both must be allowed
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
