"""FER-2013 as its owner distributes it: one table, an image of 48 x 48 gray values a line.

The file has some 290 MB. It is read once for an index of line positions; images are decoded when they are
asked for, so that memory does not grow with them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fesbench.data.datasets.base import Facts, Item, Plan, Skipped
from fesbench.data.datasets.web_faces import row_of, without_flat
from fesbench.errors import DataError

SIDE = 48
CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The emotion codes 0 to 6."""

USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_COLUMNS = ("emotion", "pixels", "Usage")


@dataclass
class CsvPlan(Plan):
    """The lines of ``fer2013.csv``, in its order; damaged ones are skipped with their line number.

    Attributes:
        path: the table.
        columns: where emotion, pixels and Usage stand.
        offsets: int64 (N,), bytes.
        lines: int64 (N,), line numbers from 1.
        digest: sha256 (hex) of the file.
        facts: counts and notes.
    """

    path: Path
    columns: tuple[int, int, int]
    offsets: np.ndarray
    lines: np.ndarray
    digest: str
    facts: Facts = field(default_factory=Facts)

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the file."""
        return self.digest

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Decode a range of lines.

        Raises:
            DataError: the file cannot be read any more.
        """
        found = []
        with _reading(self.path) as stream:
            for k in range(start, min(stop, len(self))):
                stream.seek(int(self.offsets[k]))
                found.append(without_flat(self._entry(stream.readline(), k)))
        return found

    def _entry(self, line: bytes, k: int) -> Item | Skipped:
        where = f"line {self.lines[k]} of {self.path.name}"
        try:
            emotion, usage = label_of(line, self.columns)
        except ValueError as error:
            return Skipped(f"?/{k:07d}", f"{where}: {error}")
        name = f"{usage}/{k:07d}"
        try:
            pixels = _pixels(cells_of(line)[self.columns[1]])
        except ValueError as error:
            return Skipped(name, f"{where}: {error}")
        row = {**row_of(name, emotion, USAGES[usage]), "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
        return Item(np.repeat(pixels[..., None], 3, axis=2), row)


def index(path: Path) -> tuple[CsvPlan, list[tuple[str, str]]]:
    """A plan of every line, without facts, and (expression, usage) of those whose label is right.

    Raises:
        DataError: the file cannot be read or has not FER-2013's columns.
    """
    digest = hashlib.sha256()
    offsets: list[int] = []
    lines: list[int] = []
    labels: list[tuple[str, str]] = []
    with _reading(path) as stream:
        header = stream.readline()
        columns = _columns(path, header)
        digest.update(header)
        offset = len(header)
        for number, line in enumerate(stream, 2):
            digest.update(line)
            if line.strip():
                offsets.append(offset)
                lines.append(number)
                # a line that is not right stays in the plan, which says what is wrong with it
                with contextlib.suppress(ValueError):
                    labels.append(label_of(line, columns))
            offset += len(line)
    plan = CsvPlan(path, columns, np.array(offsets, np.int64), np.array(lines, np.int64), digest.hexdigest())
    return plan, labels


def cells_of(line: bytes) -> list[bytes]:
    """The cells of a line; none of FER-2013's holds a comma."""
    return [cell.strip().strip(b'"') for cell in line.rstrip(b"\r\n").split(b",")]


def label_of(line: bytes, columns: tuple[int, int, int]) -> tuple[str, str]:
    """Expression and usage of a line.

    Raises:
        ValueError: the line has not three cells, or one of the two is unknown.
    """
    cells = cells_of(line)
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"{len(cells)} cells instead of {len(_COLUMNS)}")
    emotion, usage = (cells[columns[k]].decode("ascii", "replace") for k in (0, 2))
    if not (len(emotion) == 1 and emotion in "0123456"):
        raise ValueError(f"emotion '{emotion}' instead of 0 to 6")
    if usage not in USAGES:
        raise ValueError(f"usage '{usage}' instead of {', '.join(USAGES)}")
    return CODES[int(emotion)], usage


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The open file; an error of reading it names the remedy."""
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _columns(path: Path, header: bytes) -> tuple[int, int, int]:
    names = [cell.decode("ascii", "replace") for cell in cells_of(header.removeprefix(b"\xef\xbb\xbf"))]
    if sorted(names) != sorted(_COLUMNS):
        raise DataError(
            f"{path} begins with '{','.join(names)[:60]}', not with FER-2013's columns {','.join(_COLUMNS)}"
        )
    emotion, pixels, usage = (names.index(name) for name in _COLUMNS)
    return emotion, pixels, usage


def _pixels(cell: bytes) -> np.ndarray:
    """Uint8 (SIDE, SIDE)."""
    values = cell.split()
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{len(values)} pixels instead of {SIDE * SIDE}")
    if not all(value.isdigit() for value in values):
        raise ValueError("a pixel that is no number")
    numbers = np.array([int(value) for value in values])
    if numbers.max() > 255:
        raise ValueError("a pixel above 255")
    return numbers.astype(np.uint8).reshape(SIDE, SIDE)
