"""Scores on validation subjects over the steps of a training: one small panel a training, in one SVG file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import escape

from .boards import Run
from .figures import Axis, ticks

SHOWN = {"ECS": "#1d5c94", "Rank-1": "#b5472f", "Target-cosine": "#256b45"}
"""Scores that are drawn, with their colors."""
_WIDE, _HIGH, _ACROSS = 220, 150, 4
_STYLE = (
    "text{font:11px Liberation Sans,Arial,sans-serif;fill:#1a1c20}.t{fill:#5c6068;font-size:9px}"
    ".g{stroke:#dcdad3}.p{stroke:#8b8f96;stroke-dasharray:2 2}.e{text-anchor:end}"
    "path{fill:none;stroke-width:1.6}"
)


@dataclass(frozen=True)
class Look:
    """What was scored after so many steps, all phases together."""

    step: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class LearningCurve:
    """One training.

    Attributes:
        title: of the method, with what tells it from the others of a picture.
        looks: by step.
        origin: "logged" while it was trained, "zoo" (of the loaded weights' card) or "checkpoint".
        phases: the steps at which a phase ended that was not the last.
    """

    title: str
    looks: tuple[Look, ...]
    origin: str = "logged"
    phases: tuple[int, ...] = field(default=())


def logged_curve(run: Run, title: str) -> LearningCurve | None:
    """What a training logged; None where it logged nothing.

    Raises:
        RecordError: the file is damaged.
    """
    table = run.validation
    if table is None:
        return None
    ends, before = {}, 0
    for phase in dict.fromkeys([*run.record.steps, *table["phase"]]):
        ends[phase] = before
        last = table.loc[table["phase"] == phase, "step"]
        before += run.record.steps.get(phase, int(last.max()) if len(last) else 0)
    looks = tuple(
        Look(ends[phase] + int(step), dict(zip(rows["name"], rows["value"], strict=True)))
        for (phase, step), rows in table.groupby(["phase", "step"], sort=False)
    )
    return LearningCurve(title, looks, "logged", tuple(list(ends.values())[1:]))


def draw(curves: Sequence[LearningCurve]) -> str:
    """An SVG file with a panel a training; what was measured once is a dot."""
    across = min(_ACROSS, len(curves))
    width, height = across * _WIDE, 26 + math.ceil(len(curves) / across) * _HIGH
    parts = [f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for number, (name, color) in enumerate(SHOWN.items()):
        x = 12 + 90 * number
        parts.append(f'<path d="M{x} 12h18" stroke="{color}"/><text x="{x + 23}" y="16">{name}</text>')
    for number, curve in enumerate(curves):
        x, y = number % across * _WIDE, 26 + number // across * _HIGH
        parts.append(f'<g transform="translate({x} {y})">{_panel(curve)}</g>')
    label = "Scores on validation subjects over training steps"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{label}"><style>{_STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _panel(curve: LearningCurve) -> str:
    values = [look.scores[name] for look in curve.looks for name in SHOWN if name in look.scores]
    end = max(look.step for look in curve.looks)
    x = Axis(0, max(end, 1), 30, _WIDE - 14)
    y = Axis(min(0.0, math.floor(min(values, default=0) * 4) / 4), 1.0, _HIGH - 22, 24)
    parts = [f'<text x="30" y="16">{escape(curve.title)}</text>']
    for value in ticks(y.low, 1.0, 4):
        at = f"{y(value):.1f}"
        parts.append(f'<path class="g" d="M30 {at}H{_WIDE - 14}"/>')
        parts.append(f'<text class="t e" x="26" y="{y(value) + 3:.1f}">{value:g}</text>')
    parts += [f'<path class="p" d="M{x(step):.1f} 24V{_HIGH - 22}"/>' for step in curve.phases]
    parts.append(f'<text class="t" x="30" y="{_HIGH - 10}">0</text>')
    parts.append(f'<text class="t e" x="{_WIDE - 14}" y="{_HIGH - 10}">{end:,} steps</text>')
    for name, color in SHOWN.items():
        places = [(x(look.step), y(look.scores[name])) for look in curve.looks if name in look.scores]
        if len(places) > 1:
            line = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
            parts.append(f'<path d="M{line}" stroke="{color}"/>')
        if places:
            parts.append(
                f'<circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.6" fill="{color}"/>'
            )
    return "".join(parts)
