"""Small hand-made SVG: the trade-off image, the drop image and loss curves.

Colors come from the page's style sheet through classes, so that one drawing serves light, dark and print.
All text is escaped here; the results are markup.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from .label_layout import Box, place_labels


@dataclass(frozen=True)
class Point:
    """One row in the trade-off image; intervals may be None."""

    title: str
    x: float
    y: float
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    kind: str = "method"
    """``method``, ``reference`` or ``granted`` (was given landmarks or AUs)."""


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to px."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies, px."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round values within [low, high]."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def pareto(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats on both axes (higher is better on both), by x."""
    front = [
        p for p in points if not any((q.x >= p.x and q.y >= p.y) and (q.x > p.x or q.y > p.y) for q in points)
    ]
    return sorted(front, key=lambda p: (p.x, -p.y))


def scatter(points: Sequence[Point], *, chance: float | None, x_title: str, y_title: str) -> Markup:
    """ECS (y, share) against FSS (x, cosine), with interval bars, the Pareto edge and labels apart."""
    width, height, left, right, top, bottom = 760, 470, 58, 26, 22, 52
    lows = [p.x if p.x_low is None else p.x_low for p in points]
    highs = [p.x if p.x_high is None else p.x_high for p in points]
    margin = max((max(highs) - min(lows)) * 0.06, 0.005)
    x = Axis(min(lows) - margin, max(highs) + margin, left, width - right)
    y = Axis(-0.03, 1.03, height - bottom, top)
    parts = [_axes(x, y, width, height, x_title, y_title)]
    if chance is not None:
        at = y(chance)
        parts.append(_line("chance", left, at, width - right, at))
        parts.append(_text("note", left + 6, at - 5, f"chance {chance * 100:.1f} %"))
    parts.append(_front(pareto([p for p in points if p.kind == "method"]), x, y))
    parts += [_bars(p, x, y) for p in points]
    parts += [_marker(p, x(p.x), y(p.y)) for p in points]
    taken = [Box(left, y(chance) - 17, left + 88, y(chance))] if chance is not None else []
    frame = Box(left + 2, top - 12, width - 4, height - bottom - 2)
    crossed = [box for p in points for box in _bar_boxes(p, x, y)]
    places = place_labels([(x(p.x), y(p.y), p.title) for p in points], frame, taken, crossed)
    for p, (box, leader) in zip(points, places, strict=True):
        if leader:
            parts.append(_line("leader", *leader))
        parts.append(_text(f"label {p.kind}", box.left, box.bottom - 3, p.title))
    return _svg(width, height, "".join(parts), "scatter", f"{y_title} against {x_title}")


def _axes(x: Axis, y: Axis, width: int, height: int, x_title: str, y_title: str) -> str:
    left, right, top, bottom = x.start, x.end, y.end, y.start
    parts = []
    for value in ticks(x.low, x.high, 6):
        parts.append(_line("gridline", x(value), top, x(value), bottom))
        parts.append(_text("tick middle", x(value), bottom + 17, _short(value)))
    for value in ticks(0, 1, 5):
        parts.append(_line("gridline", left, y(value), right, y(value)))
        parts.append(_text("tick end", left - 8, y(value) + 4, f"{value * 100:.0f}"))
    parts.append(_text("axis middle", (left + right) / 2, height - 8, x_title))
    middle = (top + bottom) / 2
    parts.append(f'<g transform="rotate(-90 14 {middle})">{_text("axis middle", 14, middle, y_title)}</g>')
    return "".join(parts)


def _front(front: Sequence[Point], x: Axis, y: Axis) -> str:
    if len(front) < 2:
        return ""
    path = f"M{x(front[0].x):.1f} {y(front[0].y):.1f}"
    for before, after in itertools.pairwise(front):
        path += f"H{x(before.x):.1f}V{y(after.y):.1f}H{x(after.x):.1f}"
    return f'<path class="pareto" d="{path}"/>'


def _bars(p: Point, x: Axis, y: Axis) -> str:
    bars = ""
    if p.x_low is not None and p.x_high is not None:
        bars += f'<line x1="{x(p.x_low):.1f}" x2="{x(p.x_high):.1f}" y1="{y(p.y):.1f}" y2="{y(p.y):.1f}"/>'
    if p.y_low is not None and p.y_high is not None:
        bars += f'<line x1="{x(p.x):.1f}" x2="{x(p.x):.1f}" y1="{y(p.y_low):.1f}" y2="{y(p.y_high):.1f}"/>'
    return f'<g class="bar {p.kind}">{bars}</g>'


def _bar_boxes(p: Point, x: Axis, y: Axis) -> list[Box]:
    boxes = []
    if p.x_low is not None and p.x_high is not None:
        boxes.append(Box(x(p.x_low), y(p.y) - 2, x(p.x_high), y(p.y) + 2))
    if p.y_low is not None and p.y_high is not None:
        boxes.append(Box(x(p.x) - 2, y(p.y_high), x(p.x) + 2, y(p.y_low)))
    return boxes


