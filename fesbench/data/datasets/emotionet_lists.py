"""EmotioNet's lists: one line an image with its two links and 60 action units, as text, CSV or workbook.

Columns: hosted URL, original URL, AU1 to AU60; 1 = present, 0 = absent, 999 (or nothing) = not labeled. URLs
may stand in quotes, a first line may name the columns. Both generations of links (the laboratory's own server
and the Amazon bucket) end in the same <folder>/<image>, which is all that is read of them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fesbench.data.datasets.workbook import sheets
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS

NOT_LABELED = 999.0

_TAIL = re.compile(r"([^/\s]+)/(N_\d+_\d+\.jpe?g)", re.IGNORECASE)
_UNIT = re.compile(r"AU\s*(\d{1,2})", re.IGNORECASE)
_USUAL = {unit: unit + 1 for unit in range(1, 61)}
"""Action unit -> column, where no head says another."""

Cells = Sequence[str | float | None]


@dataclass(frozen=True)
class Coded:
    """The line of an image that is here.

    Attributes:
        tail: the end of its link, <folder>/<image>.
        action_units: float32 (len(ACTION_UNITS),), 1 present, 0 absent, NaN not labeled.
        by_hand: whether its list is one of those that people coded.
    """

    tail: str
    action_units: np.ndarray
    by_hand: bool


@dataclass
class Lists:
    """What the lists say of the images that are here.

    Attributes:
        coded: by the image's file name, in lower case.
        listed: the file names of all lines, in lower case.
        odd: lines that are not understood, "dataFile_1000.txt:17".
        repeated: lines on an image that a list before had already; they are not used.
        contradicting: those of them (of images that are here) with other codes.
        outside: codes "present" of units outside the vocabulary.
    """

    coded: dict[str, Coded] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    repeated: int = 0
    contradicting: int = 0
    outside: int = 0

    def read(self, path: Path, here: Collection[str], *, by_hand: bool) -> None:
        """Add a list's lines.

        Args:
            path: dataFile_*.txt (tabs), or EmotioNet_FACS_aws*.xlsx or .csv.
            here: file names of the images that are here, in lower case; the others' codes are not kept.
            by_hand: whether people coded it.

        Raises:
            DataError: the file cannot be read.
        """
        columns = _USUAL
        for where, cells in _lines(path):
            link = _TAIL.search(_plain(cells[0])) if cells else None
            if link is None:
                head = {int(match[1]): column for column, match in _named(cells)}
                columns = head or columns
                if not head:
                    self.odd.append(where)
                continue
            name = link[2].lower()
            if name in self.listed and name not in here:
                self.repeated += 1
                continue
            values = _values(cells, columns) if name in here else {}
            if values is None:
                self.odd.append(where)
                continue
            if name not in here:
                self.listed.add(name)
                continue
            self._keep(name, Coded(f"{link[1]}/{link[2]}", _vector(values), by_hand), values)

    def _keep(self, name: str, coded: Coded, values: dict[int, float]) -> None:
        if name in self.coded:
            self.repeated += 1
            same = np.array_equal(self.coded[name].action_units, coded.action_units, equal_nan=True)
            self.contradicting += not same
            return
        self.listed.add(name)
        self.coded[name] = coded
        self.outside += sum(value == 1 for unit, value in values.items() if unit not in ACTION_UNITS)


def _lines(path: Path) -> Iterator[tuple[str, Cells]]:
    """Each line's place and cells; empty lines are passed over.

    Raises:
        DataError: the file cannot be read.
    """
    if path.suffix.lower() == ".xlsx":
        for sheet, rows in sheets(path):
            for number, row in enumerate(rows, 1):
                if any(cell is not None for cell in row):
                    yield f"{path.name}:{sheet}:{number}", row
        return
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            tabs = path.suffix.lower() == ".txt"
            lines = csv.reader(stream, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else 0)
            for number, cells in enumerate(lines, 1):
                if any(cell.strip() for cell in cells):
                    yield f"{path.name}:{number}", cells
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a list of EmotioNet ({error}); copy it again") from None


def _named(cells: Cells) -> Iterator[tuple[int, re.Match[str]]]:
    """The columns that a head line names AU1, 'AU 2' and so on."""
    for column, cell in enumerate(cells):
        match = _UNIT.fullmatch(_plain(cell))
        if match:
            yield column, match


def _values(cells: Cells, columns: dict[int, int]) -> dict[int, float] | None:
    """What a line says of each action unit (NaN = not labeled); None where it says anything else."""
    if len(cells) <= max(columns.values()) or any(
        _plain(cell) for cell in cells[max(columns.values()) + 1 :]
    ):
        return None
    values: dict[int, float] = {}
    for unit, column in columns.items():
        text = _plain(cells[column])
        try:
            value = float(text) if text else NOT_LABELED
        except ValueError:
            return None
        if value not in (0.0, 1.0, NOT_LABELED):
            return None
        values[unit] = float("nan") if value == NOT_LABELED else value
    return values


def _vector(values: dict[int, float]) -> np.ndarray:
    return np.array([values.get(unit, np.nan) for unit in ACTION_UNITS], np.float32)


def _plain(cell: str | float | None) -> str:
    return "" if cell is None else str(cell).strip(" \t\r\n'\"")
