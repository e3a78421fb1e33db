"""Writing avatars out as JAFFE is laid out, so that its adapter can be tried.

The traps: gray TIFFs with a palette, whose entries run backward here (the owner's are not known), so that
whoever takes the stored indices for gray levels gets negatives; takes and running numbers with the gaps of
the real list (KM.DI1, then KM.DI3); FE for fear; names with dots and no other separator; the owner's text and
a ``.DS_Store`` beside the images.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.jaffe import CODES, SUBJECTS
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import cast, write_junk
from fesbench.files import atomic_write_bytes, writing

ROOT = "jaffe"

_NUMBERED = ("KM", "KA", "YM", "KR", "NM", "MK", "UY", "KL", "TM", "NA")
"""The subjects, and the expressions of each, in the order of the running numbers."""
_ORDER = ("NE", "HA", "SA", "SU", "AN", "DI", "FE")
_TAKES = {
    "KM": {"HA": 5, "SA": 5},
    "KA": {"HA": 4, "FE": 4},
    "YM": {"FE": 4},
    "KL": {"DI": 4},
    "TM": {"HA": 4},
}
"""Where more than three takes have running numbers."""
_NOT_DISTRIBUTED = (8, 12, 21, 76, 108, 183)
"""Running numbers that no file has."""


def names() -> Iterator[tuple[str, str, int, int]]:
    """Subject, code, take (from 1) and running number of the 213 images, by the running number."""
    number = 0
    for who in _NUMBERED:
        for code in _ORDER:
            for take in range(1, _TAKES.get(who, {}).get(code, 3) + 1):
                number += 1
                if number not in _NOT_DISTRIBUTED:
                    yield who, code, take, number


def cast_of(count: int, seed: int = 0) -> list[tuple[int, str]]:
    """(Avatar, "KA") of so many subjects, all of them women.

    Raises:
        DataError: more subjects than JAFFE has (10), or none.
    """
    return cast({"female": SUBJECTS, "male": ()}, count, seed)


@laid(identities=len(SUBJECTS), most=len(SUBJECTS), size=256, sizes=(32, 1024))
def write(asked: Request) -> None:
    """The owner's list of images, of the first so many subjects by name; JAFFE's are 256 pixels wide."""
    root = asked.folder() / ROOT
    for done, (identity, who) in enumerate(cast_of(asked.identities, asked.seed), 1):
        listed = [(code, take, number) for name, code, take, number in names() if name == who]
        specs = [AvatarSpec(identity, expression=CODES[code], take=take - 1) for code, take, _ in listed]
        images = render(specs, asked.size, seed=asked.seed).images
        for (code, take, number), image in zip(listed, images, strict=True):
            _write_tiff(root / f"{who}.{code}{take}.{number}.tiff", image)
        asked.tell(done, asked.identities, "writing JAFFE subjects")
    atomic_write_bytes(root / "README_FIRST.txt", b"Embedded faces in the layout of JAFFE.\n")
    write_junk(root)


def _write_tiff(path: Path, image: np.ndarray) -> None:
    """The luma of a uint8 (H, W, 3) image as a TIFF without compression, with a palette that runs backward.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    from PIL import Image

    luma = np.asarray(Image.fromarray(image).convert("L"))
    indexed = Image.fromarray(255 - luma).convert("L")
    indexed.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    stream = io.BytesIO()
    indexed.save(stream, "TIFF")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.getvalue())
