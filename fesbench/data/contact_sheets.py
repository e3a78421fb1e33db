"""Images of a prepared data set for the eyes of whoever holds it: faces, failures, faces that look alike.

They are written into the store's own folder and nowhere else. Where rows are not publishable a line on the
image says so.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.data.splits.leakage import FacePair
from fesbench.data.store.aligned import FAILED, SHOWN_FAILURES, AlignedStore
from fesbench.files import atomic_write_bytes
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

PRIVATE = "For your own screen: the license of this data set may forbid to show its images to others."

_CELL, _CAPTION, _GAP = (96, 96), 14, 4
_IDENTITIES, _LABELS = 9, 12
_INK, _PAPER, _EMPTY = (32, 32, 32), (255, 255, 255), (232, 232, 232)

Cell = tuple[np.ndarray | None, str]
"""An image, uint8 (h, w, 3) of any size, or None for a gap; and its caption, lines divided by "\\n"."""


def contact_sheet(store: AlignedStore) -> Path:
    """An image of what a store holds: subjects down and expressions across, where both are known.

    Elsewhere each column is an expression with its first images. The subjects are spread evenly over the
    sorted names, and of each the first image of an expression at its strongest is taken: the same store
    gives the same sheet.

    Returns:
        ``contact-sheet.png`` in the store's folder.

    Raises:
        DataError: the folder cannot be written.
    """
    table = store.manifest.table
    grid = _identity_grid(store) if store.manifest.identities_known else _label_grid(store)
    title = f"{store.data}: {len(store)} images at {store.size} px, {store.alignment}"
    path = store.path / "contact-sheet.png"
    return _save(path, _draw(grid, title, private=not bool(table["publishable"].all())))


def failure_sheet(store: AlignedStore) -> Path | None:
    """An image of the first images that could not be used, with the reason below each.

    Returns:
        ``failures.png`` in the store's folder; None where every image could be used.

    Raises:
        DataError: the folder cannot be written.
    """
    failures = store.info["failures"]
    if not failures:
        return None
    cells = [
        (_failed(store, nth), f"{_tail(failure['image'])}\n{failure['reason']}")
        for nth, failure in enumerate(failures[:SHOWN_FAILURES])
    ]
    rows = [cells[start : start + 6] for start in range(0, len(cells), 6)]
    title = f"{store.data}: {len(failures)} images could not be used; the first {len(cells)}"
    private = not bool(store.manifest.table["publishable"].all())
    return _save(store.path / "failures.png", _draw(rows, title, private=private, shape=(150, 150), lines=4))


def leakage_sheet(store: AlignedStore, pairs: Sequence[FacePair]) -> Path:
    """The subjects of different subsets who look most alike, side by side with their distance.

    Returns:
        ``leakage.png`` in the store's folder.

    Raises:
        DataError: the folder cannot be written.
    """
    who = store.manifest.table["identity"].tolist()
    cells: list[Cell] = []
    for pair in pairs:
        first = f"{_tail(who[pair.first])} ({pair.first_subset})"
        second = f"{_tail(who[pair.second])} ({pair.second_subset})"
        both = np.concatenate([store.images[pair.first], store.images[pair.second]], axis=1)
        cells.append((both, f"{first}, {second}\ndistance {pair.distance:.3f}"))
    rows = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    title = f"{store.data}: the nearest faces of different subsets, in pairs"
    private = not bool(store.manifest.table["publishable"].all())
    return _save(store.path / "leakage.png", _draw(rows, title, private=private, shape=(240, 120), lines=3))


def _identity_grid(store: AlignedStore) -> list[list[Cell]]:
    table = store.manifest.table
    order = np.lexsort((-table["intensity"].to_numpy(), table["domain"].ne("in").to_numpy()))
    first: dict[tuple[str, str], int] = {}
    for row in order:
        first.setdefault((table["identity"].iloc[row], table["expression"].iloc[row]), int(row))
    identities = sorted(set(table["identity"]))
    shown = [
        identities[k]
        for k in np.linspace(0, len(identities) - 1, min(_IDENTITIES, len(identities))).astype(int)
    ]
    return [
        [
            _cell(store, first.get((who, label)), f"{_tail(who)}\n{label or '(unlabelled)'}")
            for label in _labels(store)
        ]
        for who in shown
    ]


def _label_grid(store: AlignedStore) -> list[list[Cell]]:
    labels = _labels(store)
    names = store.manifest.table["expression"].to_numpy()
    rows = {label: np.flatnonzero(names == label)[:_IDENTITIES] for label in labels}
    return [
        [
            _cell(store, rows[label][k] if k < len(rows[label]) else None, label or "(unlabelled)")
            for label in labels
        ]
        for k in range(max(len(found) for found in rows.values()))
    ]


def _labels(store: AlignedStore) -> list[str]:
    """The expressions of a store: the basic ones in their order, then the others; unlabelled last."""
    present = set(store.manifest.table["expression"])
    basic = [name for name in EXPRESSIONS if name in present]
    others = sorted(present - {*EXPRESSIONS, ""})
    return [*basic, *others, *([""] if "" in present else [])][:_LABELS]


def _cell(store: AlignedStore, row: int | None, caption: str) -> Cell:
    return (None, "") if row is None else (store.images[int(row)], caption)


def _failed(store: AlignedStore, nth: int) -> np.ndarray | None:
    from fesbench.data.images import read_image

    path = store.path / FAILED / f"{nth:02d}.png"
    return read_image(path) if path.is_file() else None


def _tail(name: str) -> str:
    return name if len(name) <= 22 else f"...{name[-19:]}"


def _draw(
    rows: list[list[Cell]], title: str, *, private: bool, shape: tuple[int, int] = _CELL, lines: int = 2
) -> Image.Image:
    """Cells in rows under a title; ``shape`` is the width and height of their images."""
    from PIL import Image, ImageDraw, ImageOps

    (width, tall), across = shape, max(len(row) for row in rows)
    height = tall + lines * _CAPTION + _GAP
    top = _CAPTION * (3 if private else 2)
    size = (max(across * (width + _GAP) + _GAP, 640), top + len(rows) * height + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, fill=_INK)
    if private:
        draw.text((_GAP, _GAP + _CAPTION), PRIVATE, fill=(160, 0, 0))
    for j, row in enumerate(rows):
        for i, (image, caption) in enumerate(row):
            x, y = _GAP + i * (width + _GAP), top + j * height
            if image is None and not caption:
                continue
            draw.rectangle((x, y, x + width - 1, y + tall - 1), fill=_EMPTY)
            if image is not None:
                whole = Image.fromarray(np.ascontiguousarray(image))
                fitted = ImageOps.contain(whole, shape, Image.Resampling.LANCZOS)
                sheet.paste(fitted, (x + (width - fitted.width) // 2, y + (tall - fitted.height) // 2))
            for k, line in enumerate(_wrapped(draw, caption, width)[:lines]):
                draw.text((x, y + tall + 1 + k * _CAPTION), line, fill=_INK)
    return sheet


def _wrapped(draw: ImageDraw.ImageDraw, caption: str, width: int) -> list[str]:
    """The caption's lines, broken where they would run into the next cell."""
    found = []
    for line in caption.split("\n"):
        current = ""
        for word in line.split(" "):
            longer = f"{current} {word}".strip()
            if current and draw.textlength(longer) > width:
                found.append(current)
                longer = word
            current = longer
        found.append(current)
    return found


def _save(path: Path, sheet: Image.Image) -> Path:
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    atomic_write_bytes(path, stream.getvalue())
    return path
