"""Identity anchors: what a raw identity value is on this protocol's own real images, and on no face at all.

A cosine of .86 is another subject on one data set and the same one in other light on another. So each raw
identity metric is measured as well on images that no method made, against the same sources:

- ``other-take``: the subject's own gallery image (the same expression in another take or sequence);
- ``other-expression``: the subject's target image (another expression in the same take);
- ``other-subject``: gallery images of other subjects;
- ``noise``: uniform noise, cropped where the source's face was. A recognizer answers on it all the same; a
  method's output without a face counts as missing instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fesbench.evaluation.inputs import known_rows
from fesbench.metrics.common import has_target
from fesbench.metrics.inputs import FeatureSet, FoundFeatures, MetricInputs, Rows, Which
from fesbench.records.record import Anchor

if TYPE_CHECKING:
    from fesbench.evaluation.task_group import Group
    from fesbench.metrics.base import Metric

SEED = 0
"""Of the noise."""


def anchors(group: Group, metrics: Mapping[str, Metric]) -> list[Anchor]:
    """The anchors of every metric of a group of requests that has such.

    Kinds without images, or without a face in any of them, are left out. Of several levels the highest is
    taken.
    """
    chosen = {name: metric for name, metric in metrics.items() if metric.anchored}
    if not chosen or (group.requests["source"] < 0).all():
        return []
    inputs, found = group.inputs, []
    for kind, (rows, answers) in _answers(group).items():
        if not len(rows):
            continue
        other = inputs.answered_by(answers)
        for name, metric in chosen.items():
            measured = metric.measure(other, rows)
            if measured.value is not None and measured.n_valid:
                told = {key: group.kind[key] for key in ("task", "domain")} | {"metric": name, "kind": kind}
                found.append(Anchor.model_validate(told | {"value": measured.value, "n": len(rows)}))
    return found


def _answers(group: Group) -> dict[str, tuple[Rows, Callable[[str], FeatureSet]]]:
    """Kind -> the requests that have such an image, and its features by extractor."""
    inputs, level = group.inputs, group.requests["intensity"].to_numpy()
    rows = np.flatnonzero((group.requests["source"].to_numpy() >= 0) & (level == level.max()))
    own, others = _gallery_places(inputs)
    first = np.sort(rows[np.unique(inputs.clusters[rows], return_index=True)[1]])
    return {
        "other-take": (rows[own[rows] >= 0], lambda name: _picked(inputs, name, "gallery", own)),
        "other-expression": (
            rows[has_target(inputs)[rows]],
            lambda name: _picked(inputs, name, "target", np.arange(len(inputs))),
        ),
        "other-subject": (rows[others[rows] >= 0], lambda name: _picked(inputs, name, "gallery", others)),
        "noise": (first, lambda name: _noise(group, name, first)),
    }


def _gallery_places(inputs: MetricInputs) -> tuple[Rows, Rows]:
    """Each request's own gallery image and another subject's, int (N,), -1 where there is none.

    A subject's requests go through the others in turn.
    """
    known = inputs.gallery_identity
    own, others = np.full(len(inputs), -1), np.full(len(inputs), -1)
    for who in np.unique(inputs.clusters):
        requests = np.flatnonzero(inputs.clusters == who)
        own[requests] = next(iter(np.flatnonzero(known == who)), -1)
        foreign = np.flatnonzero(known != who)
        if len(foreign):
            start = int(np.searchsorted(known[foreign], who))
            others[requests] = foreign[(start + np.arange(len(requests))) % len(foreign)]
    return own, others


def _picked(inputs: MetricInputs, extractor: str, which: Which, places: Rows) -> FeatureSet:
    """Features of a set at places, (N, D); not valid where there is none."""
    found = inputs.feature_set(extractor, which)
    return FoundFeatures(found.values[places], found.valid[places] & (places >= 0), found.signature)


def _noise(group: Group, extractor: str, rows: Rows) -> FeatureSet:
    """Features of noise in the place of each row's source; other rows are not valid."""
    size = group.context.store.size
    images = np.random.default_rng(SEED).integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8)
    asked = group.requests.iloc[rows]
    points = known_rows(group.context.store.manifest.landmarks, asked["source"].to_numpy())
    found = group.context.features(extractor, images, points, asked["identity"].to_numpy())
    values = np.zeros((len(group.requests), found.values.shape[1]), dtype=np.float32)
    valid = np.zeros(len(group.requests), dtype=bool)
    values[rows], valid[rows] = found.values, found.valid
    return FoundFeatures(values, valid, found.signature)
