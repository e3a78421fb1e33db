"""What an external program is asked for: the request table, the sources, the granted landmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    """A protocol's request table without the scoring side's columns and without clips, which no metric reads
    yet, and the store that its rows count in.
    """
    from fesbench.context.folded import requests_of

    protocol, store = _opened(protocol, source, reporter)
    requests, _ = requests_of(protocol, store, parse_budget(budget).text)
    requests = requests[outputs_of(requests) != "clip"].reset_index(drop=True)
    return requests.drop(columns=["target", "noise_seed"]), store


def _opened(protocol: Protocol, source: Sources, reporter: Reporter) -> tuple[Protocol, AlignedStore]:
    """The protocol with the labels that its data shows, and the data."""
    from fesbench.context.build import open_store, settle_labels
    from fesbench.protocol.split import build_split

    store = open_store(protocol, source, reporter)
    return settle_labels(protocol, store, build_split(protocol, store)), store


def wanted(requests: pd.DataFrame, store: AlignedStore) -> pd.DataFrame:
    """The table for an external program: names of images in place of rows of the store.

    Columns beside those of the request table: ``file`` (the name that the answer must have),
    ``source_image`` (the source's name in the data set), ``source_file`` (its name in the folder that
    `write_sources` writes), and ``target_landmarks``: where granted, the driver's 68 [x, y] as JSON in
    pixels of the aligned image (0 = center of the first pixel), "" elsewhere. The driver's image is not
    given out: methods inside fesbench do not see it either.
    """
    shown = requests.drop(columns=["source", "driver"])
    shown.insert(1, "file", requests["request"] + ".png")
    sources = requests["source"].to_numpy()
    images = store.manifest.table["image"].to_numpy()[np.maximum(sources, 0)]
    shown["source_image"] = np.where(sources >= 0, images, "")
    shown["source_file"] = np.where(sources >= 0, shown["file"], "")
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

    Args:
        requests: as `asked` returns them.
        store: of the same call.
        folder: made where it does not exist.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    from PIL import Image

    from fesbench.files import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with_source = requests[requests["source"] >= 0]
        for name, source in zip(with_source["request"], with_source["source"], strict=True):
            Image.fromarray(store.images[source]).save(folder / f"{name}.png")
