"""Writing avatars out as FER-2013 and MMAFEDB beside each other; the second contains the first.

See `fesbench.data.layouts.fer2013` and `fesbench.data.layouts.mmafedb` for the traps of each. With FER-2013
as folders, every second of its images that MMAFEDB holds is the same file to the byte; as a table, all of
them are copies that only a perceptual hash finds.
"""

from __future__ import annotations

from pathlib import Path

from fesbench.data.layouts import Progress, fer2013, mmafedb
from fesbench.data.layouts.web_faces import SIZE, check_request

GENERATIONS = ("csv", "folder")
IDENTITIES = 30


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    size: int = SIZE,
    seed: int = 0,
    generation: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write both sets; a third of the subjects are in both.

    Args:
        out: an empty or new folder.
        identities: how many subjects in all, 15 or more.
        size: side of the images in pixels; FER-2013's table has 48 and nothing else.
        seed: of the avatar family.
        generation: FER-2013's form, "csv" or "folder".
        progress: called with (done, total, what) after each subject of a set.

    Returns:
        ``out``, to be given to ``fesbench data prepare fuse --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = generation or GENERATIONS[0]
    check_request(identities, size, 15, generation, GENERATIONS)
    mmafedb.write(out, identities=identities, size=size, seed=seed, progress=progress)
    fer2013.write(
        out / "fer2013",
        identities=identities // 3,
        size=size,
        seed=seed,
        generation=generation,
        progress=progress,
    )
    return out
