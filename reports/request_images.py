"""One sprite a request: source, target, every row's image and the nearest training images, at full size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.files import writing
from fesbench.records.nearest import nearest_image

from .boards import Board, Run
from .image_grid import open_image

if TYPE_CHECKING:
    from PIL import Image

ACROSS = 8
"""Tiles of a sprite side by side."""
BLOCK = 16
"""Tiles begin where WebP's blocks do, so that no image colors its neighbor."""
QUALITY = 90
TRIED = 4
"""Sprites by whose size it is decided whether all can be kept without loss."""
GRAY = (128, 128, 128)


@dataclass
class Sprites:
    """What was written.

    Attributes:
        lossless: whether every pixel is as it was made.
        bytes: of all files.
        by_request: per request its file, the side of a tile, the pitch, the tiles (``source``, ``target``, a
            row's number, or ``nearest`` and the row's number) and names of nearest training images.
    """

    lossless: bool = True
    bytes: int = 0
    by_request: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_sprites(
    board: Board, runs: Sequence[Run], requests: Sequence[str], folder: Path, prefix: str, most: int
) -> Sprites:
    """Write the images of the first requests that fit into a number of bytes.

    Nobody whose images may not be published may be among ``requests``. Without loss where all of them fit so
    (judged by the first few), else at WebP's quality 90.

    Args:
        board: the rows.
        runs: one of each row, in the page's order.
        requests: in the order in which they are written.
        folder: for the files.
        prefix: of their names.
        most: bytes.
    """
    done = Sprites()
    sheets = [_sheet(board, runs, name)[0] for name in requests[:TRIED]]
    tried = [len(_coded(sheet, lossless=True)) for sheet in sheets if sheet is not None]
    done.lossless = not tried or math.ceil(sum(tried) / len(tried)) * len(requests) <= most
    for name in requests:
        sheet, told = _sheet(board, runs, name)
        if sheet is None:
            continue
        content = _coded(sheet, lossless=done.lossless)
        if done.bytes + len(content) > most:
            break
        path = folder / f"{prefix}-{len(done.by_request)}.webp"
        with writing(path):
            path.write_bytes(content)
        done.bytes += len(content)
        done.by_request[name] = {"file": f"{folder.name}/{path.name}", **told}
    return done


def _sheet(board: Board, runs: Sequence[Run], request: str) -> tuple[Image.Image | None, dict[str, Any]]:
    """All images of a request and where each is; None where there is none."""
    from PIL import Image

    tiles: dict[str, Image.Image] = {}
    names: dict[str, str] = {}
    for kind, reference in (("source", "copy"), ("target", "real")):
        run = board.first(reference)
        if run is not None and (found := open_image(run.image_path(request))) is not None:
            tiles[kind] = found
    for number, run in enumerate(runs):
        if run.method not in ("copy", "real") and (found := open_image(run.image_path(request))) is not None:
            tiles[str(number)] = found
        name = _nearest(run, request)
        if (found := open_image(nearest_image(run.folder, name))) is not None:
            tiles[f"nearest {number}"], names[str(number)] = found, name
    if not tiles:
        return None, {}
    size = max(tile.height for tile in tiles.values())
    pitch = BLOCK * math.ceil(size / BLOCK)
    across = min(ACROSS, len(tiles))
    sheet = Image.new("RGB", (across * pitch, math.ceil(len(tiles) / across) * pitch), GRAY)
    for place, tile in enumerate(tiles.values()):
        fitted = tile if tile.size == (size, size) else tile.resize((size, size), Image.Resampling.BICUBIC)
        sheet.paste(fitted, (place % across * pitch, place // across * pitch))
    return sheet, {"size": size, "pitch": pitch, "across": across, "tiles": list(tiles), "nearest": names}


def _nearest(run: Run, request: str) -> str:
    table = run.samples
    if table is None or "nearest_training" not in table or request not in table.index:
        return ""
    return str(table.at[request, "nearest_training"])


def _coded(sheet: Image.Image, *, lossless: bool) -> bytes:
    buffer = BytesIO()
    if lossless:
        sheet.save(buffer, "WEBP", lossless=True, quality=50, method=0)
    else:
        sheet.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()
