"""Where to put the names of points so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER = 6.4
"""Mean advance of a 12 px sans-serif letter, px; a little generous, so that labels keep their distance."""


@dataclass(frozen=True)
class Box:
    """An axis-parallel box in px."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Box) -> bool:
        """Whether the other lies wholly inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def place_labels(
    points: Sequence[tuple[float, float, str]],
    frame: Box,
    taken: Sequence[Box] = (),
    crossed: Sequence[Box] = (),
) -> list[tuple[Box, tuple[float, float, float, float] | None]]:
    """Label boxes that meet neither each other nor a marker, with a leader line where one moved away.

    Args:
        points: (x px, y px, text).
        frame: Labels stay inside it.
        taken: Boxes to keep clear of.
        crossed: Boxes (interval bars) that a label would rather not cross.
    """
    markers = [Box(px - 6, py - 6, px + 6, py + 6) for px, py, _ in points]
    placed: list[tuple[Box, tuple[float, float, float, float] | None]] = []
    for index, (px, py, text) in enumerate(points):
        wide = CHARACTER * len(text) + 4
        best: tuple[float, Box] | None = None
        for distance in (10.0, 16.0, 26.0, 40.0, 58.0, 80.0, 105.0):
            for turn in range(16):
                angle = turn * math.pi / 8
                side = 0.0 if abs(math.cos(angle)) < 0.3 else math.copysign(wide / 2, math.cos(angle))
                cx = px + math.cos(angle) * distance + side
                cy = py - math.sin(angle) * (distance + 6)
                box = Box(cx - wide / 2, cy - 7, cx + wide / 2, cy + 7)
                clash = sum(box.meets(b) for b, _ in placed) + sum(box.meets(b) for b in taken)
                clash += sum(box.meets(m) for i, m in enumerate(markers) if i != index)
                off = not frame.holds(box)
                # To the right, a little up, is where a reader looks first.
                cost = 1000.0 * (clash + off) + 14 * sum(box.meets(b) for b in crossed)
                cost += distance + 2 * abs(math.sin(angle)) + 3 * (math.cos(angle) < -0.1)
                if best is None or cost < best[0]:
                    best = cost, box
        assert best is not None
        box = best[1]
        placed.append((box, _leader(px, py, box)))
    return placed


def _leader(px: float, py: float, box: Box) -> tuple[float, float, float, float] | None:
    nx, ny = min(max(px, box.left), box.right), min(max(py, box.top + 3), box.bottom - 3)
    if math.hypot(nx - px, ny - py) < 16:
        return None
    return px, py, nx, ny
