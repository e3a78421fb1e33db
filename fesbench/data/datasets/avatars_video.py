"""Clips of the embedded faces: every subject shows each of the seven expressions once, frame by frame.

The first frame of a clip is neutral and has intensity 0; all later ones carry the expression's label with
their exact intensity, which is 1 at the last. Each clip is a take of its own: other light, background,
clothes and pose. Landmarks and action units are exact in every frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Item, Plan, Skipped, whole_number
from fesbench.errors import DataError
from fesbench.vocabulary import EXPRESSIONS

LEAST_FRAMES = 3


def subject_name(index: int) -> str:
    """The manifest's name of a subject: "v0007"; those of the still avatars have other names and seeds."""
    return f"v{index:04d}"


class AvatarClipPlan(Plan):
    """Renders the frames that it is asked for, clip by clip.

    Args:
        identities: how many subjects.
        frames: of each clip.
        size: pixels.
        seed: of the avatar family.
    """

    def __init__(self, identities: int, *, frames: int, size: int, seed: int) -> None:
        self.identities, self.frames, self.size, self.seed = identities, frames, size, seed

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the sources that draw the clips and the options."""
        from fesbench.data.avatar_clips import clips_sha256

        options = json.dumps([self.identities, self.frames, self.size, self.seed])
        return hashlib.sha256(f"{clips_sha256()}:{options}".encode()).hexdigest()

    def __len__(self) -> int:
        return self.identities * (len(EXPRESSIONS) - 1) * self.frames

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Render a range of frames; `prepare` asks for a few at a time."""
        found: list[Item | Skipped] = []
        for clip, frames in self._cut(start, min(stop, len(self))):
            found += self._render(clip, frames)
        return found

    def _cut(self, start: int, stop: int) -> Iterator[tuple[int, range]]:
        """The clips of a range of frames, each with those of its frames that are in it."""
        while start < stop:
            clip, first = divmod(start, self.frames)
            last = min(self.frames, first + stop - start)
            yield clip, range(first, last)
            start += last - first

    def _render(self, clip: int, frames: range) -> Iterator[Item]:
        from fesbench.data.avatar_clips import ClipSpec, render_clip
        from fesbench.data.avatars import attributes

        who, number = divmod(clip, len(EXPRESSIONS) - 1)
        spec = ClipSpec(who, EXPRESSIONS[1 + number], take=number)
        made = render_clip(spec, self.size, self.frames, seed=self.seed, only=frames)
        known = attributes(who, seed=self.seed)
        about = {
            "identity": subject_name(who),
            "sequence": f"{subject_name(who)}_{spec.expression}",
            "pose": "frontal",
            "lighting": f"take {spec.take}",
            "publishable": True,
            "sex": str(known["sex"]),
            "age": float(str(known["age"])),
            "skin": str(known["skin"]),
            "glasses": "yes" if known["glasses"] else "no",
        }
        for k, frame in enumerate(frames):
            yield Item(
                made.images[k],
                {
                    **about,
                    "image": f"{about['sequence']}/{frame:04d}.png",
                    "sha256": hashlib.sha256(made.images[k].tobytes()).hexdigest(),
                    "expression": spec.expression if frame else "neutral",
                    "intensity": float(made.intensity[k]),
                    "frame": frame,
                },
                made.landmarks[k],
                made.action_units[k],
            )


class AvatarVideoAdapter(DatasetAdapter):
    """See the module's text. Options: ``identities`` (train, validation and test counts), ``frames`` of a
    clip, ``seed`` of the avatar family.
    """

    name = "avatars-video"
    title = "Avatar clips: the procedural faces that fesbench carries, from neutral to the peak"
    access = "Rendered on this machine, nothing to ask for."
    license = "MIT, as fesbench; every image may be published"
    citation = "fesbench, The embedded faces (docs/avatars.md)"
    homepage = "https://pypi.org/project/fesbench"
    layout = "none; the frames are rendered"
    needs_source = False
    serves = "sequences, seven labels, action units, landmarks, intensities"
    alignment = "none@1"
    defaults = {"identities": (60, 10, 20), "frames": 32, "seed": 1}  # noqa: RUF012 - read only

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options with ``identities`` as a list of three counts.

        Raises:
            UnknownNameError: an unknown option.
            DataError: counts, frames or a seed that make no sense.
        """
        known = super().check_options(options)
        counts = known["identities"]
        if not isinstance(counts, (list, tuple)) or len(counts) != 3:
            raise DataError(
                f"option 'identities' must be three counts (train, validation, test), not {counts!r}"
            )
        known["identities"] = [whole_number("identities", count, 0) for count in counts]
        if sum(known["identities"]) == 0:
            raise DataError("option 'identities' asks for nobody; ask for one avatar at least")
        whole_number("frames", known["frames"], LEAST_FRAMES)
        whole_number("seed", known["seed"], 0)
        return known

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> AvatarClipPlan:
        """What will be rendered.

        Raises:
            DataError: a source folder was given; avatars have none.
        """
        if source is not None:
            raise DataError("the avatars are rendered, not read; leave out --from")
        return AvatarClipPlan(
            sum(options["identities"]), frames=options["frames"], size=size, seed=options["seed"]
        )


ADAPTER = AvatarVideoAdapter()
