"""What layouts of image files share: camera frames, views from the side, who plays whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes

_DARKEST = 0.55


def write_junk(*folders: Path) -> None:
    """Leave in each folder what a desktop leaves there.

    Raises:
        DataError: the disk is full or a folder not writable.
    """
    for folder in folders:
        atomic_write_bytes(folder / ".DS_Store", b"\0\0\0\1Bud1")


def in_frame(face: np.ndarray, width: int, height: int) -> np.ndarray:
    """Set a square image into a larger camera frame: the wall goes on above, clothes and wall beside it.

    Args:
        face: uint8 (S, S, 3), S at most ``width`` and ``height``.
        width: of the frame, pixels.
        height: of the frame, pixels.

    Returns:
        uint8 (height, width, 3).
    """
    size = face.shape[0]
    left, top = (width - size) // 2, (height - size) // 2
    wide = np.pad(face, ((0, height - size - top), (left, width - size - left), (0, 0)), mode="edge")
    wall = np.broadcast_to(wide[0, 0], (top, width, 3))
    return np.concatenate([wall, wide])


def seen_from(face: np.ndarray, degrees: int) -> np.ndarray:
    """A stand-in for a camera beside the face: squeezed across, and darker on the far side.

    The avatars have no back and hardly turn. At 45 degrees the result is still a face for dlib, at 90 it is
    none, as with real profiles.

    Args:
        face: uint8 (S, S, 3).
        degrees: -90 to 90; 0 gives the image itself, negative ones darken the left side.

    Returns:
        uint8 (S, S, 3).
    """
    from PIL import Image

    if degrees == 0:
        return face
    size = face.shape[0]
    turn = min(1.0, abs(degrees) / 90)
    narrow = round(size * (1 - 0.75 * turn**2))
    image = Image.fromarray(face).resize((narrow, size), Image.Resampling.LANCZOS)
    left = (size - narrow) // 2
    squeezed = np.pad(np.asarray(image), ((0, 0), (left, size - narrow - left), (0, 0)), mode="edge")
    light = np.linspace(1.0, 1.0 - (1.0 - _DARKEST) * turn, size)
    shade = light if degrees > 0 else light[::-1]
    return np.rint(squeezed * shade[None, :, None]).astype(np.uint8)


def cast(roles: Mapping[str, Sequence[str]], count: int, seed: int) -> list[tuple[int, str]]:
    """Avatars for a data set's subjects, so that the sexes agree.

    Args:
        roles: names of subjects by sex ("female", "male"), in the order in which they are given away.
        count: how many subjects.
        seed: of the avatar family.

    Returns:
        (identity of the avatar, name), in the order of the avatars.

    Raises:
        DataError: more subjects than there are names, or none.
    """
    from fesbench.data.avatars import attributes

    most = sum(map(len, roles.values()))
    if not 1 <= count <= most:
        raise DataError(f"a folder of this layout holds 1 to {most} subjects, not {count}")
    left = {sex: list(names) for sex, names in roles.items()}
    chosen: list[tuple[int, str]] = []
    identity = 0
    while len(chosen) < count:
        names = left[str(attributes(identity, seed=seed)["sex"])]
        if names:
            chosen.append((identity, names.pop(0)))
        identity += 1
    return chosen
