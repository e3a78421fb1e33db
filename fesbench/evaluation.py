"""Score the images of one cell: decode once, extract once (cached by content), measure, write the scores.

The only module that sees both a method's images and the true ones. Requests are scored in groups of one task
and one domain; tasks and domains are never pooled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fesbench.bench import Bench, engine_hash, hash_parts, labelled_rows
from fesbench.confusion import confusion_matrix, judges_of, write_confusion
from fesbench.data.files import atomic_write_bytes
from fesbench.errors import DataError
from fesbench.extractors.registry import DISCRIMINATOR, JUDGE, PAIR_EXTRACTORS, REGRESSOR
from fesbench.protocol import Protocol
from fesbench.record import Record, Score
from fesbench.replicates import ReplicateRow, replicate_row, write_replicates
from fesbench.requests import gallery_rows, neutral_rows, reference_rows
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.extractors.base import Extractor, Features
    from fesbench.metrics.base import Evidence, Measurement, Metric

Progress = Callable[[int, int, str], None]
DETECTOR = "dlib-hog"
RESAMPLING_SEED = 0
NOT_IMAGEWISE = ("augmentation",)
"""Tasks whose images are training material: they are not scored one by one."""


def protocol_metrics(protocol: Protocol) -> dict[str, Metric]:
    """The protocol's metrics in its order, on the face model that it names.

    Raises:
        UnknownNameError: a metric that nobody defines.
    """
    from fesbench.extractors.faces import FACE_MODELS
    from fesbench.metrics import metric

    faces = {"dlib", "lightcnn-29-v2", *(model.name for model in FACE_MODELS)}
    chosen = {}
    for name in (*protocol.metrics.required, *protocol.metrics.optional):
        found = metric(name)
        if found.card.extractor in faces and not name.startswith("FD-") and "[" not in name:
            found = metric(name, protocol.metrics.face)
        chosen[name] = found
    return chosen


def metrics_of(task: str, metrics: Mapping[str, Metric]) -> list[str]:
    """The metrics that mean something for a kind of task, in the protocol's order.

    A random picture has no source, no true image and no person; an action-unit request has no label;
    identity verification asks who it is and nothing else. A card may name the tasks that it is about.
    """
    metrics = {name: m for name, m in metrics.items() if not m.card.tasks or task in m.card.tasks}
    needs = {name: metric.card.needs for name, metric in metrics.items()}
    if task == "random":
        return [name for name in metrics if not needs[name] & {"truth", "source", "gallery"}]
    if task == "action-unit":
        return [name for name in metrics if metrics[name].card.extractor != "judge"]
    if task == "identity-verification":
        return [name for name in metrics if "gallery" in needs[name]]
    return list(metrics)


def metric_reasons(protocol: Protocol) -> dict[str, str]:
    """Metrics of a protocol that cannot be computed here, with the reason and the command that mends it."""
    from fesbench.extractors.registry import BOUND, network

    reasons: dict[str, str] = {}
    for name, metric in protocol_metrics(protocol).items():
        if not metric.card.extractor or metric.card.extractor in BOUND:
            continue
        needed = network(metric.card.extractor)
        if needed.smallest > protocol.data.size:
            reasons[name] = (
                f"needs pictures of {needed.smallest} px, the protocol has {protocol.data.size} px"
            )
        elif reason := needed.available():
            reasons[name] = reason
    return reasons


def scoring_inputs(bench: Bench) -> str:
    """Hash of what scoring depends on beside the images: metrics, available extractors, judge."""
    from fesbench.extractors.registry import BOUND, network

    parts = [bench.signature, bench.judge_key, bench.regressor_key, metric_reasons(bench.protocol)]
    parts.append(
        engine_hash(
            "metrics/*.py",
            "statistics.py",
            "evaluation.py",
            "request*.py",
            "augmentation*.py",
            "confusion.py",
            "extractors/judge_*.py",
            "extractors/au_*.py",
        )
    )
    for name, metric in protocol_metrics(bench.protocol).items():
        needed = metric.card.extractor
        parts += [name, metric.settings()]
        if needed and needed not in BOUND:
            parts.append(network(needed).signature)
    return hash_parts(*parts)


def load_images(folder: Path, requests: pd.DataFrame, size: int) -> np.ndarray:
    """The images of a request table, uint8 (N, size, size, 3).

    Raises:
        DataError: an image is missing, unreadable or of another size; lists the first ten.
    """
    from fesbench.data.images import read_image

    images = np.zeros((len(requests), size, size, 3), dtype=np.uint8)
    faults = []
    for number, name in enumerate(requests["request"]):
        path = folder / f"{name}.png"
        if not path.exists():
            faults.append(f"{path.name} is missing")
            continue
        try:
            image = read_image(path)
        except DataError as error:
            faults.append(str(error))
            continue
        if image.shape != (size, size, 3):
            found = f"{image.shape[1]}x{image.shape[0]}"
            faults.append(f"{path.name} is {found}, the protocol wants {size}x{size}")
            continue
        images[number] = image
    if faults:
        shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
        raise DataError(f"{len(faults)} of {len(requests)} images in {folder} cannot be scored: {shown}")
    return images


def score_cell(
    bench: Bench,
    record: Record,
    requests: pd.DataFrame,
    folder: Path,
    on_progress: Progress | None = None,
    *,
    device: str = "auto",
    discriminator: Extractor | None = None,
    images: np.ndarray | None = None,
) -> None:
    """Fill ``record.scores`` and ``record.counts``; write ``samples.parquet`` and ``confusion.json``.

    Args:
        bench: what the cells share.
        record: of the cell.
        requests: what it was asked for.
        folder: the cell's, with its images.
        on_progress: shown (done, total, what).
        device: "auto", "cpu" or "cuda", for what is trained while scoring.
        discriminator: the method's own class head, where it has one.
        images: the images of ``requests``, uint8 (N, S, S, 3), where they are decoded already.

    Raises:
        DataError: an image is missing or unreadable.
    """
    from fesbench.augmentation import score_augmentation

    material = requests["task"].isin(NOT_IMAGEWISE)
    scored = requests[~material].reset_index(drop=True)
    record.scores, record.counts = [], {}
    if len(scored):
        if images is None:
            decoded = load_images(folder / "images", scored, bench.store.size)
        else:
            decoded = images[~material.to_numpy()]
        _score_images(bench, record, scored, decoded, folder, on_progress, discriminator)
    record.scores += score_augmentation(
        bench, record, requests[material], folder, device=device, on_progress=on_progress
    )


def _score_images(
    bench: Bench,
    record: Record,
    requests: pd.DataFrame,
    images: np.ndarray,
    folder: Path,
    on_progress: Progress | None,
    discriminator: Extractor | None,
) -> None:
    """Score the images one by one; write the samples, the replicates and the confusion matrices."""
    import pandas as pd

    record.counts = _count(bench, images)
    metrics = protocol_metrics(bench.protocol)
    reasons = metric_reasons(bench.protocol) | _unbound(bench, metrics, discriminator)
    groups = list(requests.groupby(["task", "domain"], sort=False))
    samples, replicates, matrices = [], [], []
    for number, ((task, domain), rows) in enumerate(groups):
        if on_progress is not None:
            on_progress(number, len(groups), f"{task} {domain}")
        asked, made = rows.reset_index(drop=True), images[rows.index.to_numpy()]
        group = _Group(bench, record, asked, made, discriminator)
        columns: dict[str, Any] = {}
        for name in metrics_of(task, metrics):
            found = group.score(name, metrics[name], reasons.get(name, ""))
            record.scores += found.scores
            if found.per_sample is not None:
                columns[name] = found.per_sample
        samples.append(group.sample_table(columns))
        replicates += group.replicates
        judges = judges_of(metrics_of(task, metrics), metrics, reasons)
        matrices += [confusion_matrix(group.evidence, judge, task, domain) for judge in judges]
    write_replicates(folder, replicates)
    write_confusion(folder, matrices)
    table = pd.concat(samples, ignore_index=True)
    atomic_write_bytes(folder / "samples.parquet", table.to_parquet(index=False))


def _unbound(bench: Bench, metrics: Mapping[str, Metric], discriminator: Extractor | None) -> dict[str, str]:
    """Metrics whose extractor this protocol, or this method, does not have, with the reason."""
    from fesbench.extractors.own_discriminator import NO_CLASS_HEAD
    from fesbench.regressor import NOTHING_CODED

    missing = {}
    if bench.judge is None:
        missing[JUDGE] = "the protocol has no labels"
    if bench.regressor is None:
        missing[REGRESSOR] = NOTHING_CODED
    if discriminator is None:
        missing[DISCRIMINATOR] = NO_CLASS_HEAD
    return {name: missing[m.card.extractor] for name, m in metrics.items() if m.card.extractor in missing}


def _count(bench: Bench, images: np.ndarray) -> dict[str, int]:
    import hashlib

    distinct = {hashlib.sha256(image.tobytes()).digest() for image in images}
    counts = {"images": len(images), "identical": len(images) - len(distinct)}
    detector = bench.extractor(DETECTOR)
    if detector.available() is None:
        found = bench.cache.get(detector, images, None)
        counts["faces_not_found"] = int((~found.valid).sum())
    return counts


@dataclass
class _Scored:
    scores: list[Score]
    per_sample: np.ndarray | None


class _Group:
    """One task in one domain of one cell."""

    def __init__(
        self,
        bench: Bench,
        record: Record,
        requests: pd.DataFrame,
        images: np.ndarray,
        discriminator: Extractor | None = None,
    ) -> None:
        self.bench, self.record, self.requests = bench, record, requests
        self.discriminator = discriminator
        self.replicates: list[ReplicateRow] = []
        self.kind: dict[str, Any] = requests.iloc[0][["given", "task", "domain"]].to_dict()
        self.is_real = record.cell.method == "real"
        self.gallery, _ = gallery_rows(bench.protocol, bench.store, bench.split)
        self.reference, self.reference_name = reference_rows(
            bench.protocol, bench.store, bench.split, requests
        )
        self.training = labelled_rows(bench.protocol, bench.store, bench.split, "train")
        self.evidence = self._evidence(requests, images, self.reference, self.reference_name)

    def _evidence(
        self, requests: pd.DataFrame, images: np.ndarray, reference: np.ndarray, reference_name: str
    ) -> Evidence:
        from fesbench.metrics.base import Evidence

        store = self.bench.store
        table = store.manifest.table
        self.people = dict(enumerate(sorted(set(table["identity"]))))
        people = {who: code for code, who in self.people.items()}
        single = (requests["second_expression"] == "").to_numpy()
        target = np.array([EXPRESSIONS.index(name) if name else -1 for name in requests["target_expression"]])
        truth_rows, source_rows = requests["target"].to_numpy(), requests["source"].to_numpy()
        drivers = requests["driver"].to_numpy()
        truth = None
        if (truth_rows >= 0).any():
            truth = store.images[np.maximum(truth_rows, 0)]
            truth[truth_rows < 0] = 0
        expressions = table["expression"].to_numpy()
        names = table["identity"].to_numpy()
        people_asked = requests["identity"].to_numpy()
        sources = store.images[np.maximum(source_rows, 0)]
        sources[source_rows < 0] = 0
        pictures = {
            "generated": (images, source_rows, people_asked),
            "truth": (truth, truth_rows, people_asked),
            "source": (sources, source_rows, people_asked),
            "gallery": (None, self.gallery, names[self.gallery]),
            "reference": (None, reference, names[reference]),
            "training": (None, self.training, names[self.training]),
        }

        def features(name: str, which: str) -> Features:
            found, rows, who = pictures[which]
            stack = store.images[rows] if found is None else found
            if name == DISCRIMINATOR and self.discriminator is not None:
                return self.bench.cache.get(self.discriminator, stack)
            return self.bench.features(name, stack, _known(store.manifest.landmarks, rows), who)

        def pair_values(extractor: str, first: str, second: str, pairs: np.ndarray) -> Features:
            stacks = [
                store.images[rows] if found is None else found
                for found, rows, _ in (pictures[first], pictures[second])
            ]
            return self.bench.pair_values(extractor, stacks[0], stacks[1], pairs)

        return Evidence(
            requests=requests,
            generated=images,
            truth=truth,
            source=sources,
            clusters=np.array([people[who] for who in requests["identity"]]),
            seed=RESAMPLING_SEED,
            protocol=self.bench.signature,
            features=features,
            pair_values=pair_values,
            labels=np.where(single, target, -1),
            gallery_identity=np.array([people[names[row]] for row in self.gallery]),
            reference_name=reference_name,
            reference_identity=np.array([people[names[row]] for row in reference]),
            reference_labels=_labels(expressions[reference]),
            judge_classes=self.bench.judge_classes,
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
        metrics = protocol_metrics(self.bench.protocol).values()
        named = {DISCRIMINATOR: () if self.discriminator is None else self.discriminator.classes}
        for extractor in {m.card.extractor for m in metrics} - {"", JUDGE, DISCRIMINATOR, *PAIR_EXTRACTORS}:
            if extractor != REGRESSOR or self.bench.regressor is not None:
                named[extractor] = self.bench.columns(extractor)
        return named

    def score(self, name: str, metric: Metric, unavailable: str) -> _Scored:
        """The pooled score of one metric and one per expression."""
        labels = self.evidence.labels
        everything = np.arange(len(self.requests))
        if unavailable:
            return _Scored([self._empty(name, len(everything), unavailable)], None)
        if self.is_real and "truth" in metric.card.needs:
            return _Scored([self._empty(name, len(everything), "the true image against itself")], None)
        if "truth" in metric.card.needs and self.evidence.truth is None:
            return _Scored([self._empty(name, len(everything), "no true images in this domain")], None)
        evidence, rows = self.evidence, everything
        if self.is_real and "reference" in metric.card.needs and self.reference_name == "test-real":
            evidence, rows = self._halves()
            labels = evidence.labels
        pooled = metric.measure(evidence, rows)
        scores = [self._score(name, "all", pooled)]
        for label in sorted(set(labels[labels >= 0])):
            chosen = np.flatnonzero(labels == label)
            scores.append(self._score(name, EXPRESSIONS[label], metric.measure(evidence, chosen)))
        units = evidence.requests["action_unit"].to_numpy()
        for unit in sorted(set(units[units > 0])):
            chosen = np.flatnonzero(units == unit)
            scores.append(self._score(name, f"AU{unit}", metric.measure(evidence, chosen)))
        whole = evidence is self.evidence
        return _Scored(scores, pooled.per_sample if whole else None)

    def _halves(self) -> tuple[Evidence, np.ndarray]:
        """Real images of every second test person against those of the others, never an image with itself."""
        people = sorted(set(self.requests["identity"]))
        first = set(people[::2])
        mine = self.requests["identity"].isin(first).to_numpy()
        other = self.requests["target"].to_numpy()[~mine]
        half = self.requests[mine].reset_index(drop=True)
        evidence = self._evidence(
            half, self.evidence.generated[mine], np.unique(other[other >= 0]), "test-real-other-half"
        )
        return evidence, np.arange(len(half))

    def _common(self, metric: str, expression: str) -> dict[str, Any]:
        cell = self.record.cell
        return {
            "protocol": cell.protocol,
            "data": cell.data,
            "method": cell.method,
            "preset": cell.preset,
            "seed": cell.seed,
            "budget": cell.budget,
            **self.kind,
            "expression": expression,
            "metric": metric,
            "judge": self.bench.judge_signature,
        }

    def _score(self, name: str, expression: str, found: Measurement) -> Score:
        status: Literal["ok", "n/a", "collapsed"] = "collapsed" if self.record.collapsed else "ok"
        if found.value is None:
            status = "n/a"
        common = self._common(name, expression)
        if found.value is not None and found.replicates is not None:
            key = (common["task"], common["domain"], expression, name)
            self.replicates.append(replicate_row(key, found.replicates, self.people))
        return Score(
            **common,
            value=found.value,
            low=found.low,
            high=found.high,
            n_requested=found.n_requested,
            n_valid=found.n_valid,
            identities=found.identities,
            status=status,
            signature=str(found.signature),
            reason=found.reason,
        )

    def _empty(self, name: str, n_requested: int, reason: str) -> Score:
        return Score(
            **self._common(name, "all"),
            value=None,
            low=None,
            high=None,
            n_requested=n_requested,
            n_valid=0,
            identities=0,
            status="n/a",
            signature="",
            reason=reason,
        )

    def sample_table(self, columns: dict[str, np.ndarray]) -> pd.DataFrame:
        """One row a request: who, what, every per-sample value, and what the judge saw."""
        from fesbench.metrics.expression import predictions

        told = ["request", "task", "domain", "identity", "target_expression", "second_expression"]
        table = self.requests[[*told, "action_unit", "intensity"]].copy()
        shown = self.bench.store.manifest.table["publishable"].to_numpy()
        shows = np.maximum(self.requests["source"].to_numpy(), self.requests["target"].to_numpy())
        table["publishable"] = shown[np.maximum(shows, 0)] & (shows >= 0)
        table["predicted"] = ""
        if self.bench.judge is not None:
            codes = predictions(self.evidence)
            table["predicted"] = ["" if code < 0 else EXPRESSIONS[code] for code in codes]
        for name, values in columns.items():
            table[name] = values
        memorized = protocol_metrics(self.bench.protocol).get("Memorized")
        if memorized is not None:
            extractor = memorized.card.extractor if "Memorized" in columns else ""
            table["nearest_training"] = self._nearest_training(extractor)
        return table

    def _nearest_training(self, extractor: str) -> np.ndarray:
        """The manifest's name of each output's nearest training image, "" where it was not looked for."""
        from fesbench.metrics.memory import nearest_training

        if not extractor:
            return np.full(len(self.requests), "", dtype=object)
        places = nearest_training(self.evidence, extractor).training
        names = self.bench.store.manifest.table["image"].to_numpy(dtype=object)[self.training]
        return np.array([names[place] if place >= 0 else "" for place in places], dtype=object)


def _labels(expressions: np.ndarray) -> np.ndarray:
    """Names of expressions as indices into EXPRESSIONS, -1 for others: (N,) -> int64 (N,)."""
    index = {name: code for code, name in enumerate(EXPRESSIONS)}
    return np.array([index.get(name, -1) for name in expressions], dtype=np.int64)


def _known(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a table of the manifest; NaN where there is no row."""
    found = np.array(values[np.maximum(rows, 0)], dtype=np.float32)
    found[rows < 0] = np.nan
    return found
