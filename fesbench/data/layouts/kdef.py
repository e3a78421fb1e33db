"""Writing avatars out as KDEF is laid out, so that its adapter can be tried.

The traps: two sessions of one subject under two names, profiles where no face is found, the two misnamed
files (AF31V, AM31H), averaged faces in a folder beside (with a misnamed one too), an all-black image, and
``.DS_Store`` files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fesbench.data.datasets.kdef import LABELS, MISNAMED, POSES, SESSIONS
from fesbench.data.layouts.images import cast, check, in_frame, seen_from, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.plain import empty_folder
from fesbench.vocabulary import canonical_label

FOLDERS = {"plain": "", "archive": "KDEF_and_AKDEF/KDEF", "flat": ""}
AVERAGES = "KDEF_and_AKDEF/AKDEF"
GENERATIONS = tuple(FOLDERS)
IDENTITIES = 12

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


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    size: int = 200,
    seed: int = 0,
    generation: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in KDEF's layout: 70 images a subject.

    One rendered image gives the five sides; see `fesbench.data.layouts.images.seen_from`.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 1 to 70.
        size: width of the images in pixels, 64 to 562 (KDEF's own); they are 762 / 562 times as high.
        seed: of the avatar family.
        generation: "plain" (a folder for each subject and session), "archive" (below the archive's folders,
            with averaged faces beside them) or "flat" (no folders).
        progress: called with (done, total, what) after each subject.

    Returns:
        ``out``, to be given to ``fesbench data prepare kdef --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = check(size, 64, 562, generation, GENERATIONS)
    cast_list = cast_of(identities, seed)
    out = empty_folder(out)
    root = out / FOLDERS[generation]
    for done, (identity, name) in enumerate(cast_list, 1):
        _write_identity(root, identity, name, size, seed, flat=generation == "flat")
        if progress is not None:
            progress(done, identities, "writing KDEF subjects")
    if generation == "archive":
        _write_averages(out / AVERAGES, size, seed)
    write_junk(root)
    return out


def _write_identity(root: Path, identity: int, name: str, size: int, seed: int, *, flat: bool) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    height = round(size * 762 / 562)
    for take, session in enumerate(SESSIONS):
        person = f"{session}{name}"
        specs = [AvatarSpec(identity, expression=canonical_label(code), take=take) for code in LABELS]
        for code, image in zip(LABELS, render(specs, size, seed=seed).images, strict=True):
            for pose in POSES:
                stem = f"{person}{code}{pose}"
                wrong = {right: wrong for wrong, right in MISNAMED.items()}.get(stem, stem)
                frame = in_frame(seen_from(image, DEGREES[pose]), size, height)
                if (name, session, code + pose) == BLACK:
                    frame = np.zeros_like(frame)
                write_jpeg((root if flat else root / person) / f"{wrong}.JPG", frame)


def _write_averages(folder: Path, size: int, seed: int) -> None:
    """Pixel means of four subjects, named like the averaged faces of the archive."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

    batch = render([AvatarSpec(who, expression="fear") for who in range(4)], size, seed=seed)
    mean = np.rint(batch.images.mean(axis=0)).astype(np.uint8)
    frame = in_frame(mean, size, round(size * 762 / 562))
    for stem in ("FAFS", "MAFS", "FAHR"):
        write_jpeg(folder / f"{stem}.JPG", frame)
