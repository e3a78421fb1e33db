"""Writing avatars out exactly as CK+ is laid out, traps included, so that its adapter can be tried.

The traps: sequences without a label (and their empty folders), gray and color frames of different sizes,
burnt-in time codes, ``.DS_Store`` files, action units coded without an intensity, numbering with gaps, and
the two generations of outer folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.ckplus_files import CODES
from fesbench.data.datasets.sequences import ONSET, PEAK, Sequence, intensities, sequences_of
from fesbench.data.images import write_png
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import in_frame, write_junk
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

GRAY_FRAME, COLOR_FRAME = (640, 490), (640, 480)
"""Width and height."""

_LAST = (160, 501, 502, 503, 504, 505, 506, 895, 999)
_FIRST = tuple(n for n in range(5, 160) if n % 4)
_SHARE_WITHOUT_INTENSITY = 4
_PRESENT = 0.1


def identity_names(count: int) -> tuple[str, ...]:
    """Names for subjects, with CK+'s gaps and jumps: "S005", ... "S160", "S501", ... "S999"."""
    late = min(len(_LAST), count // 4)
    numbers = (*_FIRST[: count - late], *_LAST[:late])
    return tuple(f"S{number:03d}" for number in numbers)


@laid(identities=123, most=123, size=256, sizes=(64, COLOR_FRAME[1]), generations=tuple(FOLDERS))
def write(asked: Request, *, first_identity: int = 0, frames: int = 10, landmarks: bool = True) -> None:
    """Five sequences a subject; a square face is set into a 640 x 490 frame. Generations: outer folders.

    Args:
        asked: what to write.
        first_identity: the avatar that becomes the first subject.
        frames: frames a sequence, 6 or more.
        landmarks: whether to write the landmarks files.
    """
    names = identity_names(asked.identities)
    if frames < len(ONSET) + len(PEAK):
        raise DataError(f"a sequence needs {len(ONSET) + len(PEAK)} frames or more, not {frames}")
    out = asked.folder()
    roots = {kind: out / name for kind, name in FOLDERS[asked.generation].items()}
    shown = [(k, name, one) for k, name in enumerate(names) for one in sequences_of(first_identity + k)]
    for done, (k, name, sequence) in enumerate(shown, 1):
        writer = _SequenceWriter(roots, name, sequence, color=k % 4 == 3)
        writer.write(first_identity + k, frames, asked.size, asked.seed, landmarks)
        asked.tell(done, len(shown), "writing CK+ sequences")
    write_junk(roots["image"], roots["image"] / names[0], roots["emotion"])


class _SequenceWriter:
    """Writes one sequence: frames, landmarks, and the two label files."""

    def __init__(self, roots: dict[str, Path], identity: str, sequence: Sequence, *, color: bool) -> None:
        self.identity, self.sequence, self.color = identity, sequence, color
        self.folders = {kind: root / identity / f"{sequence.number:03d}" for kind, root in roots.items()}

    def write(self, identity: int, frames: int, face: int, seed: int, landmarks: bool) -> None:
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
            frame = _frame(batch.images[k], width, height, k, color=self.color)
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


def _frame(face: np.ndarray, width: int, height: int, count: int, *, color: bool) -> np.ndarray:
    """Set a face into a camera frame with a time code: uint8 (H, W, 3), or (H, W) gray."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(in_frame(face, width, height))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width - 110, height - 24, width - 10, height - 8), fill="black")
    draw.text((width - 104, height - 22), f"00:01:02:{count:02d}", fill="white")
    return np.asarray(image if color else image.convert("L"))
