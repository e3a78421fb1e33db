"""Writing avatars out as MMAFEDB lies on users' disks, with FER-2013's images in it.

A third of the subjects are those of the layout of FER-2013, in the same parts and images, as the real set
almost certainly has them: every second of these files is FER-2013's to the byte, the others are saved again
in color with JPEG quality 75. Further traps: a training image again in the test part, to the byte; a black
image; a file name with blanks and brackets; a truncated JPEG; an empty file; a file that is no image.
"""

from __future__ import annotations

import numpy as np

from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.jpeg import jpeg
from fesbench.data.layouts.web_faces import COPY_QUALITY, MIXED, SIZE, faces
from fesbench.files import atomic_write_bytes

FIRST_OWN = 1000
"""The avatars from here on are in MMAFEDB alone."""

_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


@laid(identities=45, least=15, why=MIXED, size=SIZE, generations=("plain", "bare"))
def write(asked: Request) -> None:
    """Each subject in seven expressions; the first third are those of FER-2013's layout.

    Generations: below a folder MMAFEDB, or train, valid and test in the folder itself.
    """
    root = asked.folder() / ("MMAFEDB" if asked.generation == "plain" else ".")
    shared = asked.identities // 3
    avatars = [*range(shared), *range(FIRST_OWN, FIRST_OWN + asked.identities - shared)]
    images = list(faces(avatars, asked.size, asked.seed, asked.progress))
    for k, face in enumerate(images):
        again = face.identity < shared and k % 2 == 1
        content = _saved_again(face.image) if again else jpeg(face.image)
        atomic_write_bytes(root / _FOLDERS[face.part] / face.label / f"im{k}.jpg", content)
    own = next(face for face in images if face.identity >= FIRST_OWN)
    whole = jpeg(own.image)
    for name, content in (
        (f"test/{own.label}/im90001.jpg", whole),
        ("test/surprise/im90002.jpg", jpeg(np.zeros_like(own.image))),
        ("train/happy/Copy of im (1).jpg", jpeg(255 - own.image)),
        ("train/sad/im90003.jpg", whole[: len(whole) // 2]),
        ("valid/fear/im90004.jpg", b""),
        ("valid/fear/Thumbs.db", b"\0"),
        ("valid/fear/list.csv", b"name\n"),
    ):
        atomic_write_bytes(root / name, content)


def _saved_again(image: np.ndarray) -> bytes:
    """In color, as the real set has FER-2013's images, and smaller."""
    return jpeg(np.repeat(image[..., None], 3, axis=2), COPY_QUALITY)
