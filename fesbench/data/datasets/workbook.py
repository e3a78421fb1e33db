"""Reading the cells of spreadsheets that label files come in: .xls through xlrd, .xlsx through openpyxl."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fesbench.errors import DataError

Cell = str | float | None
"""Text (stripped), a number, or None where a cell is empty."""

Row = tuple[Cell, ...]

_T = TypeVar("_T")

_BROKEN = (
    *(OSError, EOFError, ValueError, LookupError, AssertionError, TypeError, SyntaxError, AttributeError),
    *(struct.error, zlib.error, zipfile.BadZipFile, RecursionError, NotImplementedError),
)
"""What the two readers raise on damaged files beside their own errors (XML's ParseError is a SyntaxError)."""


def sheets(path: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    """The sheets of a workbook in their order, each with its rows from the top.

    An .xlsx is streamed: a sheet's rows are to be read before the next sheet is asked for.

    Args:
        path: of either kind; its content says which, not its name.

    Raises:
        DataError: the file is missing, encrypted, damaged or no workbook.
    """
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    for name, rows in _guarded(path, _xlsx(path) if zipped else _xls(path)):
        yield name, _guarded(path, rows)


def _guarded(path: Path, parts: Iterable[_T]) -> Iterator[_T]:
    """The same parts; what the readers raise becomes one sentence."""
    from openpyxl.utils.exceptions import InvalidFileException
    from xlrd import XLRDError
    from xlrd.compdoc import CompDocError

    own = iter(parts)
    while True:
        try:
            part = next(own)
        except StopIteration:
            return
        except (XLRDError, CompDocError, InvalidFileException, *_BROKEN) as error:
            raise DataError(
                f"{path} is no workbook that can be read ({error}); copy it again, without a password"
            ) from None
        yield part


def _xls(path: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    import io

    import xlrd

    # xlrd writes remarks on odd files to the standard output unless it is given another place
    for sheet in xlrd.open_workbook(path, logfile=io.StringIO()).sheets():
        yield sheet.name, (tuple(map(_cell, sheet.row_values(row))) for row in range(sheet.nrows))


def _xlsx(path: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    import openpyxl

    # a path would be judged by its ending
    with path.open("rb") as stream:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        for sheet in book.worksheets:
            yield sheet.title, (tuple(map(_cell, row)) for row in sheet.iter_rows(values_only=True))


def _cell(value: Any) -> Cell:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return float(value) if isinstance(value, bool | int | float) else str(value).strip()
