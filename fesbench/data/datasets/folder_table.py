"""The table of a folder of the user's own images: ``manifest.csv``, as fesbench itself writes it too."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fesbench.data.datasets.listing import ListedImage
from fesbench.data.datasets.tables import Line, read_table
from fesbench.data.datasets.user_files import number_takes
from fesbench.data.splits.assign import SUBSETS
from fesbench.data.store.manifest import COLUMNS
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS, N_LANDMARKS, UNKNOWN_IDENTITY, canonical_label

UNITS = tuple(f"AU{unit}" for unit in ACTION_UNITS)
POINTS = tuple(f"{axis}{k}" for k in range(N_LANDMARKS) for axis in "xy")
"""The columns of action units and of landmarks."""

_TEXTS = ("sequence", "pose", "gaze", "lighting", "sex", "skin", "glasses")
_FAR = 1e5


@dataclass(frozen=True)
class Listed:
    """The images that a table names.

    Attributes:
        images: in the table's order.
        declared: the sha256 that the table gives for each, "" where it gives none.
        has_identity: whether the table has the column.
    """

    images: tuple[ListedImage, ...]
    declared: tuple[str, ...]
    has_identity: bool


def read_manifest(path: Path) -> Listed:
    """Read a table of images.

    ``image`` (relative to the table, or to ``images`` beside it) and ``expression`` are required; see
    ``docs/data/folder.md`` for the others.

    Raises:
        DataError: an unknown or missing column, a cell that cannot be, an image that is absent or listed
            twice, half of the landmark columns; by file, line and column.
    """
    known = (*COLUMNS, *UNITS, *POINTS)
    images: list[ListedImage] = []
    declared: list[str] = []
    rows: list[dict[str, Any]] = []
    first_line: dict[Path, int] = {}
    has_identity = False
    for line in read_table(path, known, ("image", "expression")):
        if not images:
            _check_points(line)
            has_identity = "identity" in line.cells
        file, row = _find(line), _row(line)
        if file in first_line:
            raise line.bad("image", f"the image that line {first_line[file]} names; keep one of the two")
        first_line[file] = line.number
        rows.append(row)
        images.append(ListedImage(file, row, _points(line), _units(line)))
        declared.append(_sha256(line))
    number_takes(rows)
    return Listed(
        tuple(replace(image, row=row) for image, row in zip(images, rows, strict=True)),
        tuple(declared),
        has_identity,
    )


def _find(line: Line) -> Path:
    name = PurePosixPath(line.get("image").replace("\\", "/"))
    if not name.name or name.is_absolute() or ".." in name.parts:
        raise line.bad("image", "wanted a path relative to the table, or to the folder 'images' beside it")
    for folder in (line.path.parent, line.path.parent / "images"):
        if isfile(folder / name):  # False of a name that is too long, too
            return folder / name
    raise line.bad("image", "which is neither beside the table nor in the folder 'images'")


def _row(line: Line) -> dict[str, Any]:
    image = PurePosixPath(line.get("image").replace("\\", "/")).as_posix()
    expression = _expression(line)
    age = line.number_in("age", 0, 130)
    row: dict[str, Any] = {
        "image": image,
        "identity": line.get("identity") or f"{UNKNOWN_IDENTITY}{image}",
        "expression": expression,
        "intensity": _intensity(line, expression),
        "frame": line.whole("frame") or 0,
        "domain": line.get("domain") or "in",
        "part": _part(line),
        "publishable": line.yes("publishable"),
        **{name: line.get(name) for name in _TEXTS},
    }
    if age is not None:
        row["age"] = age
    take = line.whole("take")
    if take is not None:
        row["take"] = take
    return row


def _expression(line: Line) -> str:
    if not line.get("expression"):
        return ""
    try:
        return canonical_label(line.get("expression"))
    except DataError as error:
        raise line.bad("expression", f"an {error}") from None


def _intensity(line: Line, expression: str) -> float:
    value = line.number_in("intensity", 0, 1)
    neutral = expression == "neutral"
    if value is None:
        return 0.0 if neutral else 1.0
    if expression and (value == 0) != neutral:
        raise line.bad("intensity", f"with the expression '{expression}'; 0 is for neutral and for it alone")
    return value


def _part(line: Line) -> str:
    part = line.get("part").lower()
    if part not in ("", *SUBSETS):
        raise line.bad("part", f"wanted {', '.join(SUBSETS)}, or nothing")
    return part


def _sha256(line: Line) -> str:
    text = line.get("sha256").lower()
    if text and (len(text) != 64 or not set(text) <= set(string.hexdigits)):
        raise line.bad("sha256", "wanted 64 hexadecimal digits, or nothing")
    return text


def _check_points(line: Line) -> None:
    missing = [name for name in POINTS if name not in line.cells]
    if 0 < len(missing) < len(POINTS):
        raise DataError(
            f"{line.path}, line 1: column '{missing[0]}' is missing; landmarks are all {N_LANDMARKS} points, "
            f"{POINTS[0]}, {POINTS[1]} to {POINTS[-2]}, {POINTS[-1]}, or none"
        )


def _points(line: Line) -> np.ndarray | None:
    values = list(_numbers(line, POINTS, -_FAR, _FAR))
    if not values or np.isnan(values).all():
        return None
    if np.isnan(values).any():
        name = POINTS[int(np.flatnonzero(np.isnan(values))[0])]
        raise line.bad(name, "while the line gives other landmarks; fill in all of them or none")
    return np.array(values, np.float32).reshape(N_LANDMARKS, 2)


def _units(line: Line) -> np.ndarray | None:
    values = np.full(len(UNITS), np.nan, np.float32)
    for k, name in enumerate(UNITS):
        if name in line.cells:
            (values[k],) = _numbers(line, (name,), 0, 1)
    return None if np.isnan(values).all() else values


def _numbers(line: Line, columns: tuple[str, ...], low: float, high: float) -> Iterator[float]:
    """The cells of these columns, NaN where one is empty; nothing where the table has no such columns."""
    for name in columns:
        if name in line.cells:
            value = line.number_in(name, low, high)
            yield float("nan") if value is None else value
