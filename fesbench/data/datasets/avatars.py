"""The embedded procedural faces: rendered where they are needed, free of any license question.

As a *set* they hold everything that ``avatars@1`` may ask: every subject x 8 expressions x takes 0 and 1;
and for the test subjects the styles, the lower intensities and the compound expressions. As *sequences* they
have the shape of CK+ and serve its rules (``--protocol ck+ --data avatars``). Option ``styled``: so many
training subjects have neutral images in the styles too, for methods that adapt to a domain.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.data.datasets.base import DatasetAdapter, Item, Plan, Skipped, whole_number
from fesbench.data.datasets.sequences import ONSET, PEAK, sequences_of
from fesbench.errors import DataError
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.data.avatars.rendering import AvatarSpec

LEVELS = (0.25, 0.5, 0.75)
_LAST_FRAME = 20


@dataclass(frozen=True)
class Entry:
    """One image to render, with what the manifest says about it."""

    spec: AvatarSpec
    row: dict[str, Any]


def identity_name(index: int) -> str:
    """The manifest's name of an avatar: "a0007"."""
    return f"a{index:04d}"


class AvatarPlan(Plan):
    """Renders the entries that it is asked for.

    Args:
        entries: what to render, in the manifest's order.
        size: pixels.
        seed: of the avatar family; another seed gives other subjects.
        settings: what else names this plan (for the fingerprint).
    """

    def __init__(self, entries: list[Entry], *, size: int, seed: int, settings: Mapping[str, Any]) -> None:
        self.entries, self.size, self.seed = entries, size, seed
        self._settings = json.dumps(dict(settings), sort_keys=True)

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the avatars' source code and the options."""
        from fesbench.data.avatars import source_sha256

        return hashlib.sha256(f"{source_sha256()}:{self.size}:{self._settings}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Render a range of entries; `prepare` asks for a few at a time."""
        from fesbench.data.avatars.rendering import render

        wanted = self.entries[start:stop]
        batch = render([entry.spec for entry in wanted], self.size, seed=self.seed)
        found: list[Item | Skipped] = []
        for k, entry in enumerate(wanted):
            image = batch.images[k]
            row = {
                **entry.row,
                **_about(entry.spec.identity, self.seed),
                "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
            }
            found.append(Item(image, row, batch.landmarks[k], batch.action_units[k]))
        return found


class AvatarAdapter(DatasetAdapter):
    """See the module's text. Options: ``identities`` (train, validation and test counts; the styles,
    intensities and compounds are those of the last group), ``seed``, ``as_sequences``, ``styled`` (how many
    of the first group have neutral images in the styles).
    """

    name = "avatars"
    title = "Avatars: the procedural faces that fesbench carries"
    access = "Rendered on this machine, nothing to ask for."
    license = "MIT, as fesbench; every image may be published"
    citation = "fesbench, The embedded faces (docs/avatars.md)"
    homepage = "https://pypi.org/project/fesbench"
    layout = "none; 'fesbench data make avatars --out DIR' writes them as files"
    needs_source = False
    serves = "eight labels, compounds, intensities, action units, landmarks, styles, sequences"
    domains = ("in", "statue", "portrait", "cartoon", "wild")
    alignment = "none@1"
    defaults = {"identities": (200, 20, 40), "seed": 0, "as_sequences": False, "styled": 0}  # noqa: RUF012 - read only

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options with ``identities`` as a list of three counts.

        Raises:
            UnknownNameError: an unknown option.
            DataError: counts or seed that make no sense.
        """
        known = super().check_options(options)
        counts = known["identities"]
        if isinstance(counts, int):
            counts = (counts, 0, 0)
        if not isinstance(counts, (list, tuple)) or len(counts) != 3:
            raise DataError(
                f"option 'identities' must be three counts (train, validation, test), not {counts!r}"
            )
        known["identities"] = [whole_number("identities", count, 0) for count in counts]
        whole_number("seed", known["seed"], 0)
        if sum(known["identities"]) == 0:
            raise DataError("option 'identities' asks for nobody; ask for one avatar at least")
        if not isinstance(known["as_sequences"], bool):
            raise DataError(f"option 'as_sequences' must be true or false, found {known['as_sequences']!r}")
        styled = whole_number("styled", known["styled"], 0)
        if styled > known["identities"][0] or (styled and known["as_sequences"]):
            raise DataError(
                f"option 'styled' counts training subjects of the set, at most {known['identities'][0]} here "
                f"and none as sequences, not {styled}"
            )
        if not styled:
            del known["styled"]  # the set is what it was before there was the option
        return known

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> AvatarPlan:
        """What will be rendered.

        Raises:
            DataError: a source folder was given; avatars have none.
        """
        if source is not None:
            raise DataError("the avatars are rendered, not read; leave out --from")
        train, validation, test = options["identities"]
        total = train + validation + test
        if options["as_sequences"]:
            entries = [entry for who in range(total) for entry in _sequences(who)]
        else:
            entries = [entry for who in range(total) for entry in _base(who)]
            for who in range(train + validation, total):
                entries += [*_styles(who), *_intensities(who), *_compounds(who)]
            for who in range(options.get("styled", 0)):
                entries += _styles(who, ("neutral",))
        return AvatarPlan(entries, size=size, seed=options["seed"], settings=options)


ADAPTER = AvatarAdapter()


@functools.lru_cache(maxsize=4096)
def _about(identity: int, seed: int) -> dict[str, Any]:
    from fesbench.data.avatars import attributes

    known: dict[str, Any] = dict(attributes(identity, seed=seed))
    glasses = known["glasses"]
    return {
        "sex": str(known["sex"]),
        "age": float(known["age"]),
        "skin": str(known["skin"]),
        "glasses": ("yes" if glasses else "no") if isinstance(glasses, bool) else str(glasses),
    }


def _entry(who: int, expression: str, *, take: int = 0, style: str = "base", intensity: float = 1.0) -> Entry:
    from fesbench.data.avatars.rendering import AvatarSpec

    name, domain = identity_name(who), "in" if style == "base" else style
    level = 0.0 if expression == "neutral" else intensity
    row = {
        "image": f"{name}/{domain}_{expression}_t{take}_{round(100 * level):03d}.png",
        "identity": name,
        "expression": expression,
        "intensity": level,
        "take": take,
        "pose": "" if style == "wild" else "frontal",
        "lighting": f"take {take}",
        "domain": domain,
        "publishable": True,
    }
    spec = AvatarSpec(who, expression=expression, intensity=intensity, take=take, style=style)
    return Entry(spec, row)


def _base(who: int) -> list[Entry]:
    return [_entry(who, expression, take=take) for take in (0, 1) for expression in EXPRESSIONS]


def _styles(who: int, expressions: Sequence[str] = EXPRESSIONS) -> list[Entry]:
    from fesbench.data.avatars.rendering import STYLES

    return [
        _entry(who, expression, style=style)
        for style in STYLES
        if style != "base"
        for expression in expressions
    ]


def _intensities(who: int) -> list[Entry]:
    return [_entry(who, expression, intensity=level) for expression in EXPRESSIONS[1:] for level in LEVELS]


def _compounds(who: int) -> list[Entry]:
    from fesbench.data.avatars.expressions import COMPOUNDS

    return [_entry(who, compound) for compound in COMPOUNDS]


def _sequences(who: int) -> list[Entry]:
    """Rows shaped like CK+'s: first three frames as neutral, last three as the labelled peak."""
    entries = []
    for sequence in sequences_of(who):
        name = f"{identity_name(who)}_{sequence.number:03d}"
        shown = [("neutral", 0.0, ONSET, 1)]
        if sequence.labelled:
            shown.append((sequence.expression, 1.0, PEAK, _LAST_FRAME - len(PEAK) + 1))
        for label, intensity, levels, first in shown:
            for take, level in enumerate(levels):
                shot = _entry(who, sequence.expression, take=sequence.take, intensity=level)
                row = _frame_row(name, label, intensity, take, first + take)
                entries.append(Entry(shot.spec, {**shot.row, **row}))
    return entries


def _frame_row(sequence: str, label: str, intensity: float, take: int, frame: int) -> dict[str, Any]:
    return {
        "image": f"{sequence}_{frame:08d}.png",
        "expression": label,
        "intensity": intensity,
        "sequence": sequence,
        "frame": frame,
        "take": take,
        "lighting": "",
    }
