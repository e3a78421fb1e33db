"""Synthetic records of clips: every frame is one gray level that tells its row and its time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fesbench.records.frames import write_frames
from fesbench.records.record import load_record
from tests.reports.synthetic_records import LABELS, ROWS, Row, write_cell

LENGTH, SIZE = 6, 32
CLIP_ROWS = tuple(row for row in ROWS if row.id in ("real", "copy", "mr"))


def clip_requests(people: int, labels: Sequence[str] = LABELS, private: Sequence[str] = ()) -> pd.DataFrame:
    """One line a request of the task ``sequence``."""
    names = [f"a{220 + number:04d}" for number in range(people)]
    return pd.DataFrame(
        {
            "request": f"sequence_in_{name}_{label}",
            "task": "sequence",
            "domain": "in",
            "identity": name,
            "target_expression": label,
            "publishable": name not in private,
        }
        for name in names
        for label in labels
    )


def gray(row: str, frame: int) -> int:
    """The gray level of a row's frame."""
    return 40 * frame + 5 * [row.id for row in CLIP_ROWS].index(row)


def write_clip_cell(
    runs: Path, row: Row, requests: pd.DataFrame, *, length: int = LENGTH, size: int = SIZE, noise: int = 0
) -> Path:
    """One cell with clips; with ``noise``, of gray levels, they do not compress."""
    folder = write_cell(runs, row, requests)
    record = load_record(folder)
    for score in record.scores:
        score.task = "sequence"
    record.save(folder)
    rng = np.random.default_rng(0)
    for request in requests["request"]:
        place = folder / "clips" / request
        place.mkdir(parents=True)
        for frame in range(length):
            level = gray(row.id, frame) + rng.integers(-noise, noise + 1, (size, size, 3))
            Image.fromarray(level.astype(np.uint8)).save(place / f"{frame:04d}.png", compress_level=1)
    return folder


def write_clip_runs(runs: Path, requests: pd.DataFrame, **options: int) -> Path:
    """Cells of three rows with their frames' values."""
    for row in CLIP_ROWS:
        folder = write_clip_cell(runs, row, requests, **options)
        write_frames(folder, [frame_table(row.id, requests)])
    return runs


def frame_table(row: str, requests: pd.DataFrame, length: int = LENGTH) -> pd.DataFrame:
    """Intensities rise to 1 with the real row, not at all with the copy; a face is a point a subject."""
    slope = {"real": 1.0, "copy": 0.0}.get(row, 0.5)
    people = sorted(requests["identity"].unique())
    lines = []
    for request, who in zip(requests["request"], requests["identity"], strict=True):
        for frame in range(length):
            share, place = frame / (length - 1), people.index(who)
            face = np.eye(len(people), dtype=np.float32)[place] * (1 + 0.1 * slope)
            lines.append(
                {
                    "request": request,
                    "frame": frame,
                    "intensity": slope * share + 0.02 * place,
                    "true intensity": share,
                    "NME": 0.05 + 0.1 * (1 - slope) * share,
                    "face": face if frame == length - 1 else None,
                }
            )
    return pd.DataFrame(lines)
