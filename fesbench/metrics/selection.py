"""Which metrics a protocol measures, in which task each means something, and why one cannot be computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import ALWAYS, ALWAYS_OF_CLIPS
from fesbench.protocol.tasks import task_kind

if TYPE_CHECKING:
    from fesbench.metrics.base import Metric

DETECTOR = "dlib-hog"
"""Counts the faces that are not found, in every record."""


def protocol_metrics(protocol: Protocol) -> dict[str, Metric]:
    """The protocol's metrics in its order, on the face model that it names, and behind them `ALWAYS` and,
    where it names a metric of clips, `ALWAYS_OF_CLIPS`.

    Where it names a score by one outside judge, the others stand beside it: no one of them is known to be the
    one that is right.

    Raises:
        UnknownNameError: a metric that nobody defines.
    """
    from fesbench.extractors.faces import FACE_MODELS
    from fesbench.metrics import metric
    from fesbench.metrics.identity.several import SeveralRecognizers

    faces = {"dlib", "lightcnn-29-v2", *(model.name for model in FACE_MODELS)}
    chosen: dict[str, Metric] = {}
    of_clips = ALWAYS_OF_CLIPS if _measures_clips(protocol) else ()
    for name in dict.fromkeys((*_named(protocol), *ALWAYS, *of_clips)):
        found = metric(name)
        if name in ALWAYS and "gallery" in found.card.needs and protocol.metrics.gallery == "none":
            continue
        if isinstance(found, SeveralRecognizers):
            # By one recognizer it is ID-cal.
            if len(present := _recognizers(protocol.data.size)) > 1:
                chosen[f"{name}[{len(present)}]"] = found.over(present)
            continue
        if found.card.extractor in faces and not name.startswith("FD-") and "[" not in name:
            found = metric(name, protocol.metrics.face)
        chosen[name] = found
    return chosen


def _measures_clips(protocol: Protocol) -> bool:
    """Whether a protocol names a metric of clips."""
    from fesbench.metrics import metric

    return any(metric(name).reads_clips for name in (*protocol.metrics.required, *protocol.metrics.optional))


def _recognizers(size: int) -> list[str]:
    """The recognizers that are present here and read images of a size."""
    from fesbench.extractors.registry import network
    from fesbench.metrics.identity.several import RECOGNIZERS

    made = {name: network(name) for name in RECOGNIZERS}
    return [name for name, one in made.items() if one.smallest <= size and one.available() is None]


def _named(protocol: Protocol) -> Iterator[str]:
    """What a protocol names, the outside judges that it does not name behind the one that it does."""
    from fesbench.extractors.registry import outside_judges

    judges = outside_judges()
    for name in (*protocol.metrics.required, *protocol.metrics.optional):
        yield name
        score, bracket, judge = name.rstrip("]").partition("[")
        if bracket and judge in judges:
            yield from (f"{score}[{other}]" for other in judges)


def metrics_of(task: str, metrics: Mapping[str, Metric]) -> list[str]:
    """The metrics that mean something for a kind of task, in the protocol's order.

    A kind says what it can be measured by; a card may name the tasks that it is about.
    """
    kind = task_kind(task)
    cards = {name: metric.card for name, metric in metrics.items()}
    return [
        name for name, card in cards.items() if (not card.tasks or task in card.tasks) and kind.measures(card)
    ]


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
