"""Writing avatars out as MMAFEDB lies on subjects' disks, with FER-2013's images in it.

A third of the subjects are those of the layout of FER-2013, in the same parts and images, as the real set
almost certainly has them: every second of these files is FER-2013's to the byte, the others are saved again
in color with JPEG quality 75. Further traps: a training image again in the test part, to the byte; a black
image; a file name with blanks and brackets; a truncated JPEG; an empty file; a file that is no image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.layouts import Progress
from fesbench.data.layouts.plain import empty_folder
from fesbench.data.layouts.web_faces import COPY_QUALITY, SIZE, check_request, faces, jpeg
from fesbench.files import atomic_write_bytes

GENERATIONS = ("plain", "bare")
IDENTITIES = 45

FIRST_OWN = 1000
"""The avatars from here on are in MMAFEDB alone."""

_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    size: int = SIZE,
    seed: int = 0,
    generation: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write each subject in seven expressions.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 15 or more; the first third are those of FER-2013's layout.
        size: side of the images in pixels.
        seed: of the avatar family.
        generation: "plain" (below a folder MMAFEDB) or "bare" (train, valid and test in ``out``).
        progress: called with (done, total, what) after each subject.

    Returns:
        ``out``, to be given to ``fesbench data prepare mmafedb --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = generation or GENERATIONS[0]
    check_request(identities, size, 15, generation, GENERATIONS)
    root = empty_folder(out) / ("MMAFEDB" if generation == "plain" else ".")
    shared = identities // 3
    avatars = [*range(shared), *range(FIRST_OWN, FIRST_OWN + identities - shared)]
    images = list(faces(avatars, size, seed, progress))
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
    return out


def _saved_again(image: np.ndarray) -> bytes:
    """In color, as the real set has FER-2013's images, and smaller."""
    return jpeg(np.repeat(image[..., None], 3, axis=2), COPY_QUALITY)
