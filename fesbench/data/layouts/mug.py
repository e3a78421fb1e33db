"""Writing avatars out as MUG's posed part is laid out, so that its adapter can be tried.

The traps: the apex in the middle of a take, takes whose first frame is not 0000, several takes of one
subject and expression, neutral as a folder, takes that nobody should use ("take001end", "take001nsg"), the
session level that some copies have (named like the subject), ``.DS_Store`` files, and an image of the part
that was induced by a video (how that part is laid out is not known; here it lies outside of the
expressions' folders).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.mug import POSED, RECORDED
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.errors import DataError

ROOT = "subjects3"

_OFFSET = 12
_LEAST = 9


def takes_of(identity: int) -> Iterator[tuple[str, str, int]]:
    """A subject's takes: folder "happiness/take000", what is shown, and the avatar's take.

    Args:
        identity: from 0.
    """
    for k, label in enumerate(POSED):
        yield f"{label}/take000", label, k
    yield f"{POSED[identity % 6]}/take001", POSED[identity % 6], 6
    yield "neutral/take000", "neutral", 7
    if identity % 3 != 0:
        yield f"{POSED[identity % 6]}/take002{'end' if identity % 3 == 1 else 'nsg'}", POSED[identity % 6], 6


def levels(frames: int) -> list[float]:
    """The intensity of each frame of a take (nine or more): from rest to the apex in the middle and back."""
    apex = (frames - 3) // 2
    at = (0, 2, apex, apex + 1, apex + 2, frames - 3, frames - 1)
    return [float(x) for x in np.interp(range(frames), at, (0.0, 0.1, 0.95, 1.0, 0.97, 0.08, 0.01))]


@laid(identities=12, most=RECORDED, size=200, sizes=(64, 896), generations=("plain", "sessions"))
def write(asked: Request, *, frames: int = 12) -> None:
    """A take or two of each expression and a neutral one, each of 9 frames or more (MUG's have 50 to 160).

    "sessions" has one more level of folders.
    """
    if frames < _LEAST:
        raise DataError(f"a take needs {_LEAST} frames or more, not {frames}")
    out = asked.folder()
    for k in range(asked.identities):
        name = f"{k + 1:03d}"
        folder = out / ROOT / name / (name if asked.generation == "sessions" else "")
        first = _OFFSET if k % 3 == 1 else 0
        for path, expression, take in takes_of(k):
            for number, image in enumerate(_take(k, expression, take, frames, asked)):
                write_jpeg(folder / path / f"img_{first + number:04d}.jpg", image)
        asked.tell(k + 1, asked.identities, "writing MUG subjects")
    write_jpeg(out / "induced" / "001" / "img_0000.jpg", _take(0, "happiness", 8, _LEAST, asked)[4])
    write_junk(out / ROOT, out / ROOT / "001")


def _take(identity: int, expression: str, take: int, frames: int, asked: Request) -> np.ndarray:
    """The frames of one take, uint8 (frames, size, size, 3); at rest a face moves a little too."""
    shown, strength = (expression, 1.0) if expression != "neutral" else ("happiness", 0.04)
    specs = [
        AvatarSpec(identity, expression=shown, intensity=strength * level, take=take)
        for level in levels(frames)
    ]
    return render(specs, asked.size, seed=asked.seed).images
