"""Score the images of one cell: decode once, extract once (cached by content), measure, write the scores.

With `evaluation_group` the only module that sees both a method's images and the true ones. Requests are
scored in groups of one task and one domain; tasks and domains are never pooled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.data.views import part
from fesbench.evaluation.anchors import anchors
from fesbench.evaluation.clips import load_clips
from fesbench.evaluation.confusion import confusion_matrix, judges_of, seen_by
from fesbench.evaluation.frame_values import frame_values
from fesbench.evaluation.images import load_images
from fesbench.evaluation.judge_check import judge_check
from fesbench.evaluation.nearest import keep_nearest
from fesbench.evaluation.task_group import CLIPS, Group
from fesbench.extractors.content import DIGEST
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, DISCRIMINATOR, JUDGE, REGRESSOR
from fesbench.files import atomic_write_bytes
from fesbench.metrics.selection import (
    DETECTOR,
    metric_reasons,
    metrics_of,
    protocol_metrics,
)
from fesbench.protocol.tasks import outputs_of
from fesbench.records.confusion import write_confusion
from fesbench.records.fingerprints import engine_hash, hash_parts
from fesbench.records.frames import write_frames
from fesbench.records.record import Record
from fesbench.records.replicates import write_replicates
from fesbench.records.samples import SAMPLES

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.context.context import RunContext
    from fesbench.extractors.base import Extractor
    from fesbench.metrics.base import Metric
    from fesbench.protocol.protocol import Protocol


Progress = Callable[[int, int, str], None]
SCORING = (
    "fesbench.metrics",
    "fesbench.evaluation",
    "fesbench.statistics",
    "fesbench.judges",
    "fesbench.protocol",
    "fesbench.context",
    "fesbench.data.views",
    "fesbench.extractors.crops",
    "fesbench.extractors.face_network",
    "fesbench.extractors.dlib_resnet",
    "fesbench.records.signature",
    "fesbench.records.judges",
    "fesbench.records.replicates",
    "fesbench.records.confusion",
    "fesbench.records.frames",
)
"""What runs while images are scored, beside extractors (a signature names each): its change scores anew."""


def scoring_inputs(context: RunContext) -> str:
    """Hash of what scoring depends on beside the images: metrics, available extractors, judge."""
    from fesbench.extractors.registry import BOUND, network

    parts: list[Any] = [context.signature, context.judge_key, context.regressor_key, context.clip_judges]
    parts.append(metric_reasons(context.protocol))
    parts.append(engine_hash(*SCORING))
    for name, metric in protocol_metrics(context.protocol).items():
        parts += [name, metric.settings()]
        parts += [network(name).cache_key for name in metric.networks if name and name not in BOUND]
    return hash_parts(*parts)


def score_cell(
    context: RunContext,
    record: Record,
    requests: pd.DataFrame,
    folder: Path,
    on_progress: Progress | None = None,
    *,
    device: str = "auto",
    discriminator: Extractor | None = None,
    images: Any = None,
) -> None:
    """Fill ``record.scores`` and ``record.counts``; write what stands beside the record.

    Args:
        context: what the cells share.
        record: of the cell.
        requests: what it was asked for.
        folder: the cell's, with its images.
        on_progress: shown (done, total, what).
        device: "auto", "cpu" or "cuda", for what is trained while scoring.
        discriminator: the method's own class head, where it has one.
        images: the images of those of ``requests`` that ask for no clip, uint8 (N, S, S, 3), an array or
            `LazyRows`; None: those of the folder. Clips are read from the folder.

    Raises:
        DataError: an image or a frame is missing or unreadable.
    """
    from fesbench.evaluation.augmentation import score_augmentation
    from fesbench.methods.precision import exact_float32

    outputs = outputs_of(requests)
    record.scores, record.anchors, record.counts, record.weights = [], [], {}, {}
    record.judge_checks = []
    parts = stacks(requests, folder, context.store.size, images)
    if parts:
        with exact_float32():
            _score_stacks(context, record, parts, folder, on_progress, discriminator)
    record.scores += score_augmentation(
        context, record, requests[outputs == "training image"], folder, device=device, on_progress=on_progress
    )


def stacks(requests: pd.DataFrame, folder: Path, size: int, images: Any) -> list[tuple[pd.DataFrame, Any]]:
    """The images of a request table, and its clips of each length, with their requests; see `score_cell`."""
    outputs = outputs_of(requests)
    parts = []
    stills, clips = (requests[outputs == what].reset_index(drop=True) for what in ("image", "clip"))
    if len(stills):
        decoded = (
            load_images(folder / "images", stills, size)
            if images is None
            else part(images, outputs[outputs != "clip"] == "image")
        )
        parts.append((stills, decoded))
    for _, rows in clips.groupby("length", sort=False) if len(clips) else ():
        parts.append((rows.reset_index(drop=True), load_clips(folder, rows, size)))
    return parts


def groups_of(parts: Sequence[tuple[pd.DataFrame, Any]]) -> list[tuple[str, str, pd.DataFrame, Any]]:
    """`stacks` by task and domain, which are named with their requests and what was made for them."""
    return [
        (task, domain, rows.reset_index(drop=True), part(made, rows.index.to_numpy()))
        for requests, made in parts
        for (task, domain), rows in requests.groupby(["task", "domain"], sort=False)
    ]


def _score_stacks(
    context: RunContext,
    record: Record,
    parts: Sequence[tuple[pd.DataFrame, Any]],
    folder: Path,
    on_progress: Progress | None,
    discriminator: Extractor | None,
) -> None:
    """Score images and clips one by one; write the samples, the replicates and the confusion matrices."""
    import pandas as pd

    record.counts = _count(context, [made for _, made in parts])
    metrics = protocol_metrics(context.protocol)
    reasons = metric_reasons(context.protocol) | unbound_reasons(context, metrics, discriminator)
    groups = groups_of(parts)
    samples, replicates, matrices, frames = [], [], [], []
    used: set[str] = set()
    asked_of: dict[tuple[str, str], None] = {}
    for number, (task, domain, asked, made) in enumerate(groups):
        if on_progress is not None:
            on_progress(number, len(groups), f"{task} {domain}")
        group = Group(context, record, asked, made, discriminator)
        columns: dict[str, Any] = {}
        for name in metrics_of(task, metrics):
            found = group.score(name, metrics[name], reasons.get(name, ""))
            used |= set(metrics[name].networks) if name not in reasons else set()
            record.scores += found.scores
            if found.per_sample is not None:
                columns[name] = found.per_sample
        judges = judges_of(metrics_of(task, metrics), metrics, reasons)
        samples.append(group.sample_table(columns).assign(**seen_by(group.inputs, judges)))
        usable = {name: metrics[name] for name in metrics_of(task, metrics) if name not in reasons}
        record.anchors += anchors(group, usable)
        seen = frame_values(group.inputs, usable, samples[-1]["publishable"].to_numpy())
        frames += [] if seen is None else [seen]
        replicates += group.replicates
        asked_of |= {(judge, domain): None for judge in judges}
        matrices += [confusion_matrix(group.inputs, judge, task, domain) for judge in judges]
    record.weights = _weights(used, [*record.card.get("helpers", ()), *_aligned_by(context.protocol)])
    record.judge_checks = [check for pair in asked_of if (check := judge_check(context, *pair)) is not None]
    write_replicates(folder, replicates)
    write_confusion(folder, matrices)
    write_frames(folder, frames)
    table = pd.concat(samples, ignore_index=True)
    atomic_write_bytes(folder / SAMPLES, table.to_parquet(index=False))
    keep_nearest(context.store, group.training, table, folder)


def _aligned_by(protocol: Protocol) -> list[str]:
    """What found the faces that the data is aligned by, where its recipe looks for any."""
    from fesbench.data.alignment.recipes import alignment

    used = (protocol.data.alignment, *(extra.alignment for extra in protocol.data.test_sets))
    return ["dlib-landmarks"] if any(alignment(name).needs_landmarks for name in used) else []


def _weights(extractors: set[str], helpers: Iterable[str]) -> dict[str, Any]:
    """What the record keeps of the pretrained files that these extractors, and a method's helpers, load."""
    from fesbench.extractors.registry import weights_of
    from fesbench.files import fesbench_home
    from fesbench.weights.manager import WeightsManager

    names = [name for extractor in extractors for name in weights_of(extractor)]
    return WeightsManager(fesbench_home()).licenses_in_use([*names, *helpers])


