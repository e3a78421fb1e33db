"""What an external program is asked for: the request table, the sources, the granted landmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError
from fesbench.external.clip_answers import FRAMES
from fesbench.methods.clips import clip_rows
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.tasks import outputs_of

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore


def asked(
    protocol: Protocol, budget: str, source: Sources, reporter: Reporter
) -> tuple[pd.DataFrame, AlignedStore]:
    """A protocol's request table without the scoring side's columns, and the store that its rows count in."""
    from fesbench.context.folded import requests_of

    protocol, store = _opened(protocol, source, reporter)
    requests, _ = requests_of(protocol, store, parse_budget(budget).text)
    return requests.drop(columns=["target", "noise_seed"]), store


def _opened(protocol: Protocol, source: Sources, reporter: Reporter) -> tuple[Protocol, AlignedStore]:
    """The protocol with the labels that its data shows, and the data."""
    from fesbench.context.build import open_store, settle_labels
    from fesbench.protocol.split import build_split

    store = open_store(protocol, source, reporter)
    return settle_labels(protocol, store, build_split(protocol, store)), store


def wanted(requests: pd.DataFrame, store: AlignedStore) -> pd.DataFrame:
    """The table for an external program: names of images in place of rows of the store.

    Columns beside those of the request table: ``file`` (the name that the answer must have; of a clip
    ``<request>/%04d.png``, a name a frame from 0 on, as many as ``length`` says),
    ``source_image`` (the source's name in the data set), ``source_file`` (its name in the folder that
    `write_sources` writes), and ``target_landmarks``: where granted, the driver's 68 [x, y] as JSON in
    pixels of the aligned image (0 = center of the first pixel), "" elsewhere. Where clips are asked for,
    ``driver_files`` names the frames of the driver's clip in the same folder, where that is granted. The
    driver's image is not given out otherwise: methods inside fesbench do not see it either.
    """
    shown = requests.drop(columns=["source", "driver"])
    clip = outputs_of(requests) == "clip"
    frames = requests["request"] + "/" + FRAMES
    shown.insert(1, "file", frames.where(clip, requests["request"] + ".png"))
    sources = requests["source"].to_numpy()
    images = store.manifest.table["image"].to_numpy()[np.maximum(sources, 0)]
    shown["source_image"] = np.where(sources >= 0, images, "")
    shown["source_file"] = np.where(sources >= 0, requests["request"] + ".png", "")
    if clip.any():
        shown["driver_files"] = frames.where(clip & _granted(requests), "")
    shown["target_landmarks"] = [
        _landmarks(store, driver) if given == "landmarks" and driver >= 0 else ""
        for given, driver in zip(requests["given"], requests["driver"], strict=True)
    ]
    return shown


def _landmarks(store: AlignedStore, row: int) -> str:
    found = np.asarray(store.manifest.landmarks[row], dtype=np.float64)
    return json.dumps(found.round(2).tolist()) if np.isfinite(found).all() else ""


def write_sources(requests: pd.DataFrame, store: AlignedStore, folder: Path) -> None:
    """Write each request's source image as ``<request>.png``, for programs that read files.

    Where a driver's clip is granted, its frames are written as ``<request>/0000.png`` and so on.

    Args:
        requests: as `asked` returns them.
        store: of the same call.
        folder: made where it does not exist.

    Raises:
        DataError: the folder cannot be written, the disk is full, or a driver's image ends no clip.
    """
    from PIL import Image

    from fesbench.files import writing

    driven = requests[_granted(requests) & (outputs_of(requests) == "clip")]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with_source = requests[requests["source"] >= 0]
        for name, source in zip(with_source["request"], with_source["source"], strict=True):
            Image.fromarray(store.images[source]).save(folder / f"{name}.png")
        for _, rows in driven.groupby("length") if len(driven) else ():
            clips = clip_rows(store.manifest.table, rows["driver"].to_numpy(), int(rows["length"].iloc[0]))
            for name, clip in zip(rows["request"], clips, strict=True):
                if (clip < 0).any():
                    raise DataError(f"request '{name}' grants a driver whose image is the end of no clip")
                (folder / name).mkdir(exist_ok=True)
                for place, row in enumerate(clip):
                    Image.fromarray(store.images[row]).save(folder / name / (FRAMES % place))


def _granted(requests: pd.DataFrame) -> pd.Series:
    """Whether a request is granted its driver's frames, bool (N,)."""
    return (requests["given"] == "driver") & (requests["driver"] >= 0)
