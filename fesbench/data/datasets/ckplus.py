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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.datasets.base import Count, DatasetAdapter, Facts, Item, Skipped
from fesbench.data.datasets.ck48 import recognized
from fesbench.data.datasets.ckplus_files import Files, read_landmarks, scan
from fesbench.data.datasets.ckplus_labels import Labels, read_labels
from fesbench.data.datasets.clips import CLIPS, Clip, ends, frames_between, naming, settled
from fesbench.data.datasets.listing import ListedImage, ListedPlan, counts, unknown
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


@dataclass
class CkPlusPlan(ListedPlan):
    """The frames of one copy, in the order of subjects, sequences and time.

    Attributes:
        digest: of the files found and the options.
        points: each frame's landmarks file, None where there is none.
    """

    digest: str = ""
    points: Sequence[Path | None] = ()

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the files found and the options."""
        return self.digest

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read frames; an unreadable image or landmarks file is skipped with its reason."""
        found = super().read(start, stop)
        for k, path in enumerate(self.points[start:stop]):
            entry = found[k]
            if path is not None and isinstance(entry, Item):
                try:
                    found[k] = replace(entry, landmarks=read_landmarks(path))
                except DataError as error:
                    found[k] = Skipped(str(entry.row["image"]), str(error))
        return found


class CkPlusAdapter(DatasetAdapter):
    """See the module's text. Options: ``frames`` (of each group, 3); ``landmarks``: "files" (CK+'s own,
    dlib's where a file is missing) or "dlib" (dlib's for every frame); ``clips``: the frames between as well,
    at intensities that rise evenly over time (false).
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
    allowed = {"frames": 1, "landmarks": ("files", "dlib")}  # noqa: RUF012 - read only
    defaults = {"frames": 3, "landmarks": "files", "clips": False}  # noqa: RUF012 - read only

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `DatasetAdapter.check_options`; ``clips`` is left out where it is false."""
        return settled(super().check_options(options))

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
            if told := recognized(files.odd):
                raise DataError(f"{source} does not hold CK+ as its owner distributes it: {told}")
            odd = f" (found instead, for example: {', '.join(files.odd[:3])})" if files.odd else ""
            raise DataError(f"{source} holds no image of CK+{odd}.\n{self.help()}")
        labels = read_labels(files)
        if not labels.expression:
            raise DataError(
                f"{source} holds images of CK+ and not one readable emotion label; give the folder with "
                f"both the image and the Emotion folders.\nExpected layout:\n{self.layout}"
            )
        return _plan(files, labels, options)


ADAPTER = CkPlusAdapter()


def _plan(files: Files, labels: Labels, options: Mapping[str, Any]) -> CkPlusPlan:
    digest = f"{files.fingerprint()}:{json.dumps(dict(options), sort_keys=True)}"
    images, points, skipped = _frames(files, labels, options)
    found = _counts(files, labels)
    notes = [*_partial(found), *labels.notes, *skipped]
    if lacking := points.count(None):
        notes.append(
            f"{lacking} of {len(images)} frames are without a landmarks file; dlib's predictor finds theirs"
        )
    facts = Facts(found, tuple(notes), unknown([*files.odd, *labels.odd]))
    return CkPlusPlan(images, options, facts, (), hashlib.sha256(digest.encode()).hexdigest(), points)


def _frames(
    files: Files, labels: Labels, options: Mapping[str, Any]
) -> tuple[list[ListedImage], list[Path | None], list[str]]:
    """The frames to read, their landmarks files, and sentences on the sequences that give fewer."""
    images: list[ListedImage] = []
    points: list[Path | None] = []
    no_onset, no_peak, short = [], [], []
    frames, nothing = options["frames"], np.zeros(len(ACTION_UNITS), np.float32)
    for key, paths in sorted(files.kinds["image"].items()):
        name, expression = "_".join(key), labels.expression.get(key, "")
        # the manifest's name, whatever the outer folders are called
        named = {n: (f"{key[0]}/{key[1]}/{name}_{n:08d}.png", path) for n, path in paths.items()}
        clip = Clip(name, key[0], expression, named)
        neutral, peak = ends(clip.numbers, frames) if expression else (clip.numbers[:frames], [])
        if expression and len(paths) < 2 * frames:
            short.append(clip)
        if clip.numbers[0] != 1:
            no_onset.append(clip)
            # nothing of it is neutral, so that nothing of the peak has to be given up for that
            neutral, peak = [], clip.numbers[-frames:] if expression else []
        if expression and labels.frame[key] != clip.numbers[-1]:
            no_peak.append(clip)
            peak = []
        between = frames_between(clip.numbers, neutral, peak) if options.get(CLIPS) else []
        images += clip.rows(neutral, peak, (nothing, labels.action_units.get(key)), between)
        given = files.of("landmarks", key) if options["landmarks"] == "files" else {}
        points += [given.get(number) for number in (*neutral, *peak, *between)]
    notes = [
        *naming(no_onset, "lack frame 00000001 and give no neutral frames", ""),
        *naming(
            no_peak, "do not end at their labelled frame (an incomplete copy) and give no peak frames", ""
        ),
        *naming(short, "are too short for the frames asked for and are divided in the middle", ""),
    ]
    return images, points, notes


def _partial(tally: tuple[Count, ...]) -> list[str]:
    found = {count.what: count for count in tally}
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
    return counts(found, ADAPTER.expected)
