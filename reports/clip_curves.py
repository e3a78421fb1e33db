"""What happens over the frames of clips: the judged intensity and the landmark error, real and of each row.

A curve is the mean over subjects of their own means; its band is Student's 95 % interval over subjects, frame
by frame. With two or three subjects bands are as wide as they ought to be: they are cut at the axes' ends,
which for the landmark error lie at most at twice the largest mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup, escape

from fesbench.records.frames import read_frames
from fesbench.statistics.intervals import t_interval
from fesbench.vocabulary import EXPRESSIONS

from .boards import Board
from .figures import Axis, ticks

SHOWN = {
    "intensity": "The judge's probability of the requested expression",
    "NME": "Landmark error (NME) in inter-ocular distances",
}
TRUE = "true intensity"
_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 200, 128, 30, 8, 8, 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Mean and bounds at each frame, (T,); NaN where unknown, and bounds where one subject allows none."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class CurvePanel:
    """One row against the real clips."""

    title: str
    kind: str
    figure: Markup


@dataclass(frozen=True)
class CurveFigure:
    """One value, a panel a row."""

    title: str
    panels: list[CurvePanel]


@dataclass(frozen=True)
class CurveView:
    """The figures of one label, or of all."""

    label: str
    figures: list[CurveFigure]


def band(table: pd.DataFrame, column: str) -> Band:
    """Over the subjects of a table with ``identity``, ``frame`` and ``column``."""
    each = table.pivot_table(index="identity", columns="frame", values=column, aggfunc="mean", dropna=False)
    values = each.to_numpy(dtype=np.float64)
    lines = []
    for frame in values.T:
        known = frame[np.isfinite(frame)]
        if not len(known):
            lines.append((np.nan, np.nan, np.nan))
            continue
        mean = float(known.mean())
        if len(known) == 1:
            lines.append((mean, np.nan, np.nan))
            continue
        error = float(known.std(ddof=1)) / np.sqrt(len(known))
        found = t_interval(mean, error, len(known), 0.95, "t over subjects")
        lines.append((mean, found.low, found.high))
    mean, low, high = np.array(lines).T
    return Band(mean, low, high)


def clip_curves(board: Board, task: str, domain: str, order: Sequence[str]) -> list[CurveView]:
    """Views of all labels together and of each; [] where no cell keeps its frames.

    Args:
        board: the rows.
        task: of clips.
        domain: of it.
        order: method ids, in the order of the leaderboard.

    Raises:
        RecordError: a cell's frames are damaged.
    """
    tables = {name: found for name in order if (found := _frames(board, name, task, domain)) is not None}
    rank = {name: place for place, name in enumerate(EXPRESSIONS)}
    labels = sorted(
        {label for t in tables.values() for label in t["target_expression"]}, key=rank.__getitem__
    )
    views = []
    for label in ["all labels", *(labels if len(labels) > 1 else [])]:
        chosen = {
            name: table if label == "all labels" else table[table["target_expression"] == label]
            for name, table in tables.items()
        }
        figures = [found for column in SHOWN if (found := _figure(board, chosen, column)) is not None]
        if figures:
            views.append(CurveView(label, figures))
    return views


def _frames(board: Board, method: str, task: str, domain: str) -> pd.DataFrame | None:
    """The frames of all seeds of a row, with subject and label."""
    parts = []
    for run in board.methods[method]:
        frames, samples = read_frames(run.folder), run.samples
        if frames is None or samples is None:
            continue
        asked = samples[(samples["task"] == task) & (samples["domain"] == domain)]
        part = frames.join(asked[["identity", "target_expression"]], on="request", how="inner")
        if len(part):
            parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else None


def _figure(board: Board, tables: dict[str, pd.DataFrame], column: str) -> CurveFigure | None:
    bands = {
        name: found
        for name, table in tables.items()
        if column in table and len(table) and np.isfinite((found := band(table, column)).mean).any()
    }
    rows = [name for name in bands if name != "real"]
    if not rows:
        return None
    real, true = bands.get("real"), None
    if column == "intensity":
        top = 1.0
        first = tables[rows[0]]
        true = band(first, TRUE).mean if TRUE in first else None
    else:
        top = room(list(bands.values()))
    panels = []
    for name in rows:
        run = board.methods[name][0]
        label = f"{SHOWN[column]} over time: {run.title}"
        figure = panel(bands[name], real, true, top=top, label=label)
        panels.append(CurvePanel(run.title, "reference" if run.reference else "method", figure))
    return CurveFigure(SHOWN[column], panels)


def room(bands: Sequence[Band]) -> float:
    """Upper end of an axis that holds the bands up to twice the largest mean."""
    most = max(float(np.nanmax(found.mean)) for found in bands)
    highest = max(float(np.nanmax(found.high, initial=most)) for found in bands)
    return 1.05 * min(highest, 2 * most)


def panel(own: Band, real: Band | None, true: Floats | None, *, top: float, label: str) -> Markup:
    """One small drawing: the row's curve and band over the real clips', the true intensity dashed.

    Args:
        own, real, true: over the same T frames.
        top: upper end of the axis, which begins at 0.
        label: for those who do not see it.
    """
    length = len(own.mean)
    x = Axis(1, max(length, 2), _LEFT, _WIDE - _RIGHT)
    y = Axis(0.0, top or 1.0, _HIGH - _BOTTOM, _TOP)
    parts = []
    for value in ticks(0.0, y.high, 3):
        parts.append(
            f'<path class="gridline" d="M{_LEFT} {y(value):.1f}H{_WIDE - _RIGHT}"/>'
            f'<text class="tick end" x="{_LEFT - 5}" y="{y(value) + 4:.1f}">{value:g}</text>'
        )
    parts.append(f'<text class="tick" x="{_LEFT}" y="{_HIGH - 5}">frame 1</text>')
    parts.append(f'<text class="tick end" x="{_WIDE - _RIGHT}" y="{_HIGH - 5}">{length}</text>')
    for kind, found in (("real", real), ("own", own)):
        if found is not None:
            parts += [_area(found, x, y, kind), _path(found.mean, x, y, kind)]
    if true is not None:
        parts.append(_path(true, x, y, "true"))
    head = f'class="figure over-time" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(label)}"'
    return Markup(f"<svg {head}>{''.join(parts)}</svg>")


def _path(values: Floats, x: Axis, y: Axis, kind: str) -> str:
    """A line that breaks where a value is unknown."""
    path, pen = "", "M"
    for place, value in enumerate(values.tolist()):
        if np.isfinite(value):
            path += f"{pen}{x(place + 1):.1f} {_within(value, y):.1f}"
            pen = "L"
        else:
            pen = "M"
    return f'<path class="mean {kind}" d="{path}"/>' if path else ""


def _area(found: Band, x: Axis, y: Axis, kind: str) -> str:
    """The band, over the frames that have one."""
    places = np.flatnonzero(np.isfinite(found.low) & np.isfinite(found.high)).tolist()
    if len(places) < 2:
        return ""
    ends = [(x(k + 1), _within(found.high[k], y)) for k in places]
    ends += [(x(k + 1), _within(found.low[k], y)) for k in reversed(places)]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in ends)
    return f'<polygon class="band {kind}" points="{points}"/>'


def _within(value: float, y: Axis) -> float:
    return y(min(max(value, y.low), y.high))
