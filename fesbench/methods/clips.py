"""Which frames of a store make a clip from neutral to the peak, and which of them a batch shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.sampling import Rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Clip:
    """One sequence of one subject, from its first neutral frame to its peak.

    Attributes:
        rows: int64 (F,), rows of the store in the order of time, F >= 3.
        frames: int64 (F,), their frame numbers.
        label: the expression at the peak.
    """

    rows: np.ndarray
    frames: np.ndarray
    label: int

    def resampled(self, length: int) -> np.ndarray:
        """Rows of ``length`` frames at equal steps of time, the first and the last included: int64 (length,).

        Each is the nearest frame that there is (of two the earlier), so a short clip shows some twice.
        """
        times = np.linspace(self.frames[0], self.frames[-1], length)
        later = np.searchsorted(self.frames, times).clip(1, len(self.frames) - 1)
        earlier = times - self.frames[later - 1] <= self.frames[later] - times
        found: np.ndarray = self.rows[later - earlier]
        return found


def find_clips(table: pd.DataFrame, images: Rows, neutral: int) -> list[Clip]:
    """The clips among some labelled images, in the order of their first rows.

    A clip runs from the first neutral frame of a sequence to its first frame of highest intensity; without a
    frame between the two, below that intensity and not neutral, a sequence is but two stills and no clip.

    Args:
        table: columns identity, sequence ("" = of none), frame and intensity of a store.
        images: what a clip may show.
        neutral: label of neutral images.
    """
    identities, sequences = table["identity"].to_numpy(), table["sequence"].to_numpy()
    frames, intensities = table["frame"].to_numpy(), table["intensity"].to_numpy()
    members: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for row, label in zip(images.rows.tolist(), images.labels.tolist(), strict=True):
        if sequences[row] != "":
            members.setdefault((identities[row], sequences[row]), []).append((int(frames[row]), row, label))
    clips = []
    for found in members.values():
        frame, row, label = np.array(sorted(found), dtype=np.int64).T
        shown = np.where(label == neutral, 0.0, intensities[row])
        peak = int(shown.argmax())
        start = int((label == neutral).argmax())
        within = slice(start, peak + 1)
        between = (label[within] == label[peak]) & (shown[within] < shown[peak])
        if label[start] == neutral and between.any():
            kept = np.flatnonzero((label == neutral) | (label == label[peak]))
            kept = kept[(kept >= start) & (kept <= peak)]
            clips.append(Clip(row[kept], frame[kept], int(label[peak])))
    return sorted(clips, key=lambda clip: int(clip.rows[0]))
