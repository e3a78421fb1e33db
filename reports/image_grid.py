"""Image strips: fixed subjects, every row, source and target beside; only publishable subjects are opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.protocol.tasks import plain_kind
from fesbench.vocabulary import EXPRESSIONS

from .boards import Board, Run

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

PEOPLE = 4
STYLE_PEOPLE = 4
MOST_COLUMNS = 8
LOSSLESS_UP_TO = 64
"""Strips of larger images are JPEG (quality 93, no chroma subsampling), to keep the page light."""

Line = tuple[tuple[str, int, str, float, str], str, str]
"""(subject, label's place, second label, intensity, request), request, column title: sorts as it is shown."""


@dataclass
class Strip:
    """One row of a panel: all images side by side in one file."""

    title: str
    source: str
    alt: str
    width: int
    height: int
    kind: str
    """``source``, ``target``, ``reference`` or ``method``."""
    missing: int = 0
    method: str = ""
    """Id; also of the row whose images are the source or the target."""


@dataclass
class Panel:
    """One table of images."""

    id: str
    title: str
    caption: str
    columns: list[str]
    strips: list[Strip] = field(default_factory=list)


@dataclass
class Gallery:
    """The panels of one task and domain."""

    task: str
    domain: str
    panels: list[Panel]
    hidden_people: int
    """Test subjects whose images may not be published."""
    shown_people: int = 0


def build_gallery(
    board: Board, task: str, domain: str, order: Sequence[str], folder: Path, prefix: str
) -> Gallery:
    """Choose subjects by name, never by result, and write their strips.

    Args:
        board: The rows.
        task: Which requests.
        domain: Which requests.
        order: Method ids, in the order of the leaderboard.
        folder: Where strips are written.
        prefix: Of the files' names.
    """
    table = board.requests
    table = table[(table["task"] == task) & (table["domain"] == domain)]
    everybody = sorted(table["identity"].unique())
    table = table[table["publishable"]]
    allowed = sorted(table["identity"].unique())
    gallery = Gallery(task, domain, [], len(everybody) - len(allowed))
    if board.by_image:
        # no subject's images belong together: one strip of the first image of each label
        chosen = sorted(table.groupby("target_expression")["identity"].min())[:MOST_COLUMNS]
        jobs = [(chosen, domain if domain != "in" else task)] if chosen else []
    elif (task, domain) == board.headline and plain_kind(task).has_source:
        chosen = allowed[:PEOPLE]
        jobs = [([person], f"{person}") for person in chosen]
    else:
        chosen = allowed[:STYLE_PEOPLE]
        jobs = [(chosen, domain if domain != "in" else task)] if chosen else []
    gallery.shown_people = len(chosen)
    for number, (people, title) in enumerate(jobs):
        wanted = table[table["identity"].isin(people)]
        requests, columns = _columns(wanted, board, several=len(people) > 1)
        shown = people if not board.by_image and plain_kind(task).has_source else ["chosen by name"]
        panel = Panel(f"{prefix}-{number}", title, _caption(task, domain, shown), columns)
        panel.strips = _strips(board, requests, columns, order, folder, panel.id)
        if panel.strips:
            gallery.panels.append(panel)
    return gallery


def _caption(task: str, domain: str, people: Sequence[str]) -> str:
    where = "" if domain == "in" else f", domain {domain}"
    return f"Task {task}{where}: {', '.join(people)}"


def _columns(wanted: pd.DataFrame, board: Board, *, several: bool) -> tuple[list[str], list[str]]:
    details = _details(board)
    rank = {name: i for i, name in enumerate(EXPRESSIONS)}
    lines = []
    for request, row in wanted.iterrows():
        label = str(row["target_expression"])
        second, level, unit = details.get(str(request), ("", 1.0, 0))
        text = f"AU{unit}" if unit else f"{label} + {second}" if second else label
        text += f" {level:g}" if level != 1.0 else ""
        place = (str(row["identity"]), unit or rank.get(label, len(rank)), second, level, str(request))
        # a random image shows nobody, and an image without an identity has no name worth reading
        named = several and plain_kind(str(row["task"])).has_source and not board.by_image
        lines.append((place, str(request), f"{row['identity']} {text}" if named else text))
    lines.sort()
    if several:
        lines = _spread(lines)
    # One image a column title: a second take of the same request adds nothing here.
    seen: dict[str, str] = {}
    for _, request, text in lines:
        seen.setdefault(text, request)
    columns = list(seen)[:MOST_COLUMNS]
    return [seen[text] for text in columns], columns


def _spread(lines: list[Line]) -> list[Line]:
    """The first few requests of each subject in turn, still ordered by subject."""
    people = sorted({place[0] for place, *_ in lines})
    share = max(1, MOST_COLUMNS // len(people))
    return [line for who in people for line in [x for x in lines if x[0][0] == who][:share]]


def _details(board: Board) -> dict[str, tuple[str, float, int]]:
    """Second expression, intensity and action unit by request, from the runs' request tables."""
    import pandas as pd

    found: dict[str, tuple[str, float, int]] = {}
    for run in board.runs:
        path = run.folder / "requests.csv"
        if not path.is_file():
            continue
        try:
            table = pd.read_csv(path, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} cannot be read ({error}); run the cell again") from None
        if {"request", "second_expression", "intensity"} <= set(table):
            # records of before there were action-unit tasks lack the column
            units = table.get("action_unit", pd.Series(0, index=table.index))
            rows = zip(table["request"], table["second_expression"], table["intensity"], units, strict=True)
            found |= {str(r): (str(second), float(level), int(unit)) for r, second, level, unit in rows}
    return found


def shown_rows(board: Board, order: Sequence[str]) -> list[tuple[Run, str, str]]:
    """The rows of an image as (first seed's run, title, kind): source, target, then the leaderboard's."""
    lead = [("copy", "source", "source"), ("real", "target", "target")]
    rows: list[tuple[Run, str, str]] = []
    for method, title, kind in lead:
        run = board.first(method)
        if run is not None:
            rows.append((run, title, kind))
    for method in order:
        run = board.first(method)
        if run is not None and method not in ("copy", "real"):
            title = str(run.record.card.get("title") or method)
            rows.append((run, title, "reference" if run.reference else "method"))
    return rows


def _strips(
    board: Board,
    requests: Sequence[str],
    columns: Sequence[str],
    order: Sequence[str],
    folder: Path,
    prefix: str,
) -> list[Strip]:
    strips = []
    for number, (run, title, kind) in enumerate(shown_rows(board, order)):
        strip = _strip(run, requests, columns, title, kind, folder, f"{prefix}-{number}")
        if strip is not None:
            strips.append(strip)
    return strips


def _strip(
    run: Run, requests: Sequence[str], columns: Sequence[str], title: str, kind: str, folder: Path, name: str
) -> Strip | None:
    from io import BytesIO

    from PIL import Image

    pictures = [open_image(run.image_path(request)) for request in requests]
    present = [p for p in pictures if p is not None]
    if not present:
        return None
    size = max(p.height for p in present)
    sheet = Image.new("RGB", (size * len(pictures), size), (128, 128, 128))
    for index, picture in enumerate(pictures):
        if picture is not None:
            fitted = (
                picture
                if picture.size == (size, size)
                else picture.resize((size, size), Image.Resampling.BICUBIC)
            )
            sheet.paste(fitted, (index * size, 0))
    buffer = BytesIO()
    if size <= LOSSLESS_UP_TO:
        suffix = "png"
        sheet.save(buffer, "PNG", optimize=True)
    else:
        suffix = "jpg"
        sheet.save(buffer, "JPEG", quality=93, subsampling=0)
    atomic_write_bytes(folder / f"{name}.{suffix}", buffer.getvalue())
    missing = len(pictures) - len(present)
    gone = f"; {missing} not made" if missing else ""
    alt = f"{title}: {', '.join(columns)}{gone}"
    return Strip(
        title, f"{folder.name}/{name}.{suffix}", alt, sheet.width, sheet.height, kind, missing, run.method
    )


def open_image(path: Path | None) -> Image.Image | None:
    """An RGB image; None where there is no path.

    Raises:
        RecordError: the file is no image.
    """
    from PIL import Image

    if path is None:
        return None
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise RecordError(
            f"{path} is not a readable image ({error}); delete it and run the cell again"
        ) from None
