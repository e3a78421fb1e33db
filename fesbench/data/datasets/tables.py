"""Reading a CSV that a subject wrote: every mistake is named by file, line and column."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fesbench.errors import DataError

_DIGITS = 18
"""Of a whole number, at most; Python refuses to read some thousands."""
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        path: the table.
        number: of the line in the file, from 1.
        cells: by column, without blanks around them.
    """

    path: Path
    number: int
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """The cell, "" where the table has no such column."""
        return self.cells.get(column, "")

    def bad(self, column: str, wanted: str) -> DataError:
        """The error that says what this cell should hold."""
        return DataError(
            f"{self.path}, line {self.number}, column '{column}': found '{self.get(column)}', {wanted}"
        )

    def number_in(self, column: str, low: float, high: float) -> float | None:
        """A finite number of [low, high]; None where the cell is empty or "nan".

        Raises:
            DataError: the cell holds anything else.
        """
        text = self.get(column)
        if text.lower() in ("", "nan"):
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (low <= value <= high and abs(value) < float("inf")):
            within = f" from {low:g} to {high:g}" if high < float("inf") else ""
            raise self.bad(column, f"wanted a number{within}, or nothing")
        return value

    def whole(self, column: str) -> int | None:
        """A whole number, 0 or more; None where the cell is empty.

        Raises:
            DataError: the cell holds anything else.
        """
        text = self.get(column)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            raise self.bad(
                column, f"wanted a whole number, 0 or more, of {_DIGITS} digits at most, or nothing"
            )
        return int(text)

    def yes(self, column: str) -> bool:
        """Whether the cell says yes; an empty one says no.

        Raises:
            DataError: the cell says neither.
        """
        text = self.get(column).lower()
        if text not in (*_YES, *_NO):
            raise self.bad(column, "wanted yes or no")
        return text in _YES


def read_table(path: Path, known: Collection[str], required: Sequence[str]) -> Iterator[Line]:
    """The lines of a table with a header, one by one; blank lines are passed over.

    Args:
        path: a CSV in UTF-8 (with or without a byte-order mark), separated by commas.
        known: every column that the table may have.
        required: columns that it must have.

    Raises:
        DataError: unreadable, not UTF-8, a column unknown, missing or twice, a line with too few or too many
            cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, known, required)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells for {len(header)} columns; put "
                        "quotation marks around a text that holds a comma"
                    )
                values = (cell.strip() for cell in cells)
                yield Line(path, reader.line_num, dict(zip(header, values, strict=True)))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; save it as a plain CSV") from None


def _check_header(path: Path, header: list[str], known: Collection[str], required: Sequence[str]) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError(f"{path} is separated by semicolons or tabs; save it with commas between the cells")
    for name in header:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise DataError(
                f"{path}, line 1: unknown column '{name}'; the nearest is '{close[0]}'. Rename or remove it"
            )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: column '{twice[0]}' stands twice; keep one of them")
    for name in required:
        if name not in header:
            raise DataError(f"{path}, line 1: column '{name}' is missing; it is required")
