"""Writing avatars out as KDEF is laid out, so that its adapter can be tried.

The traps: two sessions of one subject under two names, profiles where no face is found, the two misnamed
files (AF31V, AM31H), averaged faces in a folder beside (with a misnamed one too), an all-black image, and
``.DS_Store`` files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.kdef import LABELS, MISNAMED, POSES, SESSIONS
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import cast, in_frame, seen_from, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.vocabulary import canonical_label

FOLDERS = {"plain": "", "archive": "KDEF_and_AKDEF/KDEF", "flat": ""}
AVERAGES = "KDEF_and_AKDEF/AKDEF"

DEGREES = {"S": 0, "HL": -45, "HR": 45, "FL": -90, "FR": 90}
BLACK = ("F01", "B", "ANFR")
"""The image that is all black: subject, session, expression and side."""

_NUMBERS = (1, 31, *range(2, 31), *range(32, 36))
"""31 comes early, so that the misnamed files of its subjects are there in a small folder too."""


def cast_of(count: int, seed: int = 0) -> list[tuple[int, str]]:
    """(Avatar, "F01") of so many subjects.

    Raises:
        DataError: more subjects than KDEF has (70), or none.
    """
    roles = {
        sex: [f"{letter}{number:02d}" for number in _NUMBERS]
        for sex, letter in (("female", "F"), ("male", "M"))
    }
    return cast(roles, count, seed)


@laid(identities=12, most=70, size=200, sizes=(64, 562), generations=tuple(FOLDERS))
def write(asked: Request) -> None:
    """70 images a subject; they are 762 / 562 times as high as wide, as KDEF's.

    One rendered image gives the five sides; see `fesbench.data.layouts.images.seen_from`. Generations:
    "plain" (a folder for each subject and session), "archive" (below the archive's folders, averaged
    faces beside them), "flat" (no folders).
    """
    out = asked.folder()
    root = out / FOLDERS[asked.generation]
    for done, (identity, name) in enumerate(cast_of(asked.identities, asked.seed), 1):
        _write_identity(root, identity, name, asked)
        asked.tell(done, asked.identities, "writing KDEF subjects")
    if asked.generation == "archive":
        _write_averages(out / AVERAGES, asked.size, asked.seed)
    write_junk(root)


def _write_identity(root: Path, identity: int, name: str, asked: Request) -> None:
    height = round(asked.size * 762 / 562)
    for take, session in enumerate(SESSIONS):
        who = f"{session}{name}"
        specs = [AvatarSpec(identity, expression=canonical_label(code), take=take) for code in LABELS]
        for code, image in zip(LABELS, render(specs, asked.size, seed=asked.seed).images, strict=True):
            for pose in POSES:
                stem = f"{who}{code}{pose}"
                wrong = {right: wrong for wrong, right in MISNAMED.items()}.get(stem, stem)
                frame = in_frame(seen_from(image, DEGREES[pose]), asked.size, height)
                if (name, session, code + pose) == BLACK:
                    frame = np.zeros_like(frame)
                folder = root if asked.generation == "flat" else root / who
                write_jpeg(folder / f"{wrong}.JPG", frame)


def _write_averages(folder: Path, size: int, seed: int) -> None:
    """Pixel means of four subjects, named like the averaged faces of the archive."""
    batch = render([AvatarSpec(who, expression="fear") for who in range(4)], size, seed=seed)
    mean = np.rint(batch.images.mean(axis=0)).astype(np.uint8)
    frame = in_frame(mean, size, round(size * 762 / 562))
    for stem in ("FAFS", "MAFS", "FAHR"):
        write_jpeg(folder / f"{stem}.JPG", frame)
