"""Writing prepared or rendered images as PNG files with a table: ``manifest.csv`` beside ``images/``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fesbench.data.datasets.base import Plan, Skipped
from fesbench.data.images import write_png
from fesbench.data.store.manifest import COLUMNS, DEFAULTS
from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes, writing
from fesbench.vocabulary import ACTION_UNITS, N_LANDMARKS

TABLE = "manifest.csv"
_CHUNK = 32


def export_images(plan: Plan, out: Path, progress: Callable[[int, int, str], None] | None = None) -> Path:
    """Write every image of a plan as a lossless PNG, then the table; without the table it is not complete.

    ``manifest.csv`` has the manifest's columns, then ``AU1`` ... (intensities in [0, 1], empty = not coded)
    and ``x0, y0`` ... ``x67, y67`` (pixels, 0 = center of the first pixel, empty = unknown). The paths in
    ``image`` are relative to ``images/``.

    Args:
        plan: what to write, such as ``ADAPTER.plan(...)`` of the avatars.
        out: an empty or new folder.
        progress: called with (done, total, what) after each chunk.

    Returns:
        The path of the table.

    Raises:
        DataError: the folder is not empty or not writable, the disk is full.
    """
    out = empty_folder(out)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    points = [f"{axis}{k}" for k in range(N_LANDMARKS) for axis in "xy"]
    table.writerow([*COLUMNS, *(f"AU{unit}" for unit in ACTION_UNITS), *points])
    for start in range(0, len(plan), _CHUNK):
        for item in plan.read(start, min(start + _CHUNK, len(plan))):
            if isinstance(item, Skipped):
                raise DataError(f"image '{item.image}' cannot be exported: {item.reason}")
            write_png(out / "images" / str(item.row["image"]), item.image)
            table.writerow(
                [
                    *(item.row.get(name, DEFAULTS.get(name)) for name in COLUMNS),
                    *_cells(item.action_units, len(ACTION_UNITS)),
                    *_cells(item.landmarks, 2 * N_LANDMARKS),
                ]
            )
        if progress is not None:
            progress(min(start + _CHUNK, len(plan)), len(plan), "writing images")
    atomic_write_bytes(out / TABLE, text.getvalue().encode())
    return out / TABLE


def write_plain(
    out: Path,
    *,
    identities: int,
    size: int,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars as files: each subject in eight expressions and two takes; see `export_images`.

    Args:
        out: an empty or new folder.
        identities: how many subjects.
        size: side of the images in pixels.
        seed: of the avatar family.
        progress: called with (done, total, what) after each chunk.

    Returns:
        The path of the table.

    Raises:
        DataError: as `export_images`.
    """
    from fesbench.data.datasets.avatars import ADAPTER

    options = ADAPTER.check_options({"identities": [identities, 0, 0], "seed": seed})
    return export_images(ADAPTER.plan(None, options, size), out, progress)


def empty_folder(out: Path) -> Path:
    """A folder to write into, created when absent.

    Raises:
        DataError: it holds something already, or cannot be created.
    """
    out = Path(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise DataError(f"{out} is not empty; give a new folder, so that nothing of yours is overwritten")
    return out


def _cells(values: np.ndarray | None, count: int) -> list[str]:
    flat = np.full(count, np.nan) if values is None else np.asarray(values, np.float64).reshape(-1)
    return ["" if np.isnan(value) else f"{value:.6g}" for value in flat]
