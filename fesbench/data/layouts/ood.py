"""Writing avatars out as a folder of celebrities, portraits, statues and avatars that somebody gathered.

The embedded styles stand for the domains: snapshots for celebrities, paintings for portraits, statues, and
cartoons for avatars. The subjects are none that the other layouts show. The traps: most images lie without a
declared expression, some in folders of expressions; one subject has two images; a folder that names no
expression; a text file among the images; rights known for some of the images alone.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from fesbench.data.datasets.ood import DOMAINS, SOURCES
from fesbench.data.layouts import Progress
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes

GENERATIONS = ("plain",)
IDENTITIES = 8

STYLES = dict(zip(DOMAINS, ("wild", "portrait", "statue", "cartoon"), strict=True))
"""Domain -> the embedded style that stands for it."""

FIRST_IDENTITY = 500
"""The avatars from here on are in no other layout."""

_EXPRESSIVE = {"Happy": "happiness", "angry": "anger"}


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    size: int = 256,
    seed: int = 0,
    generation: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a neutral image of each subject in each domain, and a few expressive ones of the first subject.

    Args:
        out: an empty or new folder.
        identities: how many subjects a domain; each domain has its own.
        size: side of the images in pixels; dlib finds few faces below 200.
        seed: of the avatar family.
        generation: "plain".
        progress: called with (done, total, what) after each domain.

    Returns:
        ``out``, to be given to ``fesbench data prepare ood --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    from fesbench.data.avatars.rendering import AvatarSpec, render

    if generation not in (None, *GENERATIONS):
        raise DataError(f"generation must be {GENERATIONS[0]}, not '{generation}'")
    if identities < 1:
        raise DataError(f"a domain holds 1 subject or more, not {identities}")
    out = empty_folder(out)
    lines = [["image", "url", "license", "expression", "publishable"]]
    per_domain = identities + 1 + len(_EXPRESSIVE)
    for d, (domain, style) in enumerate(STYLES.items()):
        first = FIRST_IDENTITY + d * identities
        specs = {
            f"{domain}/n{who:02d}_1.jpg": AvatarSpec(first + who, style=style) for who in range(identities)
        }
        specs[f"{domain}/neutral/n00_2.jpg"] = AvatarSpec(first, take=1, style=style)
        for folder, expression in _EXPRESSIVE.items():
            specs[f"{domain}/{folder}/n00_3.jpg"] = AvatarSpec(first, expression=expression, style=style)
        batch = render(list(specs.values()), size, seed=seed)
        for name, image in zip(specs, batch.images, strict=True):
            write_jpeg(out / name, image)
        # the plain image of the first subject may be shown and is said to be neutral; the next one's may not
        example = f"https://example.org/{domain}"
        lines.append([f"{domain}/n00_1.jpg", f"{example}/0", "CC0 1.0", "neutral", "yes"])
        lines.append([f"{domain}/Happy/n00_3.jpg", f"{example}/3", "unknown", "", "no"])
        if progress is not None:
            progress((d + 1) * per_domain, len(STYLES) * per_domain, "writing four domains")
    lines.append([f"{DOMAINS[0]}/gone_1.jpg", "https://example.org/gone", "CC0 1.0", "", "yes"])
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    atomic_write_bytes(out / SOURCES, text.getvalue().encode())
    atomic_write_bytes(out / DOMAINS[1] / "where from.txt", b"A museum.\n")
    atomic_write_bytes(out / DOMAINS[2] / "to sort" / "x_1.jpg", b"not looked at yet")
    return out
