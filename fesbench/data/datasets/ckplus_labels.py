"""CK+'s labels by sequence: emotion and action units, and what could not be used of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fesbench.data.datasets.ckplus_files import UNKNOWN_INTENSITY, Files, Key, read_emotion, read_facs
from fesbench.errors import DataError


@dataclass
class Labels:
    """What the label files say.

    Attributes:
        expression: the emotion of each labelled sequence.
        frame: the frame that carries it (the last one, in a whole copy).
        action_units: float32 (len(ACTION_UNITS),) in [0, 1], of the sequences with a FACS file.
        odd: label files that could not be used, relative to the root.
        notes: sentences on what was filled in or left out.
    """

    expression: dict[Key, str] = field(default_factory=dict)
    frame: dict[Key, int] = field(default_factory=dict)
    action_units: dict[Key, np.ndarray] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_labels(files: Files) -> Labels:
    """Read every emotion and FACS file; one that is damaged or contradicts another is listed as odd."""
    labels = Labels()
    for key, frames in sorted(files.kinds["emotion"].items()):
        _read_emotion(key, files, labels)
        if key not in files.kinds["image"]:
            labels.odd += [path.relative_to(files.root).as_posix() for path in frames.values()]
    without = outside = 0
    for key, frames in sorted(files.kinds["facs"].items()):
        path = frames[max(frames)]
        try:
            facs = read_facs(path)
        except DataError:
            labels.odd.append(path.relative_to(files.root).as_posix())
            continue
        labels.action_units[key] = facs.units
        without, outside = without + facs.without_intensity, outside + facs.outside
    if without:
        labels.notes.append(
            f"{without} action units are coded as present without an intensity; they count as "
            f"{UNKNOWN_INTENSITY:g} (C, the middle of the scale)"
        )
    if outside:
        labels.notes.append(f"{outside} codes of action units outside the vocabulary are left out")
    uncoded = len(files.kinds["image"].keys() - labels.action_units.keys())
    if uncoded:
        labels.notes.append(f"{uncoded} sequences have no FACS codes; their peaks' action units are unknown")
    return labels


def _read_emotion(key: Key, files: Files, labels: Labels) -> None:
    frames = files.of("emotion", key)
    names = [path.relative_to(files.root).as_posix() for path in frames.values()]
    if len(frames) > 1:
        # one frame of a sequence carries the label; which of two is right cannot be guessed
        labels.odd += names
        return
    ((frame, path),) = frames.items()
    try:
        expression = read_emotion(path)
    except DataError:
        labels.odd += names
        return
    if expression == "neutral":
        # code 0 is defined and never occurs; a peak that is neutral would be an error of the copy
        labels.odd += names
        return
    labels.expression[key], labels.frame[key] = expression, frame
