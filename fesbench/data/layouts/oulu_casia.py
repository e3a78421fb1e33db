"""Writing avatars out as Oulu-CASIA NIR&VIS is laid out, so that its adapter can be tried.

The traps: the two cameras' folders with the same names inside, weak and dark light (nearly black for the
visible camera), sequences of different lengths without a neutral class, ``.DS_Store`` files, three
generations of outer folders, and cropped versions of the images beside the original ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.oulu_casia import EXPRESSIONS, IDENTITIES, LIGHTS, MODALITIES
from fesbench.data.datasets.sequences import ONSET, PEAK, intensities
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import in_frame, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_label

FOLDERS = {
    "plain": "OriginalImg",
    "archive": "B_OriginalImg/B_OriginalImg/OriginalImg",
    "kaggle": "Oulu_CASIA_NIR_VIS",
}
CROPPED = "B_PreprocessImg/PreprocessImg"
"""Where the cropped versions lie beside "archive"; the name is from memory."""

FRAME = (320, 240)
"""Width and height."""

_BRIGHTNESS = {"Strong": 1.0, "Weak": 0.25, "Dark": 0.04}


def identity_names(count: int) -> tuple[str, ...]:
    """Names for subjects, drawn from all three subsets of the usual split, so that a small folder serves it:
    "P001", "P073", "P065", "P002", ...
    """
    numbers = [n for k in range(8) for n in (3 * k + 1, 73 + k, 65 + k, 3 * k + 2, 3 * k + 3)]
    return tuple(f"P{number:03d}" for number in (*numbers, *range(25, 65)))[:count]


@laid(identities=20, most=IDENTITIES, size=200, sizes=(64, FRAME[1]), generations=tuple(FOLDERS))
def write(asked: Request, *, frames: int = 8) -> None:
    """Six sequences a subject, for each camera and light; a square face is set into a 320 x 240 frame.

    The shortest sequences have ``frames`` (6 or more), others one or two more. Generations: outer folders.
    """
    if frames < len(ONSET) + len(PEAK):
        raise DataError(f"a sequence needs {len(ONSET) + len(PEAK)} frames or more, not {frames}")
    out = asked.folder()
    root = out / FOLDERS[asked.generation]
    total = asked.identities * len(EXPRESSIONS)
    for k, who in enumerate(identity_names(asked.identities)):
        for take, label in enumerate(EXPRESSIONS):
            images = _sequence(k, label, take, frames + (k + take) % 3, asked)
            _write_sequence(root, f"{who}/{label}", images)
            if asked.generation == "archive" and k == 0:
                _write_cropped(out / CROPPED / "VL" / "Strong" / who / label, images)
            asked.tell(k * len(EXPRESSIONS) + take + 1, total, "writing Oulu-CASIA sequences")
    write_junk(root, root / "VL", root / "NI" / "Dark" / "P001")


def _sequence(identity: int, label: str, take: int, frames: int, asked: Request) -> np.ndarray:
    expression = canonical_label(label)
    specs = [
        AvatarSpec(identity, expression=expression, intensity=level, take=take)
        for level in intensities(frames)
    ]
    return render(specs, asked.size, seed=asked.seed).images


def _write_sequence(root: Path, folder: str, images: np.ndarray) -> None:
    for number, image in enumerate(images):
        frame = in_frame(image, *FRAME)
        for camera in MODALITIES:
            for light in LIGHTS:
                taken = _taken(frame, camera, light)
                write_jpeg(root / camera / light / folder / f"{number:03d}.jpeg", taken)


def _taken(frame: np.ndarray, camera: str, light: str) -> np.ndarray:
    """The frame as that camera sees it: the infrared one is gray and hardly minds the light."""
    if camera == "NI":
        near = 0.7 * frame[..., 0] + 0.3 * frame[..., 1]
        return np.repeat(np.rint(near).astype(np.uint8)[..., None], 3, axis=2)
    return np.rint(frame * _BRIGHTNESS[light]).astype(np.uint8)


def _write_cropped(folder: Path, images: np.ndarray) -> None:
    margin = images.shape[1] // 8
    for number, image in enumerate(images):
        write_jpeg(folder / f"{number:03d}.jpeg", image[margin:-margin, margin:-margin])
