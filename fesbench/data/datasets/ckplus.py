"""CK+ (extended Cohn-Kanade): 593 sequences of 123 subjects, from neutral to the peak, where they stop.

What the rows are:

- *neutral*: the first three frames of every sequence (also of unlabelled ones), intensity 0, all action units
  0. A sequence whose frame 00000001 is missing gives none: what comes first there is no longer neutral.
- *peak*: the last three frames of a labelled sequence, intensity 1, with the action units that are coded for
  the last one. A sequence whose labelled frame is missing gives none, for the same reason.
- a sequence of fewer than six frames is divided in the middle, so that no frame is both.

An unlabelled sequence gives no peak: its last frame shows something, but no prototype.
Identity "S005", sequence "S005_001", take 0 to 2 within each group, in the order of time.

Every image is marked as not publishable. A few subjects consented to publication, but the list is in the
consent document of the distribution and could not be verified; a report may show a CK+ face only after
whoever holds the data has looked it up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.datasets.base import (
    Count,
    DatasetAdapter,
    Facts,
    Item,
    Plan,
    Skipped,
    Unknown,
    whole_number,
)
from fesbench.data.datasets.ckplus_files import Files, Key, read_landmarks, scan
from fesbench.data.datasets.ckplus_labels import Labels, read_labels
from fesbench.data.images import load_image
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS

LABELLED = {
    "anger": 45,
    "contempt": 18,
    "disgust": 59,
    "fear": 25,
    "happiness": 69,
    "sadness": 28,
    "surprise": 83,
}
IDENTITIES, SEQUENCES, IDENTITIES_WITH_A_LABEL = 123, 593, 118


@dataclass(frozen=True)
class Frame:
    """One frame to read."""

    key: Key
    number: int
    take: int
    expression: str
    image: Path
    landmarks: Path | None
    action_units: np.ndarray | None

    @property
    def name(self) -> str:
        """The manifest's name, whatever the outer folders are called."""
        identity, sequence = self.key
        return f"{identity}/{sequence}/{identity}_{sequence}_{self.number:08d}.png"

    @property
    def row(self) -> dict[str, Any]:
        """The manifest's columns, but for the file's hash."""
        identity, sequence = self.key
        return {
            "image": self.name,
            "identity": identity,
            "expression": self.expression,
            "intensity": 0.0 if self.expression == "neutral" else 1.0,
            "sequence": f"{identity}_{sequence}",
            "frame": self.number,
            "take": self.take,
            "pose": "frontal",
            "publishable": False,
        }


class CkPlusPlan(Plan):
    """The frames of one copy, in the order of subjects, sequences and time."""

    def __init__(self, files: Files, labels: Labels, options: Mapping[str, Any]) -> None:
        self.frames, skipped = _frames(files, labels, options)
        self._fingerprint = hashlib.sha256(
            f"{files.fingerprint()}:{json.dumps(dict(options), sort_keys=True)}".encode()
        ).hexdigest()
        given = sum(frame.landmarks is not None for frame in self.frames)
        counts = _counts(files, labels)
        notes = [*_partial(counts), *labels.notes, *skipped]
        if given < len(self.frames):
            notes.append(
                f"{len(self.frames) - given} of {len(self.frames)} frames are without a landmarks file; "
                "dlib's predictor finds theirs"
            )
        odd = sorted([*files.odd, *labels.odd])
        self.facts = Facts(counts, tuple(notes), Unknown(len(odd), tuple(odd[:10])))

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the files found and the options."""
        return self._fingerprint

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read frames; an unreadable image or landmarks file is skipped with its reason."""
        found: list[Item | Skipped] = []
        for frame in self.frames[start:stop]:
            try:
                image, sha256 = load_image(frame.image)
                landmarks = None if frame.landmarks is None else read_landmarks(frame.landmarks)
            except DataError as error:
                found.append(Skipped(frame.name, str(error)))
                continue
            found.append(Item(image, {**frame.row, "sha256": sha256}, landmarks, frame.action_units))
        return found


