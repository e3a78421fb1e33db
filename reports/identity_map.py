"""Who resembles whom under which row: face vectors of real and generated frames on one plane.

All rows lie on one plane (`fesbench.metrics.motion.mds`), a panel each, over the real frames of the same
subjects: marks far from their own color's rings show a face that has become somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from fesbench.metrics.motion.mds import classical_mds, euclidean
from fesbench.records.frames import read_frames

from .boards import Board

SHAPES = ("circle", "square", "diamond", "triangle", "cross", "star")
"""A subject has a shape beside a color, for those who see no colors."""
_SIDE, _MARGIN = 180, 10


@dataclass(frozen=True)
class MapPanel:
    """One row over the real frames."""

    title: str
    kind: str
    figure: Markup


@dataclass(frozen=True)
class IdentityMap:
    """The panels, the subjects with their marks, and the share of the distances that the plane shows."""

    panels: list[MapPanel]
    subjects: list[tuple[str, Markup]]
    share: float


def identity_map(board: Board, task: str, domain: str, order: Sequence[str]) -> IdentityMap | None:
    """Of the rows that keep face vectors; None for fewer than four frames, or without the real ones.

    Args:
        board: the rows; of each the first seed.
        task: of clips.
        domain: of it.
        order: method ids, in the order of the leaderboard.

    Raises:
        RecordError: a cell's frames are damaged.
    """
    faces = {name: found for name in order if len(found := _faces(board, name, task, domain))}
    names = [(name, who) for name, found in faces.items() for who, _ in found]
    if "real" not in faces or len(faces) < 2 or len(names) < 4:
        return None
    scaling = classical_mds(euclidean(np.stack([face for found in faces.values() for _, face in found])))
    points = scaling.points
    span = float(np.ptp(points, axis=0).max()) or 1.0
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    # one scale for both axes, or distances would lie
    places = (points - middle) * np.array([1.0, -1.0]) / span * (_SIDE - 2 * _MARGIN) + _SIDE / 2
    people = sorted({who for _, who in names})
    number = {who: place for place, who in enumerate(people)}
    marks: dict[str, list[str]] = {}
    for (name, who), (x, y) in zip(names, places.tolist(), strict=True):
        look = "real" if name == "real" else "own"
        marks.setdefault(name, []).append(mark(x, y, number[who], look, who))
    panels = []
    for name in faces:
        if name != "real":
            run = board.methods[name][0]
            body = "".join([*marks["real"], *marks[name]])
            panels.append(
                MapPanel(run.title, "reference" if run.reference else "method", _svg(body, run.title))
            )
    keys = [
        (
            who,
            Markup(
                f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{mark(7, 7, k, "own", who)}</svg>'
            ),
        )
        for who, k in number.items()
    ]
    return IdentityMap(panels, keys, scaling.share)


def _faces(board: Board, method: str, task: str, domain: str) -> list[tuple[str, np.ndarray]]:
    """Subject and face vector of the frames that have one."""
    run = board.methods[method][0]
    frames, samples = read_frames(run.folder), run.samples
    if frames is None or samples is None or "face" not in frames:
        return []
    asked = samples[(samples["task"] == task) & (samples["domain"] == domain) & samples["publishable"]]
    kept = frames[frames["face"].notna()].join(asked["identity"], on="request", how="inner")
    return list(zip(kept["identity"].astype(str), kept["face"], strict=True))


def mark(x: float, y: float, subject: int, look: str, who: str) -> str:
    """A subject's mark with a tooltip, a ring for the real frames: ``look`` is "real" or "own"."""
    r = 3.6
    shape = SHAPES[subject % len(SHAPES)]
    css = f'class="face {look} who{subject % len(SHAPES)}"'
    told = f"<title>{escape(who)}</title>"
    if shape == "circle":
        return f'<circle {css} cx="{x:.1f}" cy="{y:.1f}" r="{r}">{told}</circle>'
    outline = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
        "cross": (
            *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
            *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
        ),
        "star": tuple(
            (radius * float(np.sin(k * np.pi / 5)), -radius * float(np.cos(k * np.pi / 5)))
            for k in range(10)
            for radius in [1.4 if k % 2 == 0 else 0.55]
        ),
    }[shape]
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in outline)
    return f'<polygon {css} points="{points}">{told}</polygon>'


def _svg(body: str, title: str) -> Markup:
    label = f"Faces of {escape(title)} over the real ones"
    frame = f'<rect class="frame" x=".5" y=".5" width="{_SIDE - 1}" height="{_SIDE - 1}"/>'
    return Markup(
        f'<svg class="figure faces" viewBox="0 0 {_SIDE} {_SIDE}" role="img" aria-label="{label}">'
        f"{frame}{body}</svg>"
    )
