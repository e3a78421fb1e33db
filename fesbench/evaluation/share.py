"""A share of an evaluation: the networks see some of its images, and scoring finds what they saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.data.views import RowsOf, ith_range
from fesbench.errors import DataError
from fesbench.evaluation.clips import clip_inputs
from fesbench.evaluation.confusion import judges_of
from fesbench.evaluation.inputs import known_rows, metric_inputs
from fesbench.evaluation.judge_check import judged_rows
from fesbench.evaluation.score import groups_of, stacks, unbound_reasons
from fesbench.evaluation.task_group import CLIPS
from fesbench.extractors.registry import CLIP_JUDGE, JUDGE, pair_names
from fesbench.metrics.selection import metric_reasons, metrics_of, protocol_metrics
from fesbench.protocol.references import gallery_rows, reference_rows
from fesbench.protocol.training_rows import labelled_rows

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.metrics.base import Metric
    from fesbench.metrics.inputs import MetricInputs

_SETS = ("target", "source", "gallery", "reference", "training")
_OF_ANCHORS = frozenset({"target", "gallery"})


def extract_share(
    context: RunContext,
    requests: pd.DataFrame,
    folder: Path,
    images: Any,
    share: tuple[int, int],
    on_progress: Callable[[int, int, str], None],
) -> None:
    """Ask the networks of a protocol's metrics, so that the context's cache has their answers.

    They are asked about the images of some requests, the real images that these are compared with, and a
    range of the real images that all requests share: gallery, training images, those that judges are checked
    on. Nothing is scored. What a metric asks beyond that, the scoring computes: pairs that lie in two ranges,
    noise, what the card of somebody's metric does not name.

    Args:
        context: what the evaluation shares.
        requests: those of this share.
        folder, images: see `score_cell`.
        share: (i, n), which range of the real images.
        on_progress: shown (done, total, what).

    Raises:
        DataError: the cache's file cannot be written.
    """
    from fesbench.methods.precision import exact_float32

    metrics = protocol_metrics(context.protocol)
    reasons = metric_reasons(context.protocol) | unbound_reasons(context, metrics, None)
    with exact_float32():
        for task, domain, asked, made in groups_of(stacks(requests, folder, context.store.size, images)):
            inputs = _inputs(context, asked, made, share)
            names = [name for name in metrics_of(task, metrics) if name not in reasons]
            for number, name in enumerate(names):
                on_progress(number, len(names), f"{task} {domain}: {name}")
                _ask(metrics[name], inputs)
                if context.cache.file.broken:
                    raise DataError(f"{context.cache.file.path} cannot be written; free some space there")
            for judge in set(judges_of(names, metrics, reasons)) - {CLIP_JUDGE}:
                rows = ith_range(judged_rows(context, judge, domain)[0], share)
                subjects = context.store.manifest.table["identity"].to_numpy()[rows]
                points = known_rows(context.store.manifest.landmarks, rows)
                context.features(judge, RowsOf(context.store.images, rows), points, subjects)


def _inputs(context: RunContext, requests: pd.DataFrame, made: Any, share: tuple[int, int]) -> MetricInputs:
    """What metrics read of some requests, beside a range of the real images that all requests share."""
    protocol, store, split = context.protocol, context.store, context.split
    reference, reference_name = reference_rows(protocol, store, split, requests)
    return (clip_inputs if made.ndim == CLIPS else metric_inputs)(
        context,
        requests,
        made,
        identities=sorted(set(store.manifest.table["identity"])),
        gallery=ith_range(gallery_rows(protocol, store, split)[0], share),
        training=ith_range(labelled_rows(protocol, store, split, "train"), share),
        reference=reference,
        reference_name=reference_name,
    )


def _ask(metric: Metric, inputs: MetricInputs) -> None:
    """Have the networks of a metric answer whatever it reads of the requests."""
    clips = inputs.clips
    if "target" in metric.card.needs and (clips.frames if clips else inputs).target is None:
        return
    if metric.extractor in pair_names() or (metric.reads_clips and metric.card.per_sample):
        # it alone knows its pairs, and which frames it reads
        metric.find(inputs, np.arange(len(inputs)))
        return
    sets = {"generated", *metric.card.needs.intersection(_SETS), *(_OF_ANCHORS if metric.anchored else ())}
    if inputs.target is None:
        sets.discard("target")
    for network in {*metric.networks, *((JUDGE,) if metric.wants_judge else ())} - {""}:
        for which in sets:
            inputs.feature_set(network, which)  # type: ignore[arg-type]
