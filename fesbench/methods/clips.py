"""Which frames of a store make a clip from neutral to the peak, and which of them a batch shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.sampling import Rows
from fesbench.vocabulary import EXPRESSIONS

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


def clip_rows(table: pd.DataFrame, peaks: np.ndarray, length: int) -> np.ndarray:
    """The clips that end in some images: int64 (N, length), rows of the table; -1 where there is no clip.

    Args:
        table: of a store.
        peaks: int64 (N,), rows of images that show an expression in a sequence; -1 = none.
        length: frames, at equal steps of time; see `Clip.resampled`.
    """
    known = np.maximum(peaks, 0)
    identities, sequences = table["identity"].to_numpy(), table["sequence"].to_numpy()
    rows = np.flatnonzero(table["sequence"].isin(set(sequences[known[peaks >= 0]]) - {""}).to_numpy())
    codes = {name: code for code, name in enumerate(EXPRESSIONS)}
    labels = np.array([codes.get(name, -1) for name in table["expression"].to_numpy()[rows]], dtype=np.int64)
    named = Rows(rows, labels)[labels >= 0]
    clips = {(identities[c.rows[0]], sequences[c.rows[0]]): c for c in find_clips(table, named, neutral=0)}
    found = np.full((len(peaks), length), -1, dtype=np.int64)
    for place in np.flatnonzero(peaks >= 0):
        clip = clips.get((identities[peaks[place]], sequences[peaks[place]]))
        if clip is not None:
            found[place] = clip.resampled(length)
    return found


@dataclass(frozen=True)
class MeanMotion:
    """How each label develops over a clip of T frames, the mean of the subjects' means.

    Attributes:
        landmarks: float32 (L, T, 68, 2) pixels, how far each point has moved since the first frame; NaN for a
            label without a clip with landmarks; 0 for neutral.
        intensity: float32 (L, T) in [0, 1]; for a label without a clip it rises evenly; 0 for neutral.
    """

    landmarks: np.ndarray
    intensity: np.ndarray


def mean_motion(
    clips: Sequence[Clip],
    length: int,
    *,
    landmarks: np.ndarray,
    intensity: np.ndarray,
    identity: np.ndarray,
    labels: int,
    neutral: int,
) -> MeanMotion:
    """The mean motion of the clips of each label.

    Args:
        clips: of training subjects.
        length: T.
        landmarks: float32 (N, 68, 2), by row of the store.
        intensity: float32 (N,), by row.
        identity: int64 (N,), a code by row.
        labels: how many there are.
        neutral: which of them is neutral; -1 = none.
    """
    moved = np.full((labels, length, *landmarks.shape[1:]), np.nan, dtype=np.float32)
    strength = np.tile(np.linspace(0, 1, length, dtype=np.float32), (labels, 1))
    for label in range(labels):
        rows = np.array([clip.resampled(length) for clip in clips if clip.label == label])
        if not len(rows):
            continue
        who = identity[rows[:, 0]]
        strength[label] = _over_subjects(intensity[rows], who)
        known = np.isfinite(landmarks[rows]).all(axis=(1, 2, 3))
        if known.any():
            paths = landmarks[rows[known]]
            moved[label] = _over_subjects(paths - paths[:, :1], who[known])
    if neutral >= 0:
        moved[neutral], strength[neutral] = 0.0, 0.0
    return MeanMotion(moved, strength)


def _over_subjects(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """The mean of the subjects' means over the first axis."""
    each = [values[who == code].mean(axis=0, dtype=np.float64) for code in np.unique(who)]
    return np.mean(each, axis=0).astype(np.float32)
