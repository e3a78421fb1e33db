"""Writing avatars out as Oulu-CASIA NIR&VIS is laid out, so that its adapter can be tried.

The traps: the two cameras' folders with the same names inside, weak and dark light (nearly black for the
visible camera), sequences of different lengths without a neutral class, ``.DS_Store`` files, three
generations of outer folders, and cropped versions of the images beside the original ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fesbench.data.datasets.oulu_casia import EXPRESSIONS, LIGHTS, MODALITIES
from fesbench.data.datasets.oulu_casia import IDENTITIES as MOST
from fesbench.data.datasets.sequences import ONSET, PEAK, intensities
from fesbench.data.layouts.images import check, in_frame, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_label

FOLDERS = {
    "plain": "OriginalImg",
    "archive": "B_OriginalImg/B_OriginalImg/OriginalImg",
    "kaggle": "Oulu_CASIA_NIR_VIS",
}
CROPPED = "B_PreprocessImg/PreprocessImg"
"""Where the cropped versions lie beside "archive"; the name is from memory."""

GENERATIONS = tuple(FOLDERS)
IDENTITIES = 20

FRAME = (320, 240)
"""Width and height."""

_BRIGHTNESS = {"Strong": 1.0, "Weak": 0.25, "Dark": 0.04}


def identity_names(count: int) -> tuple[str, ...]:
    """Names for subjects, drawn from all three subsets of the usual split, so that a small folder serves it:
    "P001", "P073", "P065", "P002", ...

    Raises:
        DataError: more subjects than Oulu-CASIA has (80).
    """
    if not 1 <= count <= MOST:
        raise DataError(f"a folder of this layout holds 1 to {MOST} subjects, not {count}")
    numbers = [n for k in range(8) for n in (3 * k + 1, 73 + k, 65 + k, 3 * k + 2, 3 * k + 3)]
    return tuple(f"P{number:03d}" for number in (*numbers, *range(25, 65)))[:count]


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    frames: int = 8,
    size: int = 200,
    seed: int = 0,
    generation: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in Oulu-CASIA's layout: six sequences a subject, for each camera and light.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 1 to 80.
        frames: of the shortest sequences, 6 or more; others have one or two more.
        size: side of the rendered square in pixels, 64 to 240; it is set into a 320 x 240 frame.
        seed: of the avatar family.
        generation: which outer folders.
        progress: called with (done, total, what) after each sequence of images.

    Returns:
        ``out``, to be given to ``fesbench data prepare oulu-casia --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = check(size, 64, FRAME[1], generation, GENERATIONS)
    names = identity_names(identities)
    if frames < len(ONSET) + len(PEAK):
        raise DataError(f"a sequence needs {len(ONSET) + len(PEAK)} frames or more, not {frames}")
    out = empty_folder(out)
    root = out / FOLDERS[generation]
    for k, who in enumerate(names):
        for take, label in enumerate(EXPRESSIONS):
            images = _sequence(k, label, take, frames + (k + take) % 3, size, seed)
            _write_sequence(root, f"{who}/{label}", images)
            if generation == "archive" and k == 0:
                _write_cropped(out / CROPPED / "VL" / "Strong" / who / label, images)
            if progress is not None:
                done = k * len(EXPRESSIONS) + take + 1
                progress(done, identities * len(EXPRESSIONS), "writing Oulu-CASIA sequences")
    write_junk(root, root / "VL", root / "NI" / "Dark" / "P001")
    return out


def _sequence(identity: int, label: str, take: int, frames: int, size: int, seed: int) -> np.ndarray:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    expression = canonical_label(label)
    specs = [
        AvatarSpec(identity, expression=expression, intensity=level, take=take)
        for level in intensities(frames)
    ]
    return render(specs, size, seed=seed).images


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
