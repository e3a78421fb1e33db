"""What a method scores on validation subjects, while it is trained and behind it; it selects no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.metrics.selection import DETECTOR, metric_reasons, protocol_metrics
from fesbench.runs.answerable import answerable

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.context.context import RunContext
    from fesbench.extractors.base import Features
    from fesbench.methods.base import Method
    from fesbench.methods.training_set import TrainingSet
    from fesbench.metrics.base import Metric
    from fesbench.protocol.image_index import RequestIndex

SCORES = ("ECS", "Rank-1", "Target-cosine", "PSNR")
FEW = 40
"""Images of a look in the middle of a training: some tenths of a second, networks included."""
CHEAP = ("judge", "dlib", "")
"""The extractors that a look may cost; "" is none."""
_BATCH = 16


class Validation:
    """Requests of validation subjects: task ``expression`` by labels, in the training domain.

    Everything but the outputs is read once.

    Args:
        method: whose requests they are.
        training: what it is trained on.
        context: of the run.
        images: at most so many, of whole subjects, one at least; None = of all.

    Attributes:
        requests: none where nobody validates, the protocol has no such task or the method cannot answer it.
    """

    def __init__(
        self, method: Method, training: TrainingSet, context: RunContext, images: int | None = None
    ) -> None:
        self.training, self.context = training, context
        self.index = _index(context)
        self.requests = _requests(method, training, context, self.index, images)
        self._features: dict[tuple[str, str], Features] = {}
        if not len(self.requests):
            return
        people, store = self.index.people, context.store
        rows = {who: self.index.gallery(who) for who in people}
        self.gallery = np.array([row for row in rows.values() if row >= 0], dtype=np.int64)
        self.gallery_people = np.array(
            [people.index(w) for w, row in rows.items() if row >= 0], dtype=np.int64
        )
        self.clusters = np.array([people.index(who) for who in self.requests["identity"]])
        columns = ("source", "target")
        self.source, self.target = (np.asarray(store.images[self.requests[c].to_numpy()]) for c in columns)
        self.metrics = self._metrics()
        self.detects = context.extractor(DETECTOR).available() is None

    def scores(self, method: Method) -> dict[str, float]:
        """The scores of a method as it stands, and the number of ``images``; {} without requests.

        ``ECS`` by the protocol's judge, ``Rank-1`` by dlib's network among all validation subjects,
        ``Target-cosine``, ``PSNR`` (dB): those that the protocol measures and that can be had here.
        """
        from fesbench.metrics.inputs import MetricInputs
        from fesbench.vocabulary import EXPRESSIONS

        if not len(self.requests):
            return {}
        made = self._made(method)
        landmarks = self.context.store.manifest.landmarks
        points = landmarks[self.requests["source"].to_numpy()]
        images = {
            "generated": (made, points),
            "source": (self.source, points),
            "gallery": (self.context.store.images[self.gallery], landmarks[self.gallery]),
        }

        def features(extractor: str, which: str) -> Features:
            if which == "generated":
                return self._extracted(extractor, *images[which])
            key = (extractor, which)
            if key not in self._features:
                self._features[key] = self._extracted(extractor, *images[which])
            return self._features[key]

        kept = None
        if self.detects:
            kept = features(DETECTOR, "generated").valid | ~features(DETECTOR, "source").valid
        asked = self.requests["target_expression"]
        inputs = MetricInputs(
            requests=self.requests,
            generated=made,
            target=self.target,
            source=self.source,
            clusters=self.clusters,
            seed=0,
            protocol=self.context.protocol.name,
            features=features,
            labels=np.array([EXPRESSIONS.index(label) for label in asked], dtype=np.int64),
            gallery_identity=self.gallery_people,
            reference_name="",
            judge_classes=self.context.judge_classes,
            face_kept=kept,
        )
        found = {"images": float(len(made))}
        for name, metric in self.metrics.items():
            values = metric.find(inputs, np.arange(len(made))).values
            if values is not None and np.isfinite(values).any():
                found[name] = round(float(np.nanmean(values)), 4)
        return found

    def _metrics(self) -> dict[str, Metric]:
        known = protocol_metrics(self.context.protocol)
        lacking = set(metric_reasons(self.context.protocol))
        lacking |= set() if self.context.judge is not None else {"ECS"}
        lacking |= set() if len(self.gallery) else {"Rank-1"}
        return {
            name: known[name]
            for name in SCORES
            if name in known and name not in lacking and known[name].card.extractor in CHEAP
        }

    def _made(self, method: Method) -> np.ndarray:
        """The answers, uint8 (N, S, S, 3)."""
        import torch

        from fesbench.methods.conditions import request_batch
        from fesbench.synthesis import to_pixels

        store, made = self.context.store, []
        size = min(_BATCH, method.max_batch or _BATCH)
        with torch.inference_mode():
            for start in range(0, len(self.requests), size):
                rows = self.requests.iloc[start : start + size]
                batch = request_batch(rows, store, self.training, method.problem).to(method.device)
                made.append(to_pixels(method.answer(batch)))
        return np.concatenate(made)

    def _extracted(self, name: str, images: np.ndarray, landmarks: np.ndarray) -> Features:
        """Past the cache: what is made in the middle of a training is never seen again."""
        return self.context.extractor(name).features(np.asarray(images), landmarks)


def _index(context: RunContext) -> RequestIndex:
    from fesbench.protocol.image_index import RequestIndex

    return RequestIndex(context.protocol, context.store, sorted(context.split.subset("validation")))


def _requests(
    method: Method, training: TrainingSet, context: RunContext, index: RequestIndex, images: int | None
) -> pd.DataFrame:
    import pandas as pd

    from fesbench.protocol.requests import COLUMNS
    from fesbench.protocol.tasks import task_kind
    from fesbench.protocol.tasks.base import Ask

    kinds = [(task, task_kind(task.kind)) for task in context.protocol.tasks if task.given == "label"]
    plain = (t for t, k in kinds if k.one_label and k.has_source and k.outputs != "clip")
    task = next((t for t in plain if "in" in t.domains), None)
    rows: list[Any] = []
    if task is not None and index.people:
        rows = list(task_kind(task.kind).rows(Ask(task, "in", index, (), False)))
    requests = pd.DataFrame(rows, columns=list(COLUMNS))
    requests = requests[requests["target"] >= 0].reset_index(drop=True)
    if images is not None and len(requests):
        seen = requests.groupby("identity", sort=False).size().cumsum()
        few = seen.index[: max(1, int((seen <= images).sum()))]
        requests = requests[requests["identity"].isin(few)].reset_index(drop=True)
    return answerable(type(method), training.problem, training, requests)[0]
