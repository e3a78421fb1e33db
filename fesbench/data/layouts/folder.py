"""Writing avatars out as users lay out images of their own, with the oddities of such folders.

The traps of the tree: folder names in other spellings, a part above some expressions, endings in capitals, a
file name without "_", an empty file, a text file and desktop droppings between the images. Those of the
table: a byte-order mark, other spellings, no value in some cells, an image that it does not name.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from fesbench.data.avatars.rendering import AvatarBatch, AvatarSpec, render
from fesbench.data.datasets.folder import TABLE
from fesbench.data.datasets.folder_table import POINTS, UNITS
from fesbench.data.images import write_png
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.files import atomic_write_bytes
from fesbench.vocabulary import EXPRESSIONS

SPELLINGS = ("Neutral", "angry", "Contempt", "disgusted", "afraid", "Happy", "sad", "surprised")
"""How users call `EXPRESSIONS`, in their order."""

_TAKES = 2


@laid(identities=16, size=256, generations=("tree", "csv"))
def write(asked: Request) -> None:
    """Each subject in eight expressions and two takes; dlib finds no face below about 100 pixels.

    Generations: a folder an expression, or ``manifest.csv`` beside ``images``, with units and landmarks.
    """
    out, identities, generation = asked.folder(), asked.identities, asked.generation
    lines: list[list[object]] = []
    for who in range(identities):
        specs = [
            AvatarSpec(who, expression=name, take=take) for take in range(_TAKES) for name in EXPRESSIONS
        ]
        batch = render(specs, asked.size, seed=asked.seed)
        if generation == "tree":
            _write_tree(out, who, batch)
        else:
            lines += _write_images(out, specs, batch)
        asked.tell((who + 1) * len(specs), identities * len(specs), "writing a folder of images")
    if generation == "tree":
        _plant(out)
    else:
        _write_table(out, lines)


def identity_name(who: int) -> str:
    """The name of a subject in file names: "p000"."""
    return f"p{who:03d}"


def _write_tree(out: Path, who: int, batch: AvatarBatch) -> None:
    for k, image in enumerate(batch.images):
        take, label = divmod(k, len(EXPRESSIONS))
        stem = f"{identity_name(who)}_{take + 1:02d}"
        # one subject has one image each, named by nothing but the subject
        if who == 0 and take == 0:
            stem = identity_name(who)
        folder = out / "train" / SPELLINGS[label] if who == 0 else out / SPELLINGS[label]
        if take == 1:
            write_jpeg(folder / f"{stem}.JPG", image)
        else:
            write_png(folder / f"{stem}.png", image)


def _plant(out: Path) -> None:
    for name, content in (
        ("notes.txt", b"Where the images are from.\n"),
        (f"{SPELLINGS[0]}/empty_01.png", b""),
        (f"{SPELLINGS[0]}/Thumbs.db", b"\0"),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("rejected/p000_09.png", b"not wanted"),
    ):
        atomic_write_bytes(out / name, content)


def _write_images(out: Path, specs: list[AvatarSpec], batch: AvatarBatch) -> list[list[object]]:
    lines: list[list[object]] = []
    for k, spec in enumerate(specs):
        name = f"{identity_name(spec.identity)}/{spec.expression} {spec.take}.png"
        write_png(out / "images" / name, batch.images[k])
        spelling = SPELLINGS[EXPRESSIONS.index(spec.expression)]
        points = [f"{value:.3f}" for value in batch.landmarks[k].reshape(-1)]
        units = [f"{value:.3f}" for value in batch.action_units[k]]
        # the second take is not annotated: empty cells
        known = spec.take == 0
        lines.append(
            [
                name,
                spelling,
                identity_name(spec.identity),
                "yes" if known else "",
                *(units if known else [""] * len(units)),
                *(points if known else [""] * len(points)),
            ]
        )
    return lines


def _write_table(out: Path, lines: list[list[object]]) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image", "expression", "identity", "publishable", *UNITS, *POINTS])
    table.writerows(lines)
    atomic_write_bytes(out / TABLE, text.getvalue().encode("utf-8-sig"))
    atomic_write_bytes(out / "images" / "not listed.png", b"not named by the table")
