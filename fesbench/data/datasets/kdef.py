"""KDEF, the Karolinska Directed Emotional Faces: seven expressions from five sides, twice, of 70 subjects.

A file's name says it all: AF01AFHL.JPG = session (A, B), sex (F, M), number (01 to 35), expression (AF, AN,
DI, HA, NE, SA, SU), side (S straight, HL and HR half, FL and FR full left and right). What the rows are:

- identity "F01": AF01 and BF01 are one subject in two sessions.
- take = twice the place in the order of sides S, HL, HR, FL, FR, plus 1 in session B: take 0 is straight in
  session A, 1 straight in session B, 2 half left in session A. It does not depend on the options.
- pose = the side as in the name.

Two files of the distribution are misnamed, AF31V and AM31H; they are read as AF31SAHL and AM31SUHR, the two
that are missing there, as public loaders do. The folder AKDEF beside it holds faces that are averages of
many subjects; they have no identity and are left out. At FL and FR (profile) dlib finds no face, and three
public scripts name files that are all black or missing: AF01SUFR AF10AFFR AF11NEHL AF20DIHL AM25DIFL AM34DIFR
BF13NEHR BM21DIFL BM22DIHL BM24DIFL. Such images are counted when they are prepared.

70 subjects and 4900 images (2 x 70 x 7 x 5) are from memory: a copy that has fewer is told so, no more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fesbench.data.datasets.listing import Found, ListedImage, incomplete
from fesbench.data.datasets.named import Chosen, NamedImages, left_out
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_label

SESSIONS = ("A", "B")
SEXES = {"F": "female", "M": "male"}
LABELS = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")
POSES = ("S", "HL", "HR", "FL", "FR")
MISNAMED = {"AF31V": "AF31SAHL", "AM31H": "AM31SUHR"}
"""File names of the distribution that follow no pattern, and what they are read as."""

_EACH = len(SESSIONS) * len(LABELS) * len(POSES)
_IDENTITIES = 70
_CODE = re.compile(
    rf"([{''.join(SESSIONS)}])([{''.join(SEXES)}])(0[1-9]|[12]\d|3[0-5])({'|'.join(LABELS)})({'|'.join(POSES)})"
)


class KdefAdapter(NamedImages):
    """See the module's text. Option: ``poses`` (some of "S", "HL", "HR", "FL", "FR")."""

    name = "kdef"
    title = "KDEF, the Karolinska Directed Emotional Faces: seven expressions from five sides of 70 subjects"
    access = "It is free for non-commercial research after registration with the Karolinska Institutet"
    license = "non-commercial research; images must not be shown in public applications"
    citation = (
        "Lundqvist, Flykt, Öhman. The Karolinska Directed Emotional Faces (KDEF). Department of Clinical "
        "Neuroscience, Psychology section, Karolinska Institutet, 1998"
    )
    homepage = "https://www.kdef.se"
    layout = """  DIR/AF01/AF01AFS.JPG    session, sex, number, expression, side
The files may lie in folders of any names, or in none."""
    serves = "seven labels, five sides, two sessions"
    expected = {  # noqa: RUF012 - read only
        "subjects": _IDENTITIES,
        "images": _IDENTITIES * _EACH,
        **{canonical_label(code): _IDENTITIES * _EACH // len(LABELS) for code in LABELS},
        **{f"pose {pose}": _IDENTITIES * _EACH // len(POSES) for pose in POSES},
        **{f"session {session}": _IDENTITIES * _EACH // len(SESSIONS) for session in SESSIONS},
    }
    allowed = {"poses": list(POSES)}  # noqa: RUF012 - read only
    defaults = {"poses": list(POSES)}  # noqa: RUF012 - read only
    pattern = re.compile(rf"(?P<stem>{_CODE.pattern}|{'|'.join(MISNAMED)})\.jpg", re.IGNORECASE)
    without = re.compile("AKDEF", re.IGNORECASE)

    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """The images of the sides that are asked for; the counts are of all that is there."""
        named = _by_stem(found)
        notes = _put_right(named)
        tally: Counter[str] = Counter(images=len(named))
        identities: Counter[str] = Counter()
        poses: Counter[str] = Counter()
        images: list[ListedImage] = []
        for stem, file in named.items():
            image = _listed(stem, file)
            identities[image.row["identity"]] += 1
            tally.update([image.row["expression"], f"pose {image.row['pose']}", f"session {stem[0]}"])
            if image.row["pose"] in options["poses"]:
                images.append(image)
            else:
                poses[image.row["pose"]] += 1
        tally["subjects"] = len(identities)
        images.sort(key=lambda image: (image.row["identity"], image.row["take"], image.row["image"]))
        return Chosen(
            images, tally, self.expected, [*notes, *incomplete(identities, _EACH), *left_out("poses", poses)]
        )


ADAPTER = KdefAdapter()


def _by_stem(found: Sequence[Found]) -> dict[str, Found]:
    """The files by their names in capitals, without the ending.

    Raises:
        DataError: two files have one name but for its case.
    """
    named: dict[str, Found] = {}
    for file in found:
        other = named.setdefault(file.match["stem"].upper(), file)
        if other is not file:
            raise DataError(f"{other.path} and {file.path} are the same image of KDEF; remove one of them")
    return named


def _put_right(named: dict[str, Found]) -> list[str]:
    """Give the misnamed files their names, in place; sentences on what was done."""
    notes = []
    for wrong, right in MISNAMED.items():
        if wrong not in named:
            continue
        file = named.pop(wrong)
        if right in named:
            notes.append(f"{file.name} is left out: {named[right].name} is there already")
        else:
            named[right] = file
            notes.append(f"{file.name} is misnamed in the distribution and is read as {right}")
    return notes


def _listed(stem: str, file: Found) -> ListedImage:
    match = _CODE.fullmatch(stem)
    assert match is not None, "the file's pattern holds this one"
    session, sex, number, code, pose = match.groups()
    expression = canonical_label(code)
    row = {
        "image": file.name,
        "identity": f"{sex}{number}",
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "take": POSES.index(pose) * len(SESSIONS) + SESSIONS.index(session),
        "pose": pose,
        "sex": SEXES[sex],
        "publishable": False,
    }
    return ListedImage(file.path, row)
