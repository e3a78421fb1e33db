"""``frames.parquet``: what a page shows of the single frames of a cell's clips, one row a frame.

Columns: request, frame (from 0); "intensity" (the judge's probability of the requested label), "true
intensity" (of the real clip) and "NME", NaN where unknown and absent where the protocol does not measure
them; "face", the face model's unit vector, of a few subjects who may be shown, else null. No score is
computed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.records.parquet import read_table

if TYPE_CHECKING:
    import pandas as pd

FRAMES = "frames.parquet"


def write_frames(folder: Path, tables: Sequence[pd.DataFrame]) -> None:
    """Write a cell's frames, task by task; no table leaves no file.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    import pandas as pd

    if not tables:
        (folder / FRAMES).unlink(missing_ok=True)
        return
    whole = pd.concat(tables, ignore_index=True)
    atomic_write_bytes(folder / FRAMES, whole.to_parquet(index=False))


def read_frames(folder: Path) -> pd.DataFrame | None:
    """A cell's frames; None where it has no clips, or was scored before frames were kept.

    Raises:
        RecordError: the file is damaged, lacks a column, or holds a frame twice.
    """
    table = read_table(folder / FRAMES, ("request", "frame"))
    if table is not None and table.duplicated(["request", "frame"]).any():
        raise RecordError(f"{folder / FRAMES} holds a frame twice; score the cell again")
    return table
