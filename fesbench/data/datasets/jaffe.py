"""JAFFE: seven expressions of ten Japanese women, two to five takes of each, as gray palette TIFFs.

A file's name says it all: KA.AN1.39.tiff = subject (KA), expression (AN, DI, FE, HA, NE, SA, SU) and its take
(from 1), running number (1 to 219). What the rows are:

- identity "KA"; take = the one of the name less 1, so that every subject has takes 0 and 1 of all seven
  expressions but takes 1 of disgust of KM and NM (their files jump from DI1 to DI3).
- The running number plays no part; six of the 219 were never distributed, which leaves 213.

The images are read through their palettes. Copies that somebody converted (KA.AN1.39.jpg) are not read,
because their pixels are no longer the owner's; a note says so, as of names that are nearly right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fesbench.data.datasets.listing import Found, ListedImage, incomplete
from fesbench.data.datasets.named import Chosen, NamedImages
from fesbench.data.datasets.user_files import is_image
from fesbench.errors import DataError

SUBJECTS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
"""The codes of the names; FE is fear here, where other sets write AF."""

_NAME = rf"(?P<identity>{'|'.join(SUBJECTS)})\.(?P<code>{'|'.join(CODES)})(?P<take>[1-9])\.\d{{1,3}}"
_CONVERTED = re.compile(rf"{_NAME}\..*", re.IGNORECASE)
_NAMED = 3


class JaffeAdapter(NamedImages):
    """See the module's text. It has no options."""

    name = "jaffe"
    title = "JAFFE, Japanese Female Facial Expression: seven expressions of ten subjects, several takes, gray"
    access = (
        "It is free for non-commercial scientific research; access is asked for at Zenodo, where the owners' "
        "instructions for a request stand"
    )
    license = "non-commercial scientific research on the owners' terms, the source cited"
    citation = (
        "Lyons, Akamatsu, Kamachi, Gyoba. Coding facial expressions with Gabor wavelets. IEEE International "
        "Conference on Automatic Face and Gesture Recognition, 1998"
    )
    homepage = "https://zenodo.org/record/3451524"
    layout = """  DIR/jaffe/KA.AN1.39.tiff    subject, expression and take, running number
The files may lie in folders of any names, or in none."""
    serves = "seven labels, several takes"
    expected = {  # noqa: RUF012 - read only
        "subjects": 10,
        "images": 213,
        "neutral": 30,
        "anger": 30,
        "disgust": 29,
        "fear": 32,
        "happiness": 31,
        "sadness": 31,
        "surprise": 30,
    }
    pattern = re.compile(rf"{_NAME}\.tiff?", re.IGNORECASE)

    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """Every image, by subject, expression and take.

        Raises:
            DataError: two files show one take of a subject's expression.
        """
        shown: dict[tuple[str, str, int], Found] = {}
        for file in found:
            identity, code = file.match["identity"].upper(), file.match["code"].upper()
            key = identity, CODES[code], int(file.match["take"]) - 1
            other = shown.setdefault(key, file)
            if other is not file:
                raise DataError(
                    f"{other.path} and {file.path} are both take {key[2] + 1} of {identity}'s {key[1]}; keep "
                    "the one that the owner distributes"
                )
        images = [_listed(key, file) for key, file in sorted(shown.items())]
        tally = Counter(expression for _, expression, _ in shown)
        cells = {(identity, expression) for identity, expression, _ in shown}
        labels = Counter(identity for identity, _ in cells)
        tally.update(images=len(images), subjects=len(labels))
        return Chosen(images, tally, self.expected, incomplete(labels, len(CODES), "expressions"))

    def misnamed(self, odd: Sequence[str]) -> list[str]:
        """Sentences on images whose names are not JAFFE's, and on converted ones, with what to do."""
        pictures = [name for name in odd if is_image(name)]
        converted = [name for name in pictures if _CONVERTED.fullmatch(name.rpartition("/")[2])]
        others = sorted(set(pictures) - set(converted))
        notes = []
        if converted:
            notes.append(
                f"{len(converted)} images are converted copies ({_some(converted)}) and are not read; bring "
                "the owner's TIFF files"
            )
        if others:
            notes.append(
                f"{len(others)} images have no name of JAFFE ({_some(others)}) and are left out; its names "
                "are SUBJECT.EXPRESSIONn.NUMBER.tiff, as KA.AN1.39.tiff, with the subjects "
                f"{' '.join(SUBJECTS)} and the expressions {' '.join(CODES)}: give those files their names "
                "back, or take another folder"
            )
        return notes


ADAPTER = JaffeAdapter()


def _some(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _listed(key: tuple[str, str, int], file: Found) -> ListedImage:
    identity, expression, take = key
    row = {
        "image": file.name,
        "identity": identity,
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "take": take,
        "sex": "female",
        "publishable": False,
    }
    return ListedImage(file.path, row)
