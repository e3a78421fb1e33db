"""CFEE's workbook: which code is which category (sheet "summary"), and the action units of each subject.

How the other sheets are laid out is not documented. A sheet is read where it explains itself: its name is a
category and each row begins with a subject, or the other way around; then either a row of action units'
numbers heads columns of 0, 1 and empty cells, or each row lists the numbers of the units that are shown.
Anything else is left unread and named in a note: a misread sheet would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fesbench.data.datasets.workbook import Cell, Row, sheets
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS, canonical_label

Key = tuple[str, str]
"""Subject and code: ("339", "02")."""

_SUMMARY = "summary"
_UNITS = range(1, 65)


@dataclass
class Annotation:
    """What the workbook says.

    Attributes:
        names: code ("02") -> the vocabulary's label.
        action_units: float32 (len(ACTION_UNITS),), 1 = coded as present, 0 = not coded.
        notes: sentences on what could not be read.
    """

    names: dict[str, str] = field(default_factory=dict)
    action_units: dict[Key, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_annotation(path: Path, codes: Mapping[str, str]) -> Annotation:
    """Read the workbook.

    Args:
        path: AU_annotation_all_subjects.xls or .xlsx.
        codes: code -> label, instead of what the sheet "summary" says; empty = as the sheet says.

    Raises:
        DataError: the file cannot be read, has no sheet "summary", or that sheet names no category or names
            one twice.
    """
    tables = [(name.strip(), [row for row in rows if any(row)]) for name, rows in sheets(path)]
    found = Annotation()
    summaries = [rows for name, rows in tables if name.lower() == _SUMMARY]
    if codes:
        found.names = dict(codes)
    elif summaries:
        _read_summary(path, summaries[0], found)
    else:
        raise DataError(f"{path} has no sheet '{_SUMMARY}', which says which code is which category")
    unread, outside = [], 0
    for name, rows in tables:
        if name.lower() == _SUMMARY:
            continue
        coded = _read_units(name, rows, found.names)
        if coded is None or found.action_units.keys() & coded.keys():
            unread.append(f"'{name}'")
            continue
        for key, units in coded.items():
            vector = np.array([unit in units for unit in ACTION_UNITS], np.float32)
            outside += len(units) - int(vector.sum())
            found.action_units[key] = vector
    if unread:
        found.notes.append(
            f"{len(unread)} sheets of {path.name} are not understood and their action units left unknown: "
            f"{', '.join(unread[:10])}"
        )
    if outside:
        found.notes.append(f"{outside} codes of action units outside the vocabulary are left out")
    return found


def _read_summary(path: Path, rows: Sequence[Row], found: Annotation) -> None:
    strange = []
    for row in rows:
        code, name = _code(row[0]), row[1] if len(row) > 1 else None
        if code is None or not isinstance(name, str):
            continue  # the head of the table
        try:
            label = canonical_label(name)
        except DataError:
            strange.append(f"{code} ('{name}')")
            continue
        if code in found.names or label in found.names.values():
            raise DataError(
                f"sheet '{_SUMMARY}' of {path} names code {code} or '{label}' twice; take the owner's file"
            )
        found.names[code] = label
    if not found.names:
        raise DataError(
            f"sheet '{_SUMMARY}' of {path} names no category that is known (column 0: code, column 1: name); "
            'give them: codes = {"01" = "neutral", ...}'
        )
    if strange:
        found.notes.append(
            f"the sheet '{_SUMMARY}' gives codes names that are no known category: {', '.join(strange[:10])}"
        )


def _read_units(name: str, rows: Sequence[Row], names: Mapping[str, str]) -> dict[Key, set[int]] | None:
    """The units present by subject and code, or None where the sheet does not explain itself."""
    identity, code = _identity(name), _category(name, names)
    if (identity is None) == (code is None):
        return None
    head: list[tuple[int, int]] = []
    coded: dict[Key, set[int]] = {}
    for row in rows:
        key = (_identity(row[0]), code) if code else (identity, _category(row[0], names))
        who, what = key
        if who is None or what is None:
            units = [(column, _unit(cell)) for column, cell in enumerate(row) if column and cell is not None]
            numbers = [(column, unit) for column, unit in units if unit is not None]
            if not head and len(numbers) > 1 and len(numbers) == len(units):
                head = numbers
            continue
        present = _marked(row, head) if head else _listed(row)
        if present is None or (who, what) in coded:
            return None
        coded[who, what] = present
    return coded if coded or head else None


def _marked(row: Row, head: Sequence[tuple[int, int]]) -> set[int] | None:
    """The units whose column holds 1; None where a column holds something else than 0, 1 or nothing."""
    cells = {unit: row[column] if column < len(row) else None for column, unit in head}
    if any(cell not in (None, 0.0, 1.0) for cell in cells.values()) or len(cells) < len(head):
        return None
    return {unit for unit, cell in cells.items() if cell}


def _listed(row: Row) -> set[int] | None:
    """The units that a row lists ("12", "AU25", "1+2+25"); None where a cell is no unit or comes twice."""
    parts: list[Cell] = []
    for cell in row[1:]:
        parts += re.split(r"[+,;\s]+", cell) if isinstance(cell, str) else [cell] if cell is not None else []
    units = [_unit(part) for part in parts]
    present = {unit for unit in units if unit is not None}
    return present if len(present) == len(parts) else None


def _unit(cell: Cell) -> int | None:
    match = re.fullmatch(r"(?:AU\s*)?(\d{1,2})", _text(cell), re.IGNORECASE)
    return int(match[1]) if match and int(match[1]) in _UNITS else None


def _code(cell: Cell) -> str | None:
    text = _text(cell)
    return f"{int(text):02d}" if re.fullmatch(r"\d{1,2}", text) and int(text) else None


def _category(cell: Cell, names: Mapping[str, str]) -> str | None:
    """The code of a category that is given by its code or by its name."""
    code = _code(cell)
    if code is None and isinstance(cell, str):
        try:
            label = canonical_label(cell)
        except DataError:
            return None
        code = next((key for key, known in names.items() if known == label), None)
    return code if code in names else None


def _identity(cell: Cell) -> str | None:
    text = _text(cell)
    return text if re.fullmatch(r"\d{3}", text) else None


def _text(cell: Cell) -> str:
    """A cell as text; whole numbers without their ".0"."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)
