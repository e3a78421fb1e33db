"""Writing avatars out exactly as CK+ is laid out, traps included, so that its adapter can be tried.

The traps: sequences without a label (and their empty folders), gray and color frames of different sizes,
burnt-in time codes, ``.DS_Store`` files, action units coded without an intensity, numbering with gaps, and
the two generations of outer folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fesbench.data.datasets.ckplus_files import CODES
from fesbench.data.datasets.sequences import ONSET, PEAK, Sequence, intensities, sequences_of
from fesbench.data.images import write_png
from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes
from fesbench.vocabulary import ACTION_UNITS

FOLDERS: dict[str, dict[str, str]] = {
    "plain": {
        "image": "cohn-kanade-images",
        "emotion": "Emotion",
        "facs": "FACS",
        "landmarks": "Landmarks",
    },
    "nested": {
        "image": "extended-cohn-kanade-images/cohn-kanade-images",
        "emotion": "Emotion_labels/Emotion",
        "facs": "FACS_labels/FACS",
        "landmarks": "Landmarks/Landmarks",
    },
}
"""How the archives come to lie, depending on how they were unpacked."""

GENERATIONS = tuple(FOLDERS)
IDENTITIES = 123

GRAY_FRAME, COLOR_FRAME = (640, 490), (640, 480)
"""Width and height."""

_LAST = (160, 501, 502, 503, 504, 505, 506, 895, 999)
_FIRST = tuple(n for n in range(5, 160) if n % 4)
_SHARE_WITHOUT_INTENSITY = 4
_PRESENT = 0.1


def identity_names(count: int) -> tuple[str, ...]:
    """Names for subjects, with the gaps and jumps of CK+'s numbering: "S005", ... "S160", "S501", ... "S999".

    Raises:
        DataError: more subjects than CK+ has (123).
    """
    most = len(_LAST) + 114
    if not 1 <= count <= most:
        raise DataError(f"a folder like CK+ holds 1 to {most} subjects, not {count}")
    late = min(len(_LAST), count // 4)
    numbers = (*_FIRST[: count - late], *_LAST[:late])
    return tuple(f"S{number:03d}" for number in numbers)


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    first_identity: int = 0,
    frames: int = 10,
    size: int = 256,
    seed: int = 0,
    generation: str | None = None,
    landmarks: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in CK+'s layout.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 1 to 123.
        first_identity: the avatar that becomes the first of them.
        frames: frames a sequence, 6 or more.
        size: side of the rendered square in pixels, 64 to 480; it is set into a 640 x 490 frame.
        seed: of the avatar family.
        generation: which outer folders.
        landmarks: whether to write the landmarks files.
        progress: called with (done, total, what) after each sequence.

    Returns:
        ``out``, to be given to ``fesbench data prepare ck+ --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    names = identity_names(identities)
    if frames < len(ONSET) + len(PEAK):
        raise DataError(f"a sequence needs {len(ONSET) + len(PEAK)} frames or more, not {frames}")
    if not 64 <= size <= COLOR_FRAME[1]:
        raise DataError(f"faces in a folder like CK+ must be 64 to {COLOR_FRAME[1]} pixels wide, not {size}")
    generation = generation or GENERATIONS[0]
    if generation not in FOLDERS:
        raise DataError(f"generation must be one of {', '.join(FOLDERS)}, not '{generation}'")
    out = empty_folder(out)
    roots = {kind: out / name for kind, name in FOLDERS[generation].items()}
    total = sum(len(sequences_of(first_identity + k)) for k in range(identities))
    done = 0
    for k, name in enumerate(names):
        for sequence in sequences_of(first_identity + k):
            writer = _SequenceWriter(roots, name, sequence, color=k % 4 == 3)
            writer.write(first_identity + k, frames, size, seed, landmarks)
            done += 1
            if progress is not None:
                progress(done, total, "writing CK+ sequences")
    for folder in (roots["image"], roots["image"] / names[0], roots["emotion"]):
        atomic_write_bytes(folder / ".DS_Store", b"\0\0\0\1Bud1")
    return out


class _SequenceWriter:
    """Writes one sequence: frames, landmarks, and the two label files."""

    def __init__(self, roots: dict[str, Path], identity: str, sequence: Sequence, *, color: bool) -> None:
        self.identity, self.sequence, self.color = identity, sequence, color
        self.folders = {kind: root / identity / f"{sequence.number:03d}" for kind, root in roots.items()}

    def write(self, identity: int, frames: int, face: int, seed: int, landmarks: bool) -> None:
        from fesbench.data.avatars.rendering import AvatarSpec, render

        levels = intensities(frames)
        specs = [
            AvatarSpec(
                identity, expression=self.sequence.expression, intensity=level, take=self.sequence.take
            )
            for level in levels
        ]
        batch = render(specs, face, seed=seed)
        width, height = COLOR_FRAME if self.color else GRAY_FRAME
        left, top = (width - face) // 2, (height - face) // 2
        for k in range(frames):
            frame = _frame(batch.images[k], (width, height), (left, top), k, color=self.color)
            write_png(self._path("image", k + 1, ".png"), frame)
            if landmarks:
                points = batch.landmarks[k].astype(np.float64) + np.array((left, top))
                self._text("landmarks", k + 1, [tuple(point) for point in points])
        self._text("facs", frames, list(_codes(batch.action_units[-1])))
        # an unlabelled sequence keeps its folder, without a file
        self.folders["emotion"].mkdir(parents=True, exist_ok=True)
        if self.sequence.labelled:
            self._text("emotion", frames, [(float(CODES.index(self.sequence.expression)),)])

    def _path(self, kind: str, frame: int, ending: str) -> Path:
        return self.folders[kind] / f"{self.identity}_{self.sequence.number:03d}_{frame:08d}{ending}"

    def _text(self, kind: str, frame: int, lines: list[tuple[float, ...]]) -> None:
        text = "".join("".join(f"   {value:.7e}" for value in line) + "\n" for line in lines)
        atomic_write_bytes(self._path(kind, frame, f"_{kind}.txt"), text.encode("ascii"))


def _codes(units: np.ndarray) -> Iterator[tuple[float, float]]:
    """FACS lines of an action-unit vector; every fourth unit is coded without an intensity, as in CK+."""
    present = [column for column, value in enumerate(units) if value >= _PRESENT]
    for k, column in enumerate(present):
        unknown = k % _SHARE_WITHOUT_INTENSITY == _SHARE_WITHOUT_INTENSITY - 1
        yield ACTION_UNITS[column], 0.0 if unknown else float(np.clip(np.rint(units[column] * 5), 1, 5))


def _frame(
    face: np.ndarray, size: tuple[int, int], corner: tuple[int, int], count: int, *, color: bool
) -> np.ndarray:
    """Set a face into a camera frame with a time code: uint8 (H, W, 3), or (H, W) gray."""
    from PIL import Image, ImageDraw

    (width, height), (left, top) = size, corner
    right, below = width - left - face.shape[1], height - top - face.shape[0]
    wide = np.pad(face, ((0, below), (left, right), (0, 0)), mode="edge")
    # the crop cuts the hair; above it the wall goes on
    wall = np.broadcast_to(wide[0, 0], (top, width, 3))
    image = Image.fromarray(np.concatenate([wall, wide]))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width - 110, height - 24, width - 10, height - 8), fill="black")
    draw.text((width - 104, height - 22), f"00:01:02:{count:02d}", fill="white")
    return np.asarray(image if color else image.convert("L"))
