"""Contact sheets for the documentation: ``python -m fesbench.data.avatars.sheets docs/images``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fesbench.data.avatars import EXPRESSIONS, STYLES, AvatarSpec, render
from fesbench.vocabulary import ACTION_UNITS

_GAP = 2
_PEOPLE = (617, 602, 648, 633, 630, 642, 612, 662)
_STYLE_PEOPLE = ((651, "happiness"), (639, "anger"), (637, "surprise"), (608, "fear"), (645, "sadness"))
_STYLE_PEOPLE_MORE = ((653, "contempt"), (616, "neutral"), (650, "disgust"))
_AU_PERSON = 653


def tile(pictures: np.ndarray, columns: int) -> Image.Image:
    """Lay uint8 pictures (N, S, S, 3) out in rows on white."""
    n, size = pictures.shape[:2]
    rows = -(-n // columns)
    step = size + _GAP
    canvas = np.full((rows * step - _GAP, columns * step - _GAP, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        top, left = k // columns * step, k % columns * step
        canvas[top : top + size, left : left + size] = picture
    return Image.fromarray(canvas)


def annotate(picture: np.ndarray, landmarks: np.ndarray | None, text: str) -> np.ndarray:
    """Draw landmarks as dots and a short text onto a picture."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y in landmarks if landmarks is not None else ():
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(60, 255, 90))
    if text:
        draw.text((4, 2), text, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return np.asarray(image)


def expressions(size: int = 128) -> Image.Image:
    """People in rows, the eight expressions in columns."""
    specs = [AvatarSpec(person, expression) for person in _PEOPLE for expression in EXPRESSIONS]
    return tile(render(specs, size).images, len(EXPRESSIONS))


def styles(size: int = 128) -> Image.Image:
    """Styles in rows; one person and expression a column."""
    people = (*_STYLE_PEOPLE, *_STYLE_PEOPLE_MORE)
    specs = [AvatarSpec(person, expression, style=style) for style in STYLES for person, expression in people]
    return tile(render(specs, size).images, len(people))


def action_units(size: int = 144) -> Image.Image:
    """Every action unit alone at full intensity, with its landmarks; some on one side."""
    names = [f"AU{unit}" for unit in ACTION_UNITS] + ["AU1L", "AU2R", "AU4L", "AU12L", "AU14R", "AU43R"]
    specs = [AvatarSpec(_AU_PERSON)]
    specs += [AvatarSpec(_AU_PERSON, action_units=((name, 1.0),)) for name in names]
    batch = render(specs, size)
    texts = ["neutral", *names]
    rows = zip(batch.images, batch.landmarks, texts, strict=True)
    return tile(np.stack([annotate(picture, points, text) for picture, points, text in rows]), 8)


def main(arguments: Sequence[str]) -> None:
    """Write the three sheets into a folder."""
    folder = Path(arguments[0] if arguments else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in (("expressions", expressions), ("styles", styles), ("action-units", action_units)):
        # A palette of 256 colors keeps a sheet below a megabyte; dithering hides the steps.
        flat = sheet().quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
        flat.save(folder / f"avatars-{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
