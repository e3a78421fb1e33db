"""Writing avatars out as a folder of celebrities, portraits, statues and avatars that somebody gathered.

The embedded styles stand for the domains: snapshots for celebrities, paintings for portraits, statues, and
cartoons for avatars. The subjects are none that the other layouts show. The traps: most images lie without a
declared expression, some in folders of expressions; one subject has two images; a folder that names no
expression; a text file among the images; rights known for some of the images alone.
"""

from __future__ import annotations

import csv
import io

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.ood import DOMAINS, SOURCES
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.files import atomic_write_bytes

STYLES = dict(zip(DOMAINS, ("wild", "portrait", "statue", "cartoon"), strict=True))
"""Domain -> the embedded style that stands for it."""

FIRST_IDENTITY = 500
"""The avatars from here on are in no other layout."""

_EXPRESSIVE = {"Happy": "happiness", "angry": "anger"}


@laid(identities=8, size=256)
def write(asked: Request) -> None:
    """A neutral image of each subject in each domain, and a few expressive ones of the first subject.

    Each domain has its own subjects; dlib finds few faces below 200 pixels.
    """
    out, identities = asked.folder(), asked.identities
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
        batch = render(list(specs.values()), asked.size, seed=asked.seed)
        for name, image in zip(specs, batch.images, strict=True):
            write_jpeg(out / name, image)
        # the plain image of the first subject may be shown and is said to be neutral; the next one's may not
        example = f"https://example.org/{domain}"
        lines.append([f"{domain}/n00_1.jpg", f"{example}/0", "CC0 1.0", "neutral", "yes"])
        lines.append([f"{domain}/Happy/n00_3.jpg", f"{example}/3", "unknown", "", "no"])
        asked.tell((d + 1) * per_domain, len(STYLES) * per_domain, "writing four domains")
    lines.append([f"{DOMAINS[0]}/gone_1.jpg", "https://example.org/gone", "CC0 1.0", "", "yes"])
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    atomic_write_bytes(out / SOURCES, text.getvalue().encode())
    atomic_write_bytes(out / DOMAINS[1] / "where from.txt", b"A museum.\n")
    atomic_write_bytes(out / DOMAINS[2] / "to sort" / "x_1.jpg", b"not looked at yet")