class CkPlusAdapter(DatasetAdapter):
    """See the module's text. Options: ``frames`` (of each group, 3); ``landmarks``: "files" (CK+'s own,
    dlib's where a file is missing) or "dlib" (dlib's for every frame).
    """

    name = "ck+"
    title = (
        "CK+, the extended Cohn-Kanade data set: 593 sequences, 123 subjects, 327 with one of seven emotions"
    )
    access = (
        "It is free for non-commercial research and cannot be downloaded without a signed agreement: ask the "
        "Affect Analysis Group of the University of Pittsburgh (Jeffrey Cohn)"
    )
    license = "signed agreement, non-commercial research; images of few subjects may be published"
    citation = (
        "Lucey, Cohn, Kanade, Saragih, Ambadar, Matthews. The Extended Cohn-Kanade Dataset (CK+): A complete "
        "dataset for action unit and emotion-specified expression. CVPR Workshops, 2010"
    )
    homepage = "http://www.jeffcohn.net/Resources/"
    layout = """  DIR/cohn-kanade-images/S005/001/S005_001_00000011.png
  DIR/Emotion/S005/001/S005_001_00000011_emotion.txt        (327 of 593 sequences)
  DIR/FACS/S005/001/S005_001_00000011_facs.txt
  DIR/Landmarks/S005/001/S005_001_00000011_landmarks.txt    (without them dlib finds landmarks)
The outer folders may have any names (Emotion_labels/Emotion, extended-cohn-kanade-images/... and so on)."""
    needs_source = True
    serves = "sequences, seven labels, action units, landmarks"
    expected = {  # noqa: RUF012 - read only
        "subjects": IDENTITIES,
        "sequences": SEQUENCES,
        "subjects with a label": IDENTITIES_WITH_A_LABEL,
        "labelled sequences": sum(LABELLED.values()),
        **{f"labelled {name}": count for name, count in LABELLED.items()},
        "sequences with FACS codes": SEQUENCES,
        "sequences with landmarks": SEQUENCES,
    }
    defaults = {"frames": 3, "landmarks": "files"}  # noqa: RUF012 - read only

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options.

        Raises:
            UnknownNameError: an unknown option.
            DataError: a value that makes no sense.
        """
        known = super().check_options(options)
        whole_number("frames", known["frames"], 1)
        if known["landmarks"] not in ("files", "dlib"):
            raise DataError(f"option 'landmarks' must be 'files' or 'dlib', found {known['landmarks']!r}")
        return known

    def absent(self) -> str:
        """What to tell somebody who asks for CK+ and has not given it."""
        return (
            f"{super().absent()}\n"
            "Without one, the same rules on the embedded faces: fesbench run --protocol ck+ --data avatars"
        )

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> CkPlusPlan:
        """The frames of the copy at ``source``; ``size`` plays no part in what is read.

        Raises:
            DataError: no folder, no image of CK+ in it, or not one emotion label.
        """
        if source is None:
            raise DataError(self.absent())
        files = scan(source)
        if not files.kinds["image"]:
            odd = f" (found instead, for example: {', '.join(files.odd[:3])})" if files.odd else ""
            raise DataError(f"{source} holds no image of CK+{odd}.\n{self.help()}")
        labels = read_labels(files)
        if not labels.expression:
            raise DataError(
                f"{source} holds images of CK+ and not one readable emotion label; give the folder with "
                f"both the image and the Emotion folders.\nExpected layout:\n{self.layout}"
            )
        return CkPlusPlan(files, labels, options)


ADAPTER = CkPlusAdapter()


def _frames(files: Files, labels: Labels, options: Mapping[str, Any]) -> tuple[list[Frame], list[str]]:
    """The frames to read, and sentences on the sequences that give fewer."""
    frames: list[Frame] = []
    no_onset, no_peak, short = [], [], []
    nothing = np.zeros(len(ACTION_UNITS), np.float32)
    for key, images in sorted(files.kinds["image"].items()):
        name, numbers = "_".join(key), list(images)
        expression = labels.expression.get(key)
        if expression and len(numbers) < 2 * options["frames"]:
            short.append(name)
        half = len(numbers) // 2 if expression else len(numbers)
        groups: list[tuple[str, list[int], np.ndarray | None]] = []
        if numbers[0] == 1:
            groups.append(("neutral", numbers[: min(options["frames"], half)], nothing))
        else:
            no_onset.append(name)
        if expression and labels.frame[key] != numbers[-1]:
            no_peak.append(name)
        elif expression:
            peak = numbers[-min(options["frames"], len(numbers) - half) :]
            groups.append((expression, peak, labels.action_units.get(key)))
        for label, chosen, units in groups:
            for take, number in enumerate(chosen):
                points = files.of("landmarks", key).get(number) if options["landmarks"] == "files" else None
                frames.append(Frame(key, number, take, label, images[number], points, units))
    return frames, [
        f"{len(names)} sequences {what}: {', '.join(names[:10])}"
        for names, what in (
            (no_onset, "lack frame 00000001 and give no neutral frames"),
            (no_peak, "do not end at their labelled frame (an incomplete copy) and give no peak frames"),
            (short, "are too short for the frames asked for and are divided in the middle"),
        )
        if names
    ]


def _partial(counts: tuple[Count, ...]) -> list[str]:
    found = {count.what: count for count in counts}
    sequences, labelled = found["sequences"], found["labelled sequences"]
    if not (sequences.missing or labelled.missing):
        return []
    return [
        f"this copy is partial: {sequences.found} of {sequences.expected} sequences, {labelled.found} of "
        f"{labelled.expected} labelled; it is used as it is, and its scores are not those of the whole CK+"
    ]


def _counts(files: Files, labels: Labels) -> tuple[Count, ...]:
    images = files.kinds["image"]
    labelled = [labels.expression[key] for key in images if key in labels.expression]
    found = {
        "subjects": len({identity for identity, _ in images}),
        "sequences": len(images),
        "subjects with a label": len({key[0] for key in images if key in labels.expression}),
        "labelled sequences": len(labelled),
        **{f"labelled {name}": labelled.count(name) for name in LABELLED},
        "sequences with FACS codes": sum(key in labels.action_units for key in images),
        "sequences with landmarks": sum(key in files.kinds["landmarks"] for key in images),
    }
    return tuple(Count(what, found[what], expected) for what, expected in ADAPTER.expected.items())