def _count(context: RunContext, stacks: Sequence[Any]) -> dict[str, int]:
    """Of images and clips: how many, how many equal another, in how many (of how many frames) is no face."""
    import hashlib

    digests = (hashlib.sha256(made.tobytes()).digest() for stack in stacks for made in stack)
    kept = np.fromiter(digests, dtype=f"V{DIGEST}")
    counts = {"images": len(kept), "identical": len(kept) - len(np.unique(kept))}
    detector = context.extractor(DETECTOR)
    if detector.available() is None:
        frames = [s.reshape(-1, *s.shape[-3:]) if s.ndim == CLIPS else s for s in stacks]
        valid = [context.cache.get(detector, images, None).valid for images in frames]
        counts["faces_not_found"] = sum(int((~found).sum()) for found in valid)
        if any(stack.ndim == CLIPS for stack in stacks):
            counts["frames"] = sum(len(found) for found in valid)
    return counts


def unbound_reasons(
    context: RunContext, metrics: Mapping[str, Metric], discriminator: Extractor | None
) -> dict[str, str]:
    """Metrics whose extractor this protocol, or this method, does not have, with the reason."""
    from fesbench.evaluation.class_head import NO_CLASS_HEAD
    from fesbench.judges.build import NO_CLIPS, NOTHING_CODED, OWN_FEATURES

    missing = {}
    if context.judge is None:
        missing[JUDGE] = "the protocol has no labels"
    if context.regressor is None:
        missing[REGRESSOR] = NOTHING_CODED
    if context.clip_judge is None:
        missing[CLIP_JUDGE] = missing[CLIP_FEATURES] = NO_CLIPS
    elif context.protocol.split.n_folds:
        # channels of networks that were trained apart mean nothing side by side
        missing[CLIP_FEATURES] = OWN_FEATURES
    if discriminator is None:
        missing[DISCRIMINATOR] = NO_CLASS_HEAD
    asked = {name: (m.extractor, JUDGE if m.wants_judge else "") for name, m in metrics.items()}
    return {name: missing[one] for name, both in asked.items() for one in both if one in missing}
