"""Which metrics a protocol measures, in which task each means something, and why one cannot be computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fesbench.protocol.protocol import Protocol

if TYPE_CHECKING:
    from fesbench.metrics.base import Metric

DETECTOR = "dlib-hog"
"""Counts the faces that are not found, in every record."""

NOT_IMAGEWISE = ("augmentation",)
"""Tasks whose images are training rows: they are not scored one by one."""


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

    A random image has no source, no target image and no subject; an action-unit request has no label;
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
    """Metrics of a protocol that cannot be computed here, with the reason and the command that fixes it."""
    from fesbench.extractors.registry import BOUND, network

    reasons: dict[str, str] = {}
    for name, metric in protocol_metrics(protocol).items():
        if not metric.card.extractor or metric.card.extractor in BOUND:
            continue
        needed = network(metric.card.extractor)
        if needed.smallest > protocol.data.size:
            reasons[name] = f"needs images of {needed.smallest} px, the protocol has {protocol.data.size} px"
        elif reason := needed.available():
            reasons[name] = reason
    return reasons
