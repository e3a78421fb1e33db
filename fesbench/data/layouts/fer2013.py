"""Writing avatars out as FER-2013 lies on users' disks: the table, two Kaggle copies, FER+'s export.

The traps, in every form: a training image again in a test part, once to the byte and once saved again as
JPEG of quality 75; an image that is black all over. In the table: a line with a pixel too few, a line with
emotion 7, a blank line. In the folders: a truncated JPEG, a file name with blanks and brackets, a file that
is no image. In FER+: images without a majority, with a vote for "not a face" or without a line in the
table, and a line without a file name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fesbench.data.datasets.fer2013_csv import CODES, USAGES
from fesbench.data.datasets.web_faces import CLASSES
from fesbench.data.images import write_png
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.jpeg import jpeg
from fesbench.data.layouts.web_faces import MIXED, SIZE, WebFace, faces, through_jpeg
from fesbench.files import atomic_write_bytes

_USAGE = {part: usage for usage, part in USAGES.items()}
_VOTES = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "NF")
"""The table's columns of votes, in the spelling of `CLASSES`."""


@laid(identities=40, least=5, why=MIXED, size=SIZE, generations=("csv", "folder", "images", "fer+"))
def write(asked: Request) -> None:
    """Each subject in seven expressions; the form "csv" has 48 pixels and nothing else."""
    out, generation = asked.folder(), asked.generation
    size = SIZE if generation == "csv" else asked.size
    images = list(faces(range(asked.identities), size, asked.seed, asked.progress))
    images.sort(key=lambda face: list(_USAGE).index(face.part))
    images += _planted(images)
    if generation == "csv":
        _write_csv(out / "fer2013.csv", images)
    elif generation == "fer+":
        _write_votes(out, images)
    else:
        _write_folders(out if generation == "folder" else out / "images", generation, images)


def _planted(images: list[WebFace]) -> list[WebFace]:
    """A copy to the byte, a copy saved again, and a black image, all in the test part."""
    first, second = images[0], images[1]
    return [
        WebFace(first.identity, "test", first.label, first.image),
        WebFace(second.identity, "test", second.label, through_jpeg(second.image)),
        WebFace(first.identity, "test", "surprise", np.zeros_like(first.image)),
    ]


def _write_csv(path: Path, images: list[WebFace]) -> None:
    lines = ["emotion,pixels,Usage"]
    for face in images:
        pixels = " ".join(str(value) for value in face.image.reshape(-1))
        lines.append(f"{CODES.index(CLASSES[face.label])},{pixels},{_USAGE[face.part]}")
    whole = images[0].image.reshape(-1)
    few, all_ = (" ".join(str(value) for value in values) for values in (whole[:-1], whole))
    lines += ["", f"0,{few},PrivateTest", f"7,{all_},PrivateTest"]
    atomic_write_bytes(path, ("\n".join(lines) + "\n").encode())


def _write_folders(out: Path, generation: str, images: list[WebFace]) -> None:
    second = {"folder": "test", "images": "validation"}[generation]
    for k, face in enumerate(images):
        part = "train" if face.part == "train" else second
        # the copy to the byte has its own name, as copies have
        name = f"{_USAGE[face.part]}_{1000 + k}.jpg"
        atomic_write_bytes(out / part / face.label / name, jpeg(face.image))
    whole = jpeg(images[0].image)
    for name, content in (
        (f"train/{images[0].label}/Training_0.jpg", whole[: len(whole) // 2]),
        ("train/happy/Copy of Training (1).jpg", jpeg(255 - images[2].image)),
        ("train/happy/Thumbs.db", b"\0"),
        ("train/happy/list.csv", b"name\n"),
    ):
        atomic_write_bytes(out / name, content)


def _write_votes(out: Path, images: list[WebFace]) -> None:
    text = io.StringIO()
    text.write("Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n")
    folders = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
    for k, face in enumerate(images):
        name = f"fer{k:07d}.png"
        write_png(out / folders[face.part] / name, face.image)
        votes = ",".join(str(count) for count in _votes(face.label, k))
        text.write(f"{_USAGE[face.part]},{name},{votes}\n")
    text.write("Training,,0,0,0,0,0,0,0,0,0,10\n")
    atomic_write_bytes(out / "fer2013new.csv", text.getvalue().encode())
    for folder in folders.values():
        atomic_write_bytes(out / folder / "label.csv", b'fer0000000.png,"(0, 0, 48, 48)",8\n')
    write_png(out / folders["train"] / "fer0099999.png", images[2].image)


def _votes(label: str, k: int) -> Iterator[int]:
    """Ten votes: 8 of them for the label; every seventh image 5 to 5, every tenth with one "not a face"."""
    votes = dict.fromkeys(_VOTES, 0)
    other = "contempt" if label != "contempt" else "neutral"
    votes[label], votes[other] = (5, 5) if k % 7 == 6 else (8, 2)
    if k % 10 == 9:
        votes[label], votes["NF"] = votes[label] - 1, 1
    yield from votes.values()
