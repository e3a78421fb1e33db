"""The images that the layouts of FER-2013 and MMAFEDB share: gray, small, each subject in one part only."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.web_faces import CLASSES
from fesbench.data.layouts.base import Progress
from fesbench.data.layouts.jpeg import jpeg

SIZE = 48
COPY_QUALITY = 75
"""JPEG quality of a copy that somebody saved again."""
MIXED = ", to have some in each part"
"""Why a few subjects will not do."""

PARTS = ("train", "train", "train", "validation", "test")
"""Subject k is in part k mod 5 of these."""


@dataclass(frozen=True)
class WebFace:
    """One image.

    Attributes:
        subject: which avatar.
        part: "train", "validation" or "test".
        label: the sets' own spelling of the expression ("happy").
        image: uint8 (size, size), gray.
    """

    identity: int
    part: str
    label: str
    image: np.ndarray


def faces(
    identities: Sequence[int], size: int, seed: int, progress: Progress | None = None
) -> Iterator[WebFace]:
    """Each subject in seven expressions, each of which was taken somewhere else, as web images are."""
    for done, who in enumerate(identities, 1):
        specs = [
            AvatarSpec(who, expression=expression, take=take)
            for take, expression in enumerate(CLASSES.values())
        ]
        batch = render(specs, size, seed=seed)
        for label, image in zip(CLASSES, batch.images, strict=True):
            yield WebFace(who, PARTS[who % len(PARTS)], label, gray(image))
        if progress is not None:
            progress(done * len(specs), len(identities) * len(specs), "drawing small faces")


def gray(image: np.ndarray) -> np.ndarray:
    """Luma (ITU-R 601): uint8 (H, W)."""
    from PIL import Image

    return np.array(Image.fromarray(image).convert("L"))


def through_jpeg(image: np.ndarray) -> np.ndarray:
    """A gray image after it was saved again with `COPY_QUALITY`."""
    from PIL import Image

    return np.array(Image.open(io.BytesIO(jpeg(image, COPY_QUALITY))))
