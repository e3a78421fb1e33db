"""Oulu-CASIA NIR&VIS: six expressions of 80 subjects, before two cameras, under three kinds of light.

What the rows are:

- *neutral*: the first three frames of a sequence, intensity 0. There is no neutral class, and a sequence
  whose frame 000 is missing gives none: what comes first there is no longer neutral.
- *peak*: its last three frames, intensity 1; a sequence stops at the peak.
- a sequence of fewer than six frames is divided in the middle, so that no frame is both.
- a copy of which no sequence has more than three frames holds the peaks alone; all of them are kept.

The two cameras' folders ("VL" visible, "NI" near infrared) have the same names inside, so a plan holds one
camera, never both. The owner also distributes cropped versions of the images; the folder's name
(PreprocessImg) is from memory, and any folder of such a name is left out.

80 subjects, 80 sequences an expression for each camera and light are what public loaders list. That P001 to
P050 are Finnish and P051 to P080 Chinese is from memory and therefore not in the manifest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fesbench.data.datasets.clips import CLIPS, Clip, ends, frames_between, naming, settled
from fesbench.data.datasets.listing import Found, ListedImage, incomplete
from fesbench.data.datasets.named import Chosen, NamedImages, left_out
from fesbench.vocabulary import canonical_label

MODALITIES = ("VL", "NI")
LIGHTS = ("Strong", "Weak", "Dark")
EXPRESSIONS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
IDENTITIES = 80


class OuluCasiaAdapter(NamedImages):
    """See the module's text. Options: ``modality`` ("VL" or "NI"); ``lighting`` (some of "Strong", "Weak" and
    "Dark"); ``frames`` (of each group, 3); ``clips``: the frames between as well, at intensities that rise
    evenly over time (false).
    """

    name = "oulu-casia"
    title = "Oulu-CASIA NIR&VIS: six expressions of 80 subjects as sequences from neutral to the peak"
    access = (
        "It is free for research and cannot be downloaded without a license agreement: ask the Center for "
        "Machine Vision and Signal Analysis of the University of Oulu"
    )
    license = "license agreement, research only"
    citation = (
        "Zhao, Huang, Taini, Li, Pietikäinen. Facial expression recognition from near-infrared videos. "
        "Image and Vision Computing 29(9), 2011"
    )
    homepage = "https://www.oulu.fi/cmvs"
    layout = """  DIR/OriginalImg/VL/Strong/P001/Anger/000.jpeg
     camera VL or NI; light Strong, Weak or Dark; P001 ... P080
The outer folders may have any names (B_OriginalImg/B_OriginalImg/OriginalImg, Oulu_CASIA_NIR_VIS)."""
    serves = "sequences, six labels, two cameras, three kinds of light"
    expected = {  # noqa: RUF012 - read only
        "subjects": IDENTITIES,
        "VL Strong sequences": IDENTITIES * len(EXPRESSIONS),
        **{f"VL Strong {canonical_label(name)}": IDENTITIES for name in EXPRESSIONS},
    }
    allowed = {"modality": MODALITIES, "lighting": list(LIGHTS), "frames": 1}  # noqa: RUF012 - read only
    defaults = {"modality": "VL", "lighting": ["Strong"], "frames": 3, "clips": False}  # noqa: RUF012 - read only
    pattern = re.compile(
        rf"(?P<modality>{'|'.join(MODALITIES)})/(?P<light>{'|'.join(LIGHTS)})/(?P<identity>P\d{{3}})/"
        rf"(?P<label>{'|'.join(EXPRESSIONS)})/(?P<frame>\d{{3}})(?i:\.jpeg)"
    )
    without = re.compile(r".*pre[-_ ]?process.*", re.IGNORECASE)

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `DatasetAdapter.check_options`; ``clips`` is left out where it is false."""
        return settled(super().check_options(options))

    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """The sequences of one camera under the kinds of light that are asked for."""
        modality, lights, frames = options["modality"], options["lighting"], options["frames"]
        clips: dict[str, Clip] = {}
        others: Counter[str] = Counter()
        unlit: Counter[str] = Counter()
        for file in found:
            if file.match["modality"] != modality:
                others[file.match["modality"]] += 1
            elif file.match["light"] not in lights:
                unlit[file.match["light"]] += 1
            else:
                name = "_".join(file.match.group("modality", "light", "identity", "label"))
                clip = clips.setdefault(name, _clip(name, file.match))
                clip.files[int(file.match["frame"])] = file.name, file.path
        tally: Counter[str] = Counter()
        identities: Counter[str] = Counter()
        images: list[ListedImage] = []
        peaks_alone = max((len(clip.files) for clip in clips.values()), default=0) <= frames
        for clip in clips.values():
            camera_and_light = clip.sequence.rsplit("_", 2)[0].replace("_", " ")
            tally.update([f"{camera_and_light} sequences", f"{camera_and_light} {clip.expression}"])
            identities[clip.identity] += 1
            neutral, peak = ends(clip.numbers, frames)
            if peaks_alone or 0 not in clip.files:
                neutral, peak = [], clip.numbers[-frames:]
            between = frames_between(clip.numbers, neutral, peak) if options.get(CLIPS) else []
            images += clip.rows(neutral, peak, between=between)
        tally["subjects"] = len(identities)
        return Chosen(
            images,
            tally,
            _expected(modality, lights),
            [
                *incomplete(identities, len(EXPRESSIONS) * len(lights), "sequences"),
                *left_out("modality", others),
                *left_out("lighting", unlit),
                *(_peaks_alone(len(clips)) if peaks_alone else _oddities(clips.values(), frames)),
            ],
        )


ADAPTER = OuluCasiaAdapter()


def _clip(name: str, match: re.Match[str]) -> Clip:
    light = {"lighting": match["light"].lower()}
    return Clip(name, match["identity"], canonical_label(match["label"]), columns=light)


def _expected(modality: str, lights: Sequence[str]) -> dict[str, int]:
    expected = {"subjects": IDENTITIES}
    for light in lights:
        expected[f"{modality} {light} sequences"] = IDENTITIES * len(EXPRESSIONS)
        for name in EXPRESSIONS:
            expected[f"{modality} {light} {canonical_label(name)}"] = IDENTITIES
    return expected


def _peaks_alone(count: int) -> list[str]:
    if not count:
        return []
    return [
        f"this copy holds the peak frames of {count} sequences alone; all of them are kept, and there is NO "
        "NEUTRAL IMAGE, from which a method would start: oulu-casia's protocols take the owner's sequences"
    ]


def _oddities(clips: Iterable[Clip], frames: int) -> list[str]:
    clips = list(clips)
    return [
        *naming((c for c in clips if 0 not in c.files), "lack frame 000 and give no neutral frames"),
        *naming((c for c in clips if c.has_gaps), "lack frames in between"),
        *naming(
            (c for c in clips if len(c.files) < 2 * frames),
            "are too short for the frames asked for and are divided in the middle",
        ),
    ]
