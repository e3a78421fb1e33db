"""``samples.parquet``: every value of every request of a cell, where it has one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import RecordError
from fesbench.records.parquet import read_table

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = "samples.parquet"
PER_SUBJECT = ("task", "domain", "identity", "target_expression")
"""The columns that a paired test needs."""
SAMPLE_COLUMNS = ("request", *PER_SUBJECT, "publishable")
"""The columns that a page needs."""
SEEN = r"seen\[(?P<judge>.+)\] (?P<seen>.+)"
"""A column: the probability that a judge gives a class, float32, NaN where it could not read the image."""

_FILE_NAME = r"[^./\\][^/\\]*"


def seen_column(judge: str, seen: str) -> str:
    """Its name: that of ``SEEN``.

    >>> seen_column("fer", "anger")
    'seen[fer] anger'
    """
    return f"seen[{judge}] {seen}"


def read_samples(folder: Path, columns: Sequence[str] = SAMPLE_COLUMNS) -> pd.DataFrame | None:
    """A cell's samples, one row a request; None before scoring.

    Raises:
        RecordError: the file is damaged, lacks one of ``columns``, holds a request twice, or one whose
            name would lead to files elsewhere.
    """
    path = folder / SAMPLES
    table = read_table(path, columns)
    if table is None or "request" not in table:
        return table
    if table["request"].duplicated().any():
        raise RecordError(f"{path} holds a request twice; delete it and run the cell again")
    if not table["request"].astype(str).str.fullmatch(_FILE_NAME).all():
        raise RecordError(f"{path} holds a request whose name is no file's; delete it and run the cell again")
    return table
