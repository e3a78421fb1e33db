"""Writing avatars out exactly as CFEE is laid out, traps included, so that its adapter can be tried.

The traps: 26 codes on disk of which the sheet "summary" names 22, in an order that nobody would guess; names
of subjects with gaps; a running number that is no index; .jpg and .JPG; a subject who lacks an image; a sheet
that explains nothing; portraits with room beside the face. How the sheets of action units look in the real
workbook is not known: here each category has one, with subjects in rows and units in columns.
The embedded faces have 11 of the 15 compounds; the other four are named in the sheet and have no image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.avatars.expressions import COMPOUNDS
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.cfee import CATEGORIES, IDENTITIES, WORKBOOK
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.workbooks import xls_bytes, xlsx_bytes
from fesbench.files import atomic_write_bytes
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

ROOT = "CFEE_Database_230"
UNNAMED = ("08", "13", "18", "24")
"""Codes with images and without a name; which they are in the real set is not known."""
CODES = dict(
    zip(
        (f"{code:02d}" for code in range(1, 27) if f"{code:02d}" not in UNNAMED),
        ("neutral", *reversed(CATEGORIES[1:])),
        strict=True,
    )
)
"""Code -> category; 01 is neutral as in the real set, the rest is in another order on purpose."""

HELD_OUT = (118, 122, 174, 185, 187, 188, 224, 235, 265, 268, 272, 284, 304, 365, 369, 378)
"""Whom 2CET-GAN's second split holds out; every third subject is one of them, as long as there are some."""

_BLOCKS = ((4, "01-04"), (8, "05-08"), (12, "09-12"), (16, "13-16"), (20, "17-20"), (26, "21-26"))
_PRESENT = 0.1
_WEAK = 0.5
_Table = list[list[str | float | None]]


def identity_names(count: int) -> tuple[str, ...]:
    """Names for subjects, with gaps: "113", "115", "118", "116", ..."""
    # 115 is of the few whom sha256 puts in the protocol's validation subset: a small folder needs one
    order = (*range(113, 379), *range(101, 113))
    others = [number for number in order if number % 6 and number not in HELD_OUT]
    numbers = [who for k, one in enumerate(HELD_OUT) for who in (*others[2 * k : 2 * k + 2], one)]
    return tuple(str(number) for number in (*numbers, *others[2 * len(HELD_OUT) :]))[:count]


@laid(identities=24, most=IDENTITIES, size=256, sizes=(64, 1024), generations=("xls", "xlsx"))
def write(asked: Request) -> None:
    """22 images a subject, 18 of them of named codes; they are half as wide again as asked.

    With more than one subject, the last lacks an image. Generations: the workbook as its owner gives it,
    and as some users save it again.
    """
    names, root = identity_names(asked.identities), asked.folder() / ROOT
    units: dict[str, list[tuple[str, np.ndarray]]] = {code: [] for code in CODES}
    for k, name in enumerate(names):
        lacking = "26" if k and k == len(names) - 1 else None
        for code, vector in _write_identity(root, k, name, asked, lacking):
            units[code].append((name, vector))
        asked.tell(k + 1, len(names), "writing CFEE images")
    atomic_write_bytes(root / f"{WORKBOOK}.{asked.generation}", _workbook(units, asked.generation))
    write_junk(root)


def _write_identity(
    root: Path, identity: int, name: str, asked: Request, lacking: str | None
) -> list[tuple[str, np.ndarray]]:
    """Write one subject's images; the action units (see AvatarBatch) by named code."""
    named = {code: label for code, label in CODES.items() if label in (*EXPRESSIONS, *COMPOUNDS)}
    weak = {code: AvatarSpec(identity, expression="happiness", intensity=_WEAK) for code in UNNAMED}
    specs = {code: AvatarSpec(identity, expression=label) for code, label in named.items()} | weak
    chosen = [code for code in sorted(specs) if code != lacking]
    batch = render([specs[code] for code in chosen], asked.size, seed=asked.seed)
    side = asked.size // 4
    for k, code in enumerate(chosen):
        block = next(i for i, (last, _) in enumerate(_BLOCKS) if int(code) <= last)
        # the camera's running number grows with time, so it tells neither the code nor the subject
        number = 2000 + (37 * identity + 11 * k) % 7919
        ending = "JPG" if identity % 3 == 2 else "jpg"
        image = np.pad(batch.images[k], ((0, 0), (side, side), (0, 0)), mode="edge")
        path = root / _BLOCKS[block][1] / f"Images{block + 1}" / f"{code}_{name}_{number}.{ending}"
        write_jpeg(path, image)
    return [(code, batch.action_units[k]) for k, code in enumerate(chosen) if code in named]


def _workbook(units: dict[str, list[tuple[str, np.ndarray]]], generation: str) -> bytes:
    spelled = {code: label.replace("_", " ").capitalize() for code, label in CODES.items()}
    summary: _Table = [["Code", "Category"]]
    summary += [[float(code), name] for code, name in spelled.items()]
    tables: dict[str, _Table] = {
        "summary": summary,
        "remarks": [["Coded by three people"], ["see the paper"]],
    }
    for code, rows in units.items():
        table: _Table = [["Subject", *(f"AU{unit}" for unit in ACTION_UNITS)]]
        for name, vector in rows:
            table.append([float(name), *(1.0 if value >= _PRESENT else None for value in vector.tolist())])
        tables[spelled[code]] = table
    return xls_bytes(tables) if generation == "xls" else xlsx_bytes(tables)
