"""What is kept of the single frames of clips, for the curves and the map of identities of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fesbench.metrics.common import unit_rows
from fesbench.metrics.identity.acd import EMBEDDING

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.metrics.base import Metric
    from fesbench.metrics.inputs import MetricInputs

SUBJECTS = 6
"""Whose faces are kept: the first by name who may be shown."""


def frame_values(
    inputs: MetricInputs, metrics: Mapping[str, Metric], publishable: np.ndarray
) -> pd.DataFrame | None:
    """The rows of `fesbench.records.frames` of one task in one domain; None for images.

    Args:
        inputs: what was measured.
        metrics: that could be.
        publishable: bool (N,), requests of which images may be shown.
    """
    import pandas as pd

    from fesbench.metrics.clips import ClipMetric

    clips = inputs.clips
    if clips is None:
        return None
    table = pd.DataFrame(
        {
            "request": np.repeat(inputs.requests["request"].to_numpy(), clips.length),
            "frame": np.tile(np.arange(clips.length, dtype=np.int16), len(inputs)),
        }
    )
    for metric in metrics.values():
        if isinstance(metric, ClipMetric):
            for name, values in metric.by_frame(inputs).items():
                table[name] = values.reshape(-1).astype(np.float32)
    if any(metric.extractor == EMBEDDING and metric.reads_clips for metric in metrics.values()):
        table["face"] = _faces(inputs, publishable)
    return table


def _faces(inputs: MetricInputs, publishable: np.ndarray) -> np.ndarray:
    """The middle and the last frame's unit vectors (D,) float32; None elsewhere, and where no face is."""
    clips = inputs.clips
    assert clips is not None
    names = inputs.requests["identity"].to_numpy()
    chosen = publishable & np.isin(names, sorted(set(names[publishable]))[:SUBJECTS])
    found = clips.frames.faces(EMBEDDING)
    kept = np.empty(len(clips.frames), dtype=object)
    for frame in (clips.length // 2, clips.length - 1):
        for row in np.flatnonzero(chosen) * clips.length + frame:
            if found.valid[row]:
                kept[row] = unit_rows(found.values[row : row + 1])[0].astype(np.float32)
    return kept
