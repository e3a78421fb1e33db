"""Writing avatars out exactly as FERG-DB is laid out, traps included, so that its adapter can be tried.

The traps: transparent pixels whose hidden color is arbitrary (here magenta), a file of zero bytes, running
numbers with gaps that need sorting as numbers, "joy" for happiness, a ``.DS_Store``.
"""

from __future__ import annotations

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.ferg import CHARACTERS, EXPRESSIONS
from fesbench.data.images import write_png
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import write_junk
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_expression

ROOT = "FERG_DB_256"
HIDDEN = (255, 0, 255)
"""The color below the transparent pixels."""
_FLAT = 40
"""How much the background's color may vary, summed over the channels."""


@laid(identities=len(CHARACTERS), most=len(CHARACTERS), size=256, sizes=(32, 1024), what="characters")
def write(asked: Request, *, images: int = 4) -> None:
    """``images`` of each character and expression, drawn as cartoons; FERG-DB's are 256 pixels wide."""
    if images < 1:
        raise DataError(f"each character and expression needs an image or more, not {images}")
    root, characters = asked.folder() / ROOT, list(CHARACTERS)[: asked.identities]
    cells = [(k, who, what) for k, who in enumerate(characters) for what in EXPRESSIONS]
    for done, (identity, who, what) in enumerate(cells, 1):
        folder = root / who / f"{who}_{what}"
        for number, image in zip(_numbers(images), _render(identity, what, images, asked), strict=True):
            write_png(folder / f"{who}_{what}_{number}.png", image)
        asked.tell(done, len(cells), "writing FERG-DB images")
    last = f"{cells[-1][1]}_{EXPRESSIONS[-1]}"
    (root / cells[-1][1] / last / f"{last}_100.png").touch()
    write_junk(root)


def _numbers(images: int) -> list[int]:
    """1, 2, 4, 5, 7, 8, 10, ...: every third number is missing, as of frames that were thrown away."""
    return [k + k // 2 + 1 for k in range(images)]


def _render(identity: int, what: str, images: int, asked: Request) -> list[np.ndarray]:
    """Frames of one rig: uint8 (H, W, 4), transparent around the head."""
    specs = [
        AvatarSpec(identity, expression=canonical_expression(what), take=take, style="cartoon")
        for take in range(images)
    ]
    return [_cut_out(image) for image in render(specs, asked.size, seed=asked.seed).images]


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
