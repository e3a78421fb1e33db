"""The clips of a request table, checked and decoded, and what the metrics read of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.data.views import RowsOf
from fesbench.errors import DataError
from fesbench.evaluation.clip_features import ClipFeatures
from fesbench.evaluation.inputs import ImageSet, metric_inputs
from fesbench.evaluation.views import Shifted
from fesbench.methods.clips import clip_rows
from fesbench.protocol.tasks import task_kind

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.metrics.inputs import MetricInputs

_LISTED = 10


def load_clips(folder: Path, requests: pd.DataFrame, size: int) -> np.ndarray:
    """The clips of requests of one length, uint8 (N, T, size, size, 3), in a memory map on the disk.

    Args:
        folder: the cell's.
        requests: N rows with equal ``length``.
        size: pixels.

    Raises:
        DataError: a frame is missing, unreadable or of another size; lists the first ten.
    """
    from fesbench.data.images import read_image

    length = int(requests["length"].iloc[0])
    shape = (len(requests), length, size, size, 3)
    # the file has no name and goes with the array
    with tempfile.TemporaryFile(prefix="fesbench-clips-") as file:
        clips = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    faults = []
    for number, (task, name) in enumerate(zip(requests["task"], requests["request"], strict=True)):
        for place, file_name in enumerate(task_kind(task).files(name, length)):
            try:
                image = read_image(folder / file_name)
            except (DataError, FileNotFoundError) as error:
                faults.append(str(error) if isinstance(error, DataError) else f"{file_name} is missing")
                continue
            if image.shape == (size, size, 3):
                clips[number, place] = image
            else:
                found = f"{image.shape[1]}x{image.shape[0]}"
                faults.append(f"{file_name} is {found}, the protocol wants {size}x{size}")
    if faults:
        more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise DataError(
            f"{len(faults)} of {len(requests) * length} frames in {folder / 'clips'} cannot be scored: "
            f"{'; '.join(faults[:_LISTED])}{more}"
        )
    return clips


def clip_inputs(
    context: RunContext, requests: pd.DataFrame, clips: np.ndarray, **common: Any
) -> MetricInputs:
    """What the metrics of one task of clips read: the last frames as images, and every frame beside them.

    Args:
        context: what the cells share.
        requests: N rows of the request table, of one length.
        clips: generated for them, uint8 (N, T, S, S, 3).
        common: see `metric_inputs`.
    """
    from fesbench.metrics.inputs import Clips

    length, manifest = clips.shape[1], context.store.manifest
    peaks = requests["target"].to_numpy(dtype=np.int64)
    truth = clip_rows(manifest.table, peaks, length)
    drivers = clip_rows(manifest.table, requests["driver"].to_numpy(dtype=np.int64), length)
    table = requests.loc[np.repeat(requests.index, length)].reset_index(drop=True)
    table["request"] += [f"/{frame:04d}" for frame in range(length)] * len(requests)
    table["target"], table["driver"] = truth.reshape(-1), drivers.reshape(-1)
    sources, asked = table["source"].to_numpy(), table["identity"].to_numpy()
    images = context.store.images
    # every frame is cropped where the face was at the start of its clip
    more: dict[str, ImageSet] = {}
    if (truth >= 0).any():
        real = RowsOf(images, truth.reshape(-1))
        more |= {"target": (real, sources, asked), "target-shifted": (Shifted(real), sources, asked)}
    if (drivers >= 0).any():
        more["driver"] = RowsOf(images, drivers.reshape(-1)), np.repeat(drivers[:, 0], length), asked
    reference = clip_rows(manifest.table, common["reference"], length)
    known = (reference >= 0).all(axis=1)
    common["reference"], reference = common["reference"][known], reference[known]
    shown = RowsOf(images, reference.reshape(-1))
    subjects = manifest.table["identity"].to_numpy()[common["reference"]]
    more["reference"] = shown, reference.reshape(-1), np.repeat(subjects, length)
    apex = metric_inputs(context, requests, np.asarray(clips[:, -1]), **common)
    made = clips.reshape(-1, *clips.shape[2:])
    frames = metric_inputs(context, table, made, more=more, **common)
    apex.features = ClipFeatures(
        context,
        apex.features,
        frames,
        {"generated": made, "reference": shown},
        {"generated": requests["identity"].to_numpy(), "reference": subjects},
        length,
    )
    intensity = manifest.table["intensity"].to_numpy(dtype=np.float64)[np.maximum(truth, 0)]
    intensity[truth < 0] = np.nan
    apex.clips = Clips(length, frames, intensity)
    return apex
