"""What every method declares, as a page; ``python -m fesbench.runs.method_table`` writes it down."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.methods.base import Method

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
SIZE = 128
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""GANimation's seventeen, as OpenFace codes them."""
_HEAD = f"""\
# Methods

Made from the declarations by `python -m fesbench.runs.method_table`; `fesbench methods show ID` prints
one of these sections. Parameters are those of preset `paper` at {SIZE} px, with {len(EXPRESSIONS)}
labels, {len(UNITS)} action units and the discriminators; where a method has an image form of its own,
at that. *Built* is what a file says at its top: what was chosen where a paper is open or differs from
its code. The other presets are told by what they change.

"""


def facts(kind: type[Method]) -> dict[str, Any]:
    """What a method declares: its card, what its file says at the top, its presets, its parameters.

    Args:
        kind: a method with the preset ``paper``.

    Returns:
        plain values by name; ``parameters`` are counts by network, empty where there are none.
    """
    card = kind.card
    told = [" ".join(part.split()) for part in (_text(kind)).split("\n\n")]
    told = [part.replace("``", "`") for part in told if part]
    return {
        "id": card.id,
        "title": card.title,
        "citation": card.citation,
        "year": card.year,
        "reference": card.reference,
        "needs": sorted(card.needs),
        "controls": sorted(card.controls),
        "native": kind.native_of(kind.hyper_of("paper")),
        "helpers": list(card.helpers),
        "authors_weights": release.files if (release := vars(kind).get("release")) else "",
        "notes": card.notes,
        "built": [part for part in told if not part.startswith("Preset")],
        "presets": [part for part in told if part.startswith("Preset")],
        "changes": {name: _changes(kind, name) for name in kind.presets if name != "paper"},
        "preset_notes": {name: note for name in kind.presets if (note := kind.preset_note(name))},
        "parameters": parameters(kind),
    }


def _text(kind: type[Method]) -> str:
    return inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")


def parameters(kind: type[Method]) -> dict[str, int]:
    """Parameters of preset ``paper`` at 128 px by network, in the order in which they were made."""
    method = _built(kind)
    found = {name: sum(p.numel() for p in part.parameters()) for name, part in method.named_children()}
    own = sum(p.numel() for p in method.parameters(recurse=False))
    return {name: count for name, count in {**found, "own": own}.items() if count}


def _built(kind: type[Method]) -> Method:
    import torch

    from fesbench.methods.card import Problem

    problem, hyper = Problem(SIZE, EXPRESSIONS, UNITS, seed=0), kind.presets["paper"]
    try:
        with torch.device("meta"):  # shapes alone: nothing is drawn and nothing takes room
            return kind(problem, hyper)
    except (RuntimeError, TypeError, ValueError):  # NotImplementedError is a RuntimeError
        return kind(problem, hyper)  # one whose shapes follow from values


def _changes(kind: type[Method], preset: str) -> list[str]:
    """What a preset changes, such as "width 64 -> 16"."""
    paper, other = (_flat(asdict(kind.presets[name])) for name in ("paper", preset))
    return [
        f"{key} {_said(paper[key])} -> {_said(other[key])}"
        for key in paper
        if key in other and paper[key] != other[key]
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return found


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def section(told: Mapping[str, Any]) -> str:
    """The section of one method, Markdown."""
    year = f" ({told['year']})" if told["year"] else ""
    lines = [f"## `{told['id']}`: {told['title']}{year}", ""]
    if told["citation"]:
        lines += [f"{told['citation']}.", ""]
    for number, part in enumerate(told["built"]):
        lines += [f"*Built.* {part}" if number == 0 else part, ""]
    lines += [f"- {name}: {value}" for name, value in _lines(told) if value]
    return "\n".join(lines) + "\n"


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "needs", ", ".join(told["needs"]) or "nothing"
    yield "answers", ", ".join(told["controls"])
    yield "its own image form", told["native"]
    yield "pretrained networks", ", ".join(f"`{name}`" for name in told["helpers"])
    yield "convertible weights of its authors", told["authors_weights"] and f"`{told['authors_weights']}`"
    yield "note", told["notes"]
    counted = told["parameters"]
    if counted:
        each = ", ".join(f"{name} {count:,}" for name, count in counted.items())
        yield "parameters", f"{sum(counted.values()):,}" + (f" ({each})" if len(counted) > 1 else "")
    if told["reference"]:
        return
    for name, changes in told["changes"].items():
        note = told["preset_notes"].get(name, "")
        yield f"preset `{name}` changes", ("; ".join(changes) or "nothing") + (f" ({note})" if note else "")
    yield "in words", " ".join(told["presets"])


def page() -> str:
    """The docs' page, Markdown: fesbench's own methods, without those of external packages."""
    from fesbench.methods.registry import METHODS, methods

    known = [facts(kind) for name, kind in methods().items() if name in METHODS.declared]
    known.sort(key=lambda one: one["reference"])
    rows = [
        f"| [`{one['id']}`](#{_anchor(one)}) | {one['title']} | {one['year'] or '-'} | "
        f"{', '.join(one['needs']) or '-'} | {', '.join(one['controls'])} | "
        f"{sum(one['parameters'].values()):,} |".replace(" 0 |", " - |")
        for one in known
    ]
    table = "| id | method | year | needs | answers | parameters |\n|---|---|---|---|---|---|\n" + "\n".join(
        rows
    )
    return _HEAD + table + "\n\n" + "\n".join(section(one) for one in known)


def _anchor(told: Mapping[str, Any]) -> str:
    """The link to a section, as GitHub makes it from the heading."""
    heading = section(told).splitlines()[0].removeprefix("## ")
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
