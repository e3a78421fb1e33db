"""MUG: sequences of six expressions that begin and end at rest, with the apex in the middle.

What the rows are:

- *neutral*: the first three frames of a take, intensity 0. The folder "neutral" is a class of its own; its
  takes give these rows only and serve as further images of a subject.
- *peak*: the three frames around the middle of a take, intensity 1. At its end a face is at rest again.
- a take of fewer than nine frames is divided into thirds; of fewer than three it gives nothing.

Frame numbers are those of the files; the first is not always 0000. Takes whose folder's name ends in "end" or
holds "nsg" are left out, as public loaders do; nobody says what they show. Some copies have one more level
between subject and expression (a session, often named like the subject); it enters the sequence's name.

Only the posed part is read, and it is recognized by its folders' names; files of the part that was induced by
a video are counted as not understood. The 80 landmarks that come with some frames are not iBUG's 68 and are
not read.

How many subjects a whole copy has is not certain: 86 were recorded, and 52 are what a user's copy held; that
the others may not be distributed is from memory. So 52 is shown as expected, and no copy is called partial
for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fesbench.data.datasets.base import Count
from fesbench.data.datasets.clips import CLIPS, Clip, frames_between, naming, settled, start_and_middle
from fesbench.data.datasets.listing import Found, ListedImage, incomplete
from fesbench.data.datasets.named import Chosen, NamedImages
from fesbench.vocabulary import canonical_label

POSED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
FOLDERS = (*POSED, "neutral")
RECORDED, DISTRIBUTED = 86, 52

_LEFT_OUT = re.compile(r".*end|.*nsg.*")


class MugAdapter(NamedImages):
    """See the module's text. Options: ``frames`` (of each group, 3); ``clips``: the frames from rest to the
    apex as well, at intensities that rise evenly over time (false).
    """

    name = "mug"
    title = "MUG: sequences of six posed expressions from rest to the apex and back, and neutral ones"
    access = (
        "It is free for non-commercial research with a personal account, after a license agreement with the "
        "Multimedia Understanding Group of the Aristotle University of Thessaloniki"
    )
    license = "license agreement, non-commercial research"
    citation = (
        "Aifanti, Papachristou, Delopoulos. The MUG facial expression database. Workshop on Image Analysis "
        "for Multimedia Interactive Services (WIAMIS), 2010"
    )
    homepage = "https://mug.ee.auth.gr/fed"
    layout = """  DIR/subjects3/001/happiness/take000/img_0000.jpg
     subject, expression (anger, disgust, fear, happiness, neutral, sadness, surprise), take
  DIR/subjects3/001/001/happiness/take000/img_0000.jpg    (with a session between)
The outer folders may have any names."""
    serves = "sequences, six labels"
    expected = {"subjects": DISTRIBUTED}  # noqa: RUF012 - read only
    allowed = {"frames": 1}  # noqa: RUF012 - read only
    defaults = {"frames": 3, "clips": False}  # noqa: RUF012 - read only
    # a session is often named like a subject: the number below another number is no subject
    pattern = re.compile(
        rf"(?<!/\d{{3}}/)(?P<identity>\d{{3}})/(?:(?P<session>[^/]+)/)?(?P<label>{'|'.join(FOLDERS)})/"
        r"(?P<take>[^/]+)/img_(?P<frame>\d{4})\.jpg"
    )

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `DatasetAdapter.check_options`; ``clips`` is left out where it is false."""
        return settled(super().check_options(options))

    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """The posed takes: where they begin, and their middle."""
        frames = options["frames"]
        clips: dict[str, Clip] = {}
        refused: set[str] = set()
        refused_images = 0
        for file in found:
            name = "_".join(filter(None, file.match.group("identity", "session", "label", "take")))
            if _LEFT_OUT.fullmatch(file.match["take"]):
                refused.add(name)
                refused_images += 1
                continue
            clip = clips.setdefault(
                name, Clip(name, file.match["identity"], canonical_label(file.match["label"]))
            )
            clip.files[int(file.match["frame"])] = file.name, file.path
        images: list[ListedImage] = []
        shown: dict[str, set[str]] = {}
        takes: Counter[str] = Counter()
        for clip in clips.values():
            shown.setdefault(clip.identity, set()).add(clip.expression)
            takes[clip.expression] += 1
            neutral, peak = start_and_middle(clip.numbers, frames)
            if clip.expression == "neutral":
                neutral, peak = clip.numbers[:frames], []
            between = frames_between(clip.numbers, neutral, peak) if options.get(CLIPS) else []
            images += clip.rows(neutral, peak, between=between)
        notes = [
            "takes: " + ", ".join(f"{label} {takes[label]}" for label in FOLDERS),
            *incomplete(
                {who: len(labels - {"neutral"}) for who, labels in shown.items()}, len(POSED), "labels"
            ),
            *naming((c for c in clips.values() if c.has_gaps), "lack frames in between"),
            *naming(
                (c for c in clips.values() if c.expression != "neutral" and len(c.files) < 3 * frames),
                "are too short for the frames asked for and are divided into thirds",
            ),
        ]
        if refused:
            listed = ", ".join(sorted(refused)[:10])
            notes.append(
                f"{refused_images} images of {len(refused)} takes are left out because of the folder's "
                f"name: {listed}"
            )
        return Chosen(images, {"subjects": len(shown)}, self.expected, notes)

    def judge(self, tally: tuple[Count, ...]) -> list[str]:
        """A sentence on the number of subjects, which nobody knows of a whole copy."""
        return [
            f"{tally[0].found} subjects; {RECORDED} were recorded and copies of {DISTRIBUTED} are known, so "
            "nobody can say here whether this copy is whole"
        ]


ADAPTER = MugAdapter()
