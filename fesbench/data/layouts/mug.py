"""Writing avatars out as MUG's posed part is laid out, so that its adapter can be tried.

The traps: the apex in the middle of a take, takes whose first frame is not 0000, several takes of one
subject and expression, neutral as a folder, takes that nobody should use ("take001end", "take001nsg"), the
session level that some copies have (named like the subject), ``.DS_Store`` files, and an image of the part
that was induced by a video (how that part is laid out is not known; here it lies outside of the
expressions' folders).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fesbench.data.datasets.mug import POSED, RECORDED
from fesbench.data.layouts.images import check, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError

ROOT = "subjects3"
GENERATIONS = ("plain", "sessions")
IDENTITIES = 12

_OFFSET = 12
_LEAST = 9


def takes_of(identity: int) -> Iterator[tuple[str, str, int]]:
    """A subject's takes: folder "happiness/take000", what is shown, and the avatar's take.

    Args:
        subject: from 0.
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


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    frames: int = 12,
    size: int = 200,
    seed: int = 0,
    generation: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in MUG's layout: a take or two of each expression, and a neutral one.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 1 to 86.
        frames: of a take, 9 or more (MUG's have 50 to 160).
        size: side of the images in pixels, 64 to 896.
        seed: of the avatar family.
        generation: "plain", or "sessions" with one more level of folders.
        progress: called with (done, total, what) after each subject.

    Returns:
        ``out``, to be given to ``fesbench data prepare mug --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = check(size, 64, 896, generation, GENERATIONS)
    if not 1 <= identities <= RECORDED:
        raise DataError(f"a folder of this layout holds 1 to {RECORDED} subjects, not {identities}")
    if frames < _LEAST:
        raise DataError(f"a take needs {_LEAST} frames or more, not {frames}")
    out = empty_folder(out)
    for k in range(identities):
        name = f"{k + 1:03d}"
        folder = out / ROOT / name / (name if generation == "sessions" else "")
        first = _OFFSET if k % 3 == 1 else 0
        for path, expression, take in takes_of(k):
            for number, image in enumerate(_take(k, expression, take, frames, size, seed)):
                write_jpeg(folder / path / f"img_{first + number:04d}.jpg", image)
        if progress is not None:
            progress(k + 1, identities, "writing MUG subjects")
    write_jpeg(out / "induced" / "001" / "img_0000.jpg", _take(0, "happiness", 8, _LEAST, size, seed)[4])
    write_junk(out / ROOT, out / ROOT / "001")
    return out


def _take(identity: int, expression: str, take: int, frames: int, size: int, seed: int) -> np.ndarray:
    """The frames of one take, uint8 (frames, size, size, 3); at rest a face moves a little too."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

    shown, strength = (expression, 1.0) if expression != "neutral" else ("happiness", 0.04)
    specs = [
        AvatarSpec(identity, expression=shown, intensity=strength * level, take=take)
        for level in levels(frames)
    ]
    return render(specs, size, seed=seed).images
