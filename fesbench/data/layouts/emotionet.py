"""Writing avatars out as EmotioNet comes to lie, traps included, so that its adapter can be tried.

The traps: both generations of links, dead links, an image without a line, 999 for "not labeled", URLs in
quotes and a head line (workbooks), hand-coded and machine-coded lists, a code outside the vocabulary. Every
image shows another subject, in the avatars' style "wild".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.avatars.expressions import COMPOUNDS
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.workbooks import xlsx_bytes
from fesbench.files import atomic_write_bytes
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

DEAD = 3
"""Listed images that are not there."""

_FOLDERS = {
    "aws": "emotioNet_challenge_files_server_challenge_1.2_aws",
    "server": "emotioNet_challenge_files_server_challenge_1.2",
    "workbook": "labels",
}
_LINKS = {
    "aws": "https://s3.us-east-2.amazonaws.com/emotionet/Images",
    "server": "http://cbcsnas01.ece.ohio-state.edu/EmotioNet/Images",
    "workbook": "https://s3.us-east-2.amazonaws.com/emotionet/Images",
}
_PRESENT = 0.1
_CHUNK = 16
_STEP = 32
"""Between running numbers; with it each subset of emotionet-au@1's split gets some of the first 16 images."""
_Line = list[str | float | None]


@laid(identities=48, least=2, size=256, sizes=(64, 1024), generations=tuple(_FOLDERS))
def write(asked: Request) -> None:
    """A downloaded part of EmotioNet, one image a subject.

    Three quarters of the subjects are on the hand-coded list, the others on a machine-coded one; one more
    subject has an image and no line, and `DEAD` lines of the first list have no image. Generations: links to
    the Amazon bucket, older links to the laboratory's server, workbooks beside flat images.
    """
    out, shown, generation = asked.folder(), (*EXPRESSIONS[1:], *COMPOUNDS), asked.generation
    specs = [AvatarSpec(k, shown[k % len(shown)], style="wild") for k in range(asked.identities + 1)]
    lines: list[_Line] = []
    for start in range(0, len(specs), _CHUNK):
        batch = render(specs[start : start + _CHUNK], asked.size, seed=asked.seed)
        for k, (image, units) in enumerate(zip(batch.images, batch.action_units, strict=True), start):
            write_jpeg(out / _place(k, generation), image)
            lines.append(_line(k, _codes(k, units), generation))
        asked.tell(min(start + _CHUNK, len(specs)), len(specs), "writing EmotioNet images")
    dead = [_line(1000 + k, [999] * 60, generation) for k in range(DEAD)]
    last = asked.identities * 3 // 4
    _write_lists(out / _FOLDERS[generation], lines[:last] + dead, lines[last : asked.identities], generation)


def tail(image: int) -> str:
    """The end of an image's link: "N_0000000356/N_0000000356_00190.jpg" and the like."""
    folder = f"N_{356 + image // 7:010d}"
    return f"{folder}/{folder}_{190 + _STEP * image:05d}.jpg"


def _place(image: int, generation: str) -> Path:
    whole = Path(tail(image))
    return Path("imgs") / whole.name if generation == "workbook" else Path("Images") / whole


def _codes(image: int, units: np.ndarray) -> list[int]:
    """AU1 to AU60: 1 present, 0 absent, 999 not labeled (what avatars do not have, and every seventh)."""
    codes = [999] * 60
    for unit, value in zip(ACTION_UNITS, units, strict=True):
        codes[unit - 1] = 999 if (unit + image) % 7 == 0 else int(value >= _PRESENT)
    if image == 0:
        codes[51 - 1] = 1  # head turned left: outside the vocabulary
    return codes


def _line(image: int, codes: list[int], generation: str) -> _Line:
    quote = "'" if generation == "workbook" else ""
    link, original = f"{_LINKS[generation]}/{tail(image)}", f"http://example.org/{image}.jpg"
    return [f"{quote}{link}{quote}", f"{quote}{original}{quote}", *map(float, codes)]


def _write_lists(folder: Path, by_hand: list[_Line], by_machine: list[_Line], generation: str) -> None:
    if generation == "workbook":
        head: _Line = ["URL", "URL orig", *(f"'AU {unit}'" for unit in range(1, 61))]
        middle = len(by_machine) // 2
        books = {
            "EmotioNet_FACS_aws_2020_24600.xlsx": {"Sheet1": [head, *by_hand]},
            "EmotioNet_FACS_aws_without_passw.xlsx": {
                "Sheet1": [head, *by_machine[:middle]],
                "Sheet2": [head, *by_machine[middle:]],
            },
        }
        for name, tables in books.items():
            atomic_write_bytes(folder / name, xlsx_bytes(tables))
        return
    for name, lines in (("dataFile_1000.txt", by_hand), ("dataFile_1001.txt", by_machine)):
        text = "".join("\t".join(_text(cell) for cell in line) + "\n" for line in lines)
        atomic_write_bytes(folder / name, text.encode("ascii"))


def _text(cell: str | float | None) -> str:
    return cell if isinstance(cell, str) else f"{cell:.0f}"
