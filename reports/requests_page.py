"""From a score to its requests: one page a board, every value in it, its images in sprites beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from markupsafe import Markup

from fesbench.files import atomic_write_bytes

from .boards import Board, Run
from .pages import with_own
from .request_choice import in_turn, merged
from .request_data import part_of, per_request, shown_requests
from .request_images import QUALITY, Sprites, write_sprites
from .table_model import Table

if TYPE_CHECKING:
    from jinja2 import Environment

WHOLE, MOST_VALUES, MOST_IMAGES = 60_000_000, 8_000_000, 36_000_000
"""Bytes of a report, and at most of all its requests' values and images."""
_TABLES = (".html", ".json", ".csv", ".md", ".tex")
PAGE = "requests.html"
_VALUE, _PERCENTAGE = 7, 3
"""Bytes of one in the file, a comma with it."""


@dataclass(frozen=True)
class Room:
    """Bytes that a board may take."""

    values: int = MOST_VALUES
    images: int = MOST_IMAGES

    @classmethod
    def beside(cls, out: Path, images: Path) -> Room:
        """What a report leaves of its bytes, once its tables, strips and pages are written."""
        tables = [path for path in out.iterdir() if path.suffix in _TABLES and not path.name.endswith(PAGE)]
        used = sum(path.stat().st_size for path in (*tables, *images.rglob("*")))
        return cls(images=max(0, min(MOST_IMAGES, WHOLE - MOST_VALUES - used)))

    def share(self, boards: int) -> Room:
        """Of one among several boards."""
        return Room(self.values // max(1, boards), self.images // max(1, boards))


@dataclass(frozen=True)
class Place:
    """Where a board's pages are: ``page`` is its own, ``stem`` begins the names of the others."""

    out: Path
    images: Path
    page: str
    stem: str
    prefix: str

    @property
    def requests(self) -> str:
        """The page of single requests."""
        return f"{self.stem}{PAGE}"


def link_requests(board: Board, tables: Sequence[Table], page: str) -> None:
    """Let every score that has values of single requests lead to them."""
    for table in tables:
        if shown_requests(board, table).empty:
            continue
        for name in per_request(board, table):
            for row in table.rows:
                cell = row.cells[name]
                if cell.value is not None:
                    state = {"part": f"{table.task}/{table.domain}", "row": row.id, "metric": name}
                    cell.href = f"{page}#{urlencode(state)}"


def write_requests(
    board: Board, tables: Sequence[Table], place: Place, templates: Environment, room: Room
) -> None:
    """Write the page and its sprites; whoever may not be shown is in none of them."""
    order = list(dict.fromkeys(row.id for table in tables for row in table.rows))
    firsts = [board.first(method) for method in order]
    runs = [run for run in firsts if run is not None and run.samples is not None]
    asked = [(table, shown_requests(board, table).index.astype(str).tolist()) for table in tables]
    asked = [(table, names) for table, names in asked if names]
    turns = [in_turn(names, _falling(board, table, runs)) for table, names in asked]
    whole = merged([[(number, name) for name in names] for number, names in enumerate(turns)])
    kept = whole[: _fitting(board, asked, len(runs), room.values)]
    parts = []
    for number, (table, _) in enumerate(asked):
        names = sorted(name for part, name in kept if part == number)
        parts.append(part_of(board, table, runs, names))
    sprites = write_sprites(
        board, runs, [name for _, name in kept], place.images, f"{place.prefix}-request", room.images
    )
    data = {"rows": [_row(board, run) for run in runs], "parts": parts, "images": sprites.by_request}
    html = templates.get_template("requests.html.j2").render(
        title=f"Requests: {board.protocol[0].title if board.protocol[0] else board.key.protocol}",
        key=board.key,
        page=place.page,
        data=in_page(data),
        rule=_rule(len(whole), len(kept), sprites, room),
        hidden=_hidden(board, tables),
        seeds=any(len(members) > 1 for members in board.methods.values()),
        **with_own(templates, "requests"),
    )
    atomic_write_bytes(place.out / place.requests, html.encode())


def in_page(data: Any) -> Markup:
    """JSON that a page may hold in a ``<script type="application/json">``, whatever its words are.

    >>> print(in_page(["</script>", "\u2028"]))
    ["\\u003c/script>","\\u2028"]
    """
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _falling(board: Board, table: Table, runs: Sequence[Run]) -> dict[tuple[str, str], Any]:
    """Per-request values of every row and every metric that has a direction; higher is better."""
    import pandas as pd

    found = {}
    for name in per_request(board, table):
        column = table.column(name)
        if column is None or not column.style.direction:
            continue
        sign = -1.0 if column.style.direction == "lower" else 1.0
        for run in runs:
            if run.samples is not None and name in run.samples:
                found[run.method, name] = sign * pd.to_numeric(run.samples[name], errors="coerce")
    return found


def _fitting(board: Board, asked: Sequence[tuple[Table, list[str]]], rows: int, most: int) -> int:
    """How many requests' values fit into a number of bytes."""
    metrics = max((len(per_request(board, table)) for table, _ in asked), default=0)
    seen = {
        name for run in board.runs if run.samples is not None for name in run.samples if name[:5] == "seen["
    }
    return most // max(1, rows * (metrics * _VALUE + len(seen) * _PERCENTAGE))


def _row(board: Board, run: Run) -> dict[str, Any]:
    real = {"copy": "source", "real": "target"}.get(run.method, "")
    return {"id": run.method, "title": board.label(run), "reference": run.reference, "shows": real}


def _rule(requests: int, kept: int, sprites: Sprites, room: Room) -> str:
    """What of the requests is here, and by which rule."""
    turn = (
        "in turn the worst and the best of every row by every metric, and between them a spread by the hash "
        "of the request's name"
    )
    values = f"All {requests} requests" if kept == requests else f"{kept} of {requests} requests ({turn})"
    with_images = len(sprites.by_request)
    if with_images == kept:
        images = "each with its images"
    else:
        images = f"{with_images} of them with images, as many as fit into {room.images / 1e6:.0f} MB, so "
        images += f"that the whole report stays below {WHOLE / 1e6:.0f} MB"
        images += f": {turn}" if kept == requests else ""
    coding = "without loss" if sprites.lossless else f"as WebP of quality {QUALITY}"
    return f"{values}, {images}; images are kept {coding}."


def _hidden(board: Board, tables: Sequence[Table]) -> int:
    found = board.requests
    pairs = {(table.task, table.domain) for table in tables}
    private = found.loc[~found["publishable"].astype(bool), ["task", "domain"]]
    return sum(pair in pairs for pair in private.itertuples(index=False, name=None))
