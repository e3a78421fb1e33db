"""The images that the layouts of FER-2013 and MMAFEDB share: gray, small, each subject in one part only."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fesbench.data.datasets.web_faces import CLASSES
from fesbench.data.layouts import Progress
from fesbench.errors import DataError

SIZE = 48
USUAL_QUALITY, COPY_QUALITY = 95, 75
"""JPEG qualities: of the sets' files, and of a copy that somebody saved again."""

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


def check_request(identities: int, size: int, least: int, generation: str, known: tuple[str, ...]) -> None:
    """Refuse what cannot be written.

    Raises:
        DataError: too few subjects, a size out of its range, an unknown generation.
    """
    if generation not in known:
        raise DataError(f"generation must be one of {', '.join(known)}, not '{generation}'")
    if identities < least:
        raise DataError(
            f"this layout needs {least} subjects or more, to have some in each part, not {identities}"
        )
    if not 16 <= size <= 1024:
        raise DataError(f"images must be 16 to 1024 pixels wide, not {size}")


def faces(
    identities: Sequence[int], size: int, seed: int, progress: Progress | None = None
) -> Iterator[WebFace]:
    """Each subject in seven expressions, each of which was taken somewhere else, as web images are."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

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


def jpeg(image: np.ndarray, quality: int = USUAL_QUALITY) -> bytes:
    """A JPEG file of a uint8 image, (H, W) or (H, W, 3)."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def through_jpeg(image: np.ndarray) -> np.ndarray:
    """A gray image after it was saved again with `COPY_QUALITY`."""
    from PIL import Image

    return np.array(Image.open(io.BytesIO(jpeg(image, COPY_QUALITY))))
