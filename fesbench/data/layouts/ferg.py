"""Writing avatars out exactly as FERG-DB is laid out, traps included, so that its adapter can be tried.

The traps: transparent pixels whose hidden color is arbitrary (here magenta), a file of zero bytes, running
numbers with gaps that need sorting as numbers, "joy" for happiness, a ``.DS_Store``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fesbench.data.datasets.ferg import CHARACTERS, EXPRESSIONS
from fesbench.data.images import write_png
from fesbench.data.layouts.images import check, write_junk
from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_expression

GENERATIONS = ("plain",)
IDENTITIES = len(CHARACTERS)

ROOT = "FERG_DB_256"
HIDDEN = (255, 0, 255)
"""The color below the transparent pixels."""
_FLAT = 40
"""How much the background's color may vary, summed over the channels."""


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    images: int = 4,
    size: int = 256,
    seed: int = 0,
    generation: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in FERG-DB's layout, drawn as cartoons.

    Args:
        out: an empty or new folder; FERG_DB_256 is made in it.
        identities: how many characters, 1 to 6.
        images: of each character and expression.
        size: side of the images in pixels; FERG-DB's are 256.
        seed: of the avatar family.
        generation: "plain", the only one known.
        progress: called with (done, total, what) after each character and expression.

    Returns:
        ``out``, to be given to ``fesbench data prepare ferg --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    if not 1 <= identities <= IDENTITIES:
        raise DataError(f"a folder like FERG-DB holds 1 to {IDENTITIES} characters, not {identities}")
    if images < 1:
        raise DataError(f"each character and expression needs an image or more, not {images}")
    check(size, 32, 1024, generation, GENERATIONS)
    root = empty_folder(out) / ROOT
    cells = [(k, who, what) for k, who in enumerate(list(CHARACTERS)[:identities]) for what in EXPRESSIONS]
    for done, (identity, who, what) in enumerate(cells, 1):
        folder = root / who / f"{who}_{what}"
        for number, image in zip(_numbers(images), _render(identity, what, images, size, seed), strict=True):
            write_png(folder / f"{who}_{what}_{number}.png", image)
        if progress is not None:
            progress(done, len(cells), "writing FERG-DB images")
    last = f"{cells[-1][1]}_{EXPRESSIONS[-1]}"
    (root / cells[-1][1] / last / f"{last}_100.png").touch()
    write_junk(root)
    return out


def _numbers(images: int) -> list[int]:
    """1, 2, 4, 5, 7, 8, 10, ...: every third number is missing, as of frames that were thrown away."""
    return [k + k // 2 + 1 for k in range(images)]


def _render(identity: int, what: str, images: int, size: int, seed: int) -> list[np.ndarray]:
    """Frames of one rig: uint8 (H, W, 4), transparent around the head."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

    specs = [
        AvatarSpec(identity, expression=canonical_expression(what), take=take, style="cartoon")
        for take in range(images)
    ]
    return [_cut_out(image) for image in render(specs, size, seed=seed).images]


def _cut_out(image: np.ndarray) -> np.ndarray:
    """Make the background transparent: what is like the upper corners and joined to them."""
    from scipy import ndimage

    color, hidden = image.copy(), np.zeros(image.shape[:2], bool)
    for corner in ((0, 0), (0, -1)):
        like = np.abs(image.astype(int) - image[corner]).sum(axis=2) <= _FLAT
        joined, _ = ndimage.label(like)
        hidden |= joined == joined[corner]
    color[hidden] = HIDDEN
    return np.dstack([color, np.where(hidden, 0, 255).astype(np.uint8)])
