"""Clips side by side: all rows of a few requests, playing in step and held at any frame.

A clip is one WebP file with its frames side by side. The page shows one frame of it at a time, and one number
moves all clips (``templates/clips.js``). Animated images would each keep a clock of their own, which a page
can neither hold in step nor stop at a frame; and the same files are the film strips of the printed page.

How many requests are shown, and how large, is a rule of sizes: see `SHOWN`, `SIDE` and `BYTES`.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.data.images import read_image
from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.protocol.tasks import plain_kind
from fesbench.vocabulary import EXPRESSIONS

from .boards import Board, Run
from .image_grid import shown_rows

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 8
"""Requests of a task at most."""
SIDE = 128
"""Pixels; larger frames are scaled down to it."""
QUALITY = 90
"""Of WebP."""
BYTES = 12_000_000
"""Of all clips of a page; the last requests are left out where they would not fit."""
FILM = 6
"""Frames of a film strip at most."""

_GRAY = 128


@dataclass(frozen=True)
class ClipFile:
    """One clip: its frames side by side in one file, the path below the page."""

    source: str
    alt: str
    width: int
    height: int


@dataclass
class ClipRow:
    """The clips of one row of the leaderboard, or of the sources, drivers or targets."""

    title: str
    kind: str
    """``source``, ``driver``, ``target``, ``reference`` or ``method``."""
    clips: list[ClipFile] = field(default_factory=list)
    missing: int = 0


@dataclass
class Player:
    """The clips of one task and domain that play in step."""

    id: str
    task: str
    domain: str
    length: int
    columns: list[tuple[str, str]]
    """Label and subject of each request shown."""
    rows: list[ClipRow]
    size: int
    """Bytes of all files."""
    scaled: bool
    """Whether frames are larger in the record."""
    left_out: int
    """Requests that did not fit."""
    hidden_people: int
    """Test subjects whose clips may not be published."""

    @property
    def film(self) -> list[tuple[int, float]]:
        """Number (from 1) and place (percent of the way) of the frames of a film strip."""
        last = self.length - 1
        frames = sorted(set(np.linspace(0, last, FILM).round().astype(int).tolist()))
        return [(frame + 1, 100 * frame / last) for frame in frames]


def build_players(
    board: Board, pairs: Sequence[tuple[str, str]], order: Sequence[str], folder: Path, prefix: str
) -> list[Player]:
    """The players of all tasks of clips; one without columns where nobody may be shown.

    Args:
        board: the rows.
        pairs: task and domain of the page's tables.
        order: method ids, in the order of the leaderboard.
        folder: where files are written.
        prefix: of the files' names.

    Raises:
        DataError: a frame cannot be read.
        RecordError: rows have clips of different lengths.
    """
    asked = board.requests
    of_clips = [pair for pair in pairs if plain_kind(pair[0]).outputs == "clip"]
    players = []
    for number, (task, domain) in enumerate(of_clips):
        table = asked[(asked["task"] == task) & (asked["domain"] == domain)]
        if len(table):
            share = BYTES // len(of_clips)
            players.append(_player(board, table, order, folder, f"{prefix}-clips-{number}", share))
    return players


def choose(table: pd.DataFrame, most: int = SHOWN) -> list[str]:
    """Requests that spread over labels and subjects, never chosen by result.

    Each is of the label, then of the subject, that has been shown least so far; of equals the first by name.

    Args:
        table: requests that may be shown, indexed by request, with ``target_expression`` and ``identity``.
        most: how many at most.
    """
    rank = {name: place for place, name in enumerate(EXPRESSIONS)}
    columns = (table.index, table["target_expression"], table["identity"])
    left = sorted(
        (rank.get(label, len(rank)), str(who), str(request))
        for request, label, who in zip(*columns, strict=True)
    )
    chosen: list[str] = []
    labels: Counter[int] = Counter()
    people: Counter[str] = Counter()
    while left and len(chosen) < most:
        best = min(left, key=lambda line: (labels[line[0]], people[line[1]], line))
        left.remove(best)
        labels[best[0]] += 1
        people[best[1]] += 1
        chosen.append(best[2])
    return chosen


def _player(
    board: Board, table: pd.DataFrame, order: Sequence[str], folder: Path, name: str, share: int
) -> Player:
    shown = table[table["publishable"]]
    hidden = table["identity"].nunique() - shown["identity"].nunique()
    requests = choose(shown)
    first = table.iloc[0]
    runs = [
        line
        for line in shown_rows(board, order)
        if any((line[0].folder / "clips" / r).is_dir() for r in requests)
    ]
    real = board.first("real")
    drivers = {} if real is None else _drivers(real, shown)
    if real is not None and drivers:
        runs.insert(sum(kind == "source" for _, _, kind in runs), (real, "driver", "driver"))
    rows = [ClipRow(title, kind) for _, title, kind in runs]
    player = Player(name, first["task"], first["domain"], 0, [], rows, 0, False, 0, hidden)
    for number, request in enumerate(requests):
        label, who = str(table.at[request, "target_expression"]), str(table.at[request, "identity"])
        files_of = {"driver": drivers.get(request)}
        clips = [_frames(run, files_of.get(kind, request)) for run, _, kind in runs]
        lengths = {len(clip) for clip in clips if clip is not None}
        if not lengths:
            continue
        if len(lengths) > 1 or player.length not in (0, *lengths):
            raise RecordError(
                f"the rows have clips of {sorted(lengths | {player.length} - {0})} frames for {request}; "
                "run the cells again"
            )
        side = max(clip.shape[1] for clip in clips if clip is not None)
        files = [_encode(clip, min(lengths), min(side, SIDE)) for clip in clips]
        if player.columns and player.size + sum(map(len, files)) > share:
            player.left_out = len(requests) - number
            break
        player.length, player.scaled = min(lengths), side > SIDE
        player.size += sum(map(len, files))
        player.columns.append((label, who))
        for place, (row, clip, content) in enumerate(zip(rows, clips, files, strict=True)):
            file = f"{name}-{number}-{place}.webp"
            atomic_write_bytes(folder / file, content)
            made = "may not be shown" if row.kind == "driver" else "not made"
            gone = f", {made}" if clip is None else ""
            alt = f"{row.title}: {label}, {who}, {player.length} frames{gone}"
            width = min(side, SIDE)
            row.clips.append(ClipFile(f"{folder.name}/{file}", alt, width * player.length, width))
            row.missing += clip is None and row.kind != "driver"
    return player


def _drivers(real: Run, shown: pd.DataFrame) -> dict[str, str]:
    """Request that grants another subject's clip -> the request whose real clip it is, if it may be shown."""
    import pandas as pd

    path = real.folder / "requests.csv"
    if not path.is_file():
        return {}
    asked = pd.read_csv(path, dtype={"request": str})
    if "driver" not in asked:
        return {}
    asked = asked[asked["request"].isin(shown.index)]
    whose = dict(zip(asked["target"], asked["request"], strict=True))
    granted = zip(asked["request"], asked["driver"], strict=True)
    return {request: whose[driver] for request, driver in granted if driver >= 0 and driver in whose}


def _frames(run: Run, request: str | None) -> np.ndarray | None:
    """A clip, uint8 (T, S, S, 3); None where it was not made."""
    if request is None:
        return None
    paths = sorted((run.folder / "clips" / request).glob("*.png"))
    return np.stack([read_image(path) for path in paths]) if paths else None


def _encode(clip: np.ndarray | None, length: int, side: int) -> bytes:
    """The frames side by side; gray where there is no clip."""
    from PIL import Image

    sheet = Image.new("RGB", (side * length, side), (_GRAY, _GRAY, _GRAY))
    for place, frame in enumerate(() if clip is None else clip):
        image = Image.fromarray(frame)
        if image.size != (side, side):
            image = image.resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(image, (place * side, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
