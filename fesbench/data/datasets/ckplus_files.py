"""Finding and reading CK+'s files, however its archives were unpacked.

Nothing here depends on the outer folders' names: a file counts by its own name and by the two folders it lies
in (``S005/001/S005_001_00000011_emotion.txt``), so that ``Emotion``, ``Emotion_labels/Emotion``,
``extended-cohn-kanade-images/cohn-kanade-images`` and the like all work.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fesbench.data.datasets.listing import JUNK, walk
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS, N_LANDMARKS

Key = tuple[str, str]
"""Subject and sequence: ("S005", "001")."""

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""CK+'s emotion codes 0 to 7."""

UNKNOWN_INTENSITY = 0.6
"""For an action unit coded with intensity 0, which in CK+ means "present, intensity not given": the middle of
the scale (C = 3 of 5). Not 0, which would call it absent; not NaN, which would lose most coded units."""

_FILE = re.compile(r"(S\d{3})_(\d{3})_(\d{8})(?:_(emotion|facs|landmarks)\.txt|\.png)", re.IGNORECASE)
_DOCUMENTS = {".pdf", ".zip", ".txt", ".doc", ".docx", ".rtf", ".md", ".htm", ".html"}
_IDENTITY = re.compile(r"S\d{3,4}")
_LETTERS = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}


@dataclass
class Files:
    """Every file of a copy of CK+, by kind ("image", "landmarks", "emotion", "facs"), sequence and frame."""

    root: Path
    kinds: dict[str, dict[Key, dict[int, Path]]] = field(
        default_factory=lambda: {kind: {} for kind in ("image", "landmarks", "emotion", "facs")}
    )
    odd: list[str] = field(default_factory=list)
    """Files that are not understood, relative to the root, sorted."""

    def of(self, kind: str, key: Key) -> dict[int, Path]:
        """The files of one sequence by frame number, ascending; empty where there are none."""
        return self.kinds[kind].get(key, {})

    def fingerprint(self) -> str:
        """Sha256 (hex): the content of the small label files; name, size and time of images and landmarks."""
        digest = hashlib.sha256()
        for kind, sequences in sorted(self.kinds.items()):
            for key, frames in sorted(sequences.items()):
                for frame, path in sorted(frames.items()):
                    digest.update(f"{kind}:{key}:{frame}:".encode())
                    if kind in ("emotion", "facs"):
                        digest.update(_read_bytes(path))
                    else:
                        stat = path.stat()
                        digest.update(f"{stat.st_size}:{stat.st_mtime_ns}".encode())
        return digest.hexdigest()


def scan(root: Path) -> Files:
    """Look through a folder for CK+'s files.

    Raises:
        DataError: the folder does not exist or cannot be read, or holds the same file twice.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the one that holds CK+'s image and label folders")
    files = Files(root)
    for path in walk(root):
        match = _FILE.fullmatch(path.name)
        if match is None:
            if not _expected_extra(path, root):
                files.odd.append(path.relative_to(root).as_posix())
            continue
        identity, sequence, frame, kind = match.groups()
        key = (identity.upper(), sequence)
        if (path.parent.parent.name.upper(), path.parent.name) != key:
            files.odd.append(path.relative_to(root).as_posix())
            continue
        frames = files.kinds[kind.lower() if kind else "image"].setdefault(key, {})
        if int(frame) in frames:
            raise DataError(
                f"{frames[int(frame)]} and {path} are the same file of CK+ twice; give the folder of one copy"
            )
        frames[int(frame)] = path
    for sequences in files.kinds.values():
        for key in sequences:
            sequences[key] = dict(sorted(sequences[key].items()))
    files.odd.sort()
    return files


def _expected_extra(path: Path, root: Path) -> bool:
    """Desktop droppings anywhere; archives and documents outside of the subjects' folders."""
    if JUNK.fullmatch(path.name):
        return True
    inside = any(_IDENTITY.fullmatch(part) for part in path.relative_to(root).parts[:-1])
    return not inside and path.suffix.lower() in _DOCUMENTS


def read_emotion(path: Path) -> str:
    """The expression in an emotion file: one number such as ``3.0000000e+00``.

    Raises:
        DataError: the file holds anything else.
    """
    values = _numbers(path)
    if len(values) != 1 or len(values[0]) != 1 or values[0][0] not in range(len(CODES)):
        raise DataError(f"{path} should hold one emotion code from 0 to 7; copy the file again")
    return CODES[int(values[0][0])]


@dataclass(frozen=True)
class Facs:
    """One FACS file: the coded units that fesbench's vocabulary has, and what else there was.

    Attributes:
        units: float32 (len(ACTION_UNITS),) in [0, 1]; 0 = coded as absent (a unit that is not listed).
        without_intensity: how many units were present without an intensity.
        outside: how many listed units the vocabulary does not have.
    """

    units: np.ndarray
    without_intensity: int
    outside: int


def read_facs(path: Path) -> Facs:
    """Read "AU intensity" lines; intensities 1 to 5 (or A to E) become fifths.

    Raises:
        DataError: a line is anything else.
    """
    units = np.zeros(len(ACTION_UNITS), np.float32)
    without = outside = 0
    for line in _numbers(path):
        if len(line) != 2 or line[0] != int(line[0]) or not 0 <= line[1] <= 5:
            raise DataError(f"{path} should hold lines of an action unit and an intensity from 0 to 5")
        without += line[1] == 0
        strength = line[1] / 5 if line[1] > 0 else UNKNOWN_INTENSITY
        if int(line[0]) in ACTION_UNITS:
            column = ACTION_UNITS.index(int(line[0]))
            units[column] = max(units[column], strength)
        else:
            outside += 1
    return Facs(units, without, outside)


def read_landmarks(path: Path) -> np.ndarray:
    """68 lines of x and y: float32 (68, 2), pixels.

    Raises:
        DataError: the file holds anything else.
    """
    values = _numbers(path)
    if len(values) != N_LANDMARKS or any(len(line) != 2 for line in values):
        raise DataError(
            f"{path} should hold {N_LANDMARKS} lines of x and y; copy it again, or set landmarks to 'dlib'"
        )
    return np.array(values, np.float32)


def _numbers(path: Path) -> list[list[float]]:
    """The numbers of a text file, line by line, without the blank ones; A to E read as 1 to 5."""
    try:
        text = _read_bytes(path).decode("ascii")
        lines = [
            [_LETTERS[word] if word in _LETTERS else float(word) for word in line.split()]
            for line in text.splitlines()
            if line.strip()
        ]
    except ValueError:
        raise DataError(f"{path} is not a text file of numbers; copy the file again") from None
    if not all(math.isfinite(value) for line in lines for value in line):
        raise DataError(f"{path} holds a value that is no finite number; copy the file again")
    return lines


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