def _marker(p: Point, px: float, py: float) -> str:
    tip = f"<title>{escape(p.title)}: ECS {p.y * 100:.1f} %, FSS {p.x:.3f}</title>"
    if p.kind == "reference":
        corner = f'x="{px - 4:.1f}" y="{py - 4:.1f}"'
        return f'<rect class="dot reference" {corner} width="8" height="8">{tip}</rect>'
    if p.kind == "granted":
        return f'<path class="dot granted" d="M{px:.1f} {py - 6:.1f}l5.5 10h-11z">{tip}</path>'
    return f'<circle class="dot method" cx="{px:.1f}" cy="{py:.1f}" r="4.5">{tip}</circle>'


def curve(steps: Sequence[float], values: Sequence[float], *, name: str) -> Markup:
    """A loss as a small line without axes; gaps where a value is not finite."""
    width, height, pad = 168, 44, 3
    pairs = _thin(list(zip(steps, values, strict=True)), 150)
    finite = [v for _, v in pairs if math.isfinite(v)]
    if not finite:
        return Markup('<span class="muted">no finite value</span>')
    low, high = min(finite), max(finite)
    flat = high - low < 1e-12
    x = Axis(pairs[0][0], max(pairs[-1][0], pairs[0][0] + 1), pad, width - pad)
    y = Axis(low - (1 if flat else 0), high + (1 if flat else 0), height - pad, pad)
    path, pen = "", "M"
    for step, value in pairs:
        if not math.isfinite(value):
            pen = "M"
            continue
        path += f"{pen}{x(step):.1f} {y(value):.1f}"
        pen = "L"
    return _svg(width, height, f'<path class="curve" d="{path}"/>', "spark", f"{name} over training steps")


def _thin(pairs: list[tuple[float, float]], limit: int) -> list[tuple[float, float]]:
    stride = max(1, math.ceil(len(pairs) / limit))
    kept = pairs[::stride]
    return kept if kept[-1] == pairs[-1] else [*kept, pairs[-1]]


@dataclass(frozen=True)
class Change:
    """One row of the drop image: a share in distribution and in each style, None where there is none."""

    title: str
    reference: bool
    pairs: list[tuple[float, float] | None]


def dumbbells(rows: Sequence[Change], domains: Sequence[str], *, title: str) -> Markup:
    """In distribution (filled) to style (hollow), one line a row, one panel a style; shares in [0, 1]."""
    names, panel, line, top = 128, 232, 22, 34
    width, height = names + panel * len(domains), top + line * len(rows) + 26
    parts = []
    for index, row in enumerate(rows):
        kind = "reference" if row.reference else "method"
        at = top + line * (index + 0.5)
        parts.append(_text(f"row {kind}", 0, at + 4, _cut(row.title, 19)))
    for place, domain in enumerate(domains):
        x = Axis(0.0, 1.0, names + panel * place + 14, names + panel * (place + 1) - 18)
        parts.append(_text("head", x(0), 14, domain))
        for value in ticks(0, 1, 4):
            parts.append(_line("gridline", x(value), top - 8, x(value), height - 22))
            parts.append(_text("tick middle", x(value), height - 7, _short(value * 100)))
        for index, row in enumerate(rows):
            pair = row.pairs[place]
            if pair is not None:
                parts.append(_dumbbell(row, pair, x, top + line * (index + 0.5)))
    return _svg(width, height, "".join(parts), "dumbbells", title, style=f"--w:{width}")


def _dumbbell(row: Change, pair: tuple[float, float], x: Axis, at: float) -> str:
    kind = "reference" if row.reference else "method"
    start, end = x(pair[0]), x(pair[1])
    tip = f"<title>{escape(row.title)}: {pair[0] * 100:.1f} to {pair[1] * 100:.1f}</title>"
    return (
        f'<line class="bar {kind}" x1="{start:.1f}" x2="{end:.1f}" y1="{at}" y2="{at}"/>'
        f'<circle class="dot {kind} filled" cx="{start:.1f}" cy="{at}" r="3.8"/>'
        f'<circle class="dot {kind} hollow" cx="{end:.1f}" cy="{at}" r="3.8">{tip}</circle>'
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def interval_mark(value: float, low: float | None, high: float | None, axis: tuple[float, float]) -> Markup:
    """A hairline as wide as the column's range, with the interval and the value on it."""
    width = 64
    start, end = axis
    x = Axis(start, end if end > start else start + 1, 2, width - 2)
    bar = ""
    if low is not None and high is not None:
        a, b = x(max(low, start)), x(min(high, end))
        bar = f'<line class="range" x1="{a:.1f}" x2="{b:.1f}" y1="3.5" y2="3.5"/>'
    return Markup(
        f'<svg class="mark" viewBox="0 0 {width} 7" width="{width}" height="7" aria-hidden="true">'
        f'<line class="track" x1="0" x2="{width}" y1="3.5" y2="3.5"/>{bar}'
        f'<circle cx="{x(value):.1f}" cy="3.5" r="2.2"/></svg>'
    )


def _short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".").replace("-", "−") or "0"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(width: int, height: int, body: str, name: str, label: str, style: str = "") -> Markup:
    head = f'class="figure {name}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"'
    head += f' style="{style}"' if style else ""
    return Markup(f"<svg {head}>{body}</svg>")
