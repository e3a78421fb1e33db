"""RaFD, the Radboud Faces Database: eight expressions, three gazes and five camera angles of 67 subjects.

A file's name says it all: Rafd090_28_Caucasian_male_angry_frontal.jpg = camera angle, model number, group,
sex, expression, gaze. What the rows are:

- identity "28", pose = the angle ("000", "045", "090", "135", "180"; 090 is frontal), gaze as in the name.
- take = place in the order of angles 090, 045, 135, 000, 180, times three, plus place in the order of gazes
  frontal, left, right: take 0 is 090 frontal, 1 is 090 left, 3 is 045 frontal. It does not depend on the
  options.
- sex from the name; skin "Caucasian" or "Moroccan" from the name. The group "Kid" names an age, no
  ethnicity: a child's skin stays "". Age stays unknown for all, since the name gives no years.

Flipping an image swaps gaze left and right, and the angles 045 and 135, 000 and 180: whoever flips in
training mixes these. At 000 and 180 (profile) dlib finds no face; such images are counted when they are
prepared.

The counts are those of a public list of all 8040 names.

No image is marked as publishable. RaFD's terms let stimulus examples be printed in scientific publications;
a report's web page is not one, so whoever writes the paper chooses the examples.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fesbench.data.datasets.listing import Found, ListedImage, incomplete
from fesbench.data.datasets.named import Chosen, NamedImages, left_out
from fesbench.vocabulary import EXPRESSIONS, canonical_label

ANGLES = ("090", "045", "135", "000", "180")
GAZES = ("frontal", "left", "right")
LABELS = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
MODELS = tuple(f"{k:02d}" for k in range(1, 74) if k not in (6, 13, 17, 34, 62, 66))
"""The 67 model numbers."""

_EACH = len(ANGLES) * len(GAZES) * len(LABELS)
_ALL = len(MODELS) * _EACH
_GROUPS = {"Caucasian": 39 * _EACH, "Moroccan": 18 * _EACH, "Kid": 10 * _EACH}
_SEXES = {"male": 42 * _EACH, "female": 25 * _EACH}


class RafdAdapter(NamedImages):
    """See the module's text. Options: ``angles`` (some of "000", "045", "090", "135", "180"); ``gazes`` (some
    of "frontal", "left", "right").
    """

    name = "rafd"
    title = "RaFD, the Radboud Faces Database: eight expressions, three gazes, five angles of 67 subjects"
    access = (
        "It is free for strictly scientific use by researchers of accredited universities, who ask each for "
        "themselves (students through a supervisor); commercial use is refused"
    )
    license = "personal, strictly scientific; examples of stimuli may be printed in scientific publications"
    citation = (
        "Langner, Dotsch, Bijlstra, Wigboldus, Hawk, van Knippenberg. Presentation and validation of the "
        "Radboud Faces Database. Cognition and Emotion 24(8), 2010"
    )
    homepage = "https://rafd.socsci.ru.nl"
    layout = """  DIR/Rafd090_28_Caucasian_male_angry_frontal.jpg    (8040 files)
     angle 000, 045, 090, 135, 180; model; Caucasian, Moroccan, Kid; male, female; expression; gaze
The files may lie in folders of any names."""
    serves = "eight labels, five angles, three gazes"
    expected = {  # noqa: RUF012 - read only
        "subjects": len(MODELS),
        "images": _ALL,
        **{f"angle {angle}": _ALL // len(ANGLES) for angle in sorted(ANGLES)},
        **{f"gaze {gaze}": _ALL // len(GAZES) for gaze in GAZES},
        **{name: _ALL // len(LABELS) for name in EXPRESSIONS},
        **_GROUPS,
        **_SEXES,
    }
    allowed = {"angles": sorted(ANGLES), "gazes": list(GAZES)}  # noqa: RUF012 - read only
    defaults = {"angles": sorted(ANGLES), "gazes": list(GAZES)}  # noqa: RUF012 - read only
    pattern = re.compile(
        rf"Rafd(?P<angle>{'|'.join(ANGLES)})_(?P<model>\d{{2}})_(?P<group>{'|'.join(_GROUPS)})_"
        rf"(?P<sex>{'|'.join(_SEXES)})_(?P<label>{'|'.join(LABELS)})_(?P<gaze>{'|'.join(GAZES)})(?i:\.jpg)"
    )

    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """The images of the angles and gazes that are asked for; the counts are of all that is there."""
        tally: Counter[str] = Counter(images=len(found))
        identities: Counter[str] = Counter()
        angles: Counter[str] = Counter()
        gazes: Counter[str] = Counter()
        images: list[ListedImage] = []
        for file in found:
            angle, model, group, sex, label, gaze = file.match.group(
                "angle", "model", "group", "sex", "label", "gaze"
            )
            tally.update([f"angle {angle}", f"gaze {gaze}", canonical_label(label), group, sex])
            identities[model] += 1
            if angle not in options["angles"]:
                angles[angle] += 1
            elif gaze not in options["gazes"]:
                gazes[gaze] += 1
            else:
                images.append(_listed(file))
        tally["subjects"] = len(identities)
        images.sort(key=lambda image: (image.row["identity"], image.row["take"], image.row["image"]))
        notes = [
            *incomplete(identities, _EACH),
            *left_out("angles", angles),
            *left_out("gazes", gazes),
        ]
        strangers = sorted(set(identities) - set(MODELS))
        if strangers:
            notes.append(f"model numbers that RaFD does not have: {', '.join(strangers)}; they are kept")
        return Chosen(images, tally, self.expected, notes)


ADAPTER = RafdAdapter()


def _listed(file: Found) -> ListedImage:
    match = file.match
    expression = canonical_label(match["label"])
    row = {
        "image": file.name,
        "identity": match["model"],
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "take": ANGLES.index(match["angle"]) * len(GAZES) + GAZES.index(match["gaze"]),
        "pose": match["angle"],
        "gaze": match["gaze"],
        "sex": match["sex"],
        "skin": "" if match["group"] == "Kid" else match["group"],
        "publishable": False,
    }
    return ListedImage(file.path, row)
