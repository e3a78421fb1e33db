"""How much faster is a run on many workers, and what bounds it? A simulation from measured stage times.

``docs/data/stage-seconds.csv`` holds the seconds of each cell of the suite (protocol avatars, preset tiny,
budget smoke, 64 px, one thread, November 2026 on two busy cores). Cells are handed out as the engines do it:
in the order of the plan, each to the first worker that is free. What cells share, the judges of a protocol
that trains them above all, is made before, by one process.

``python -m tests.benchmarks.page`` prints the figures into docs/performance.md and draws the curves.
"""

from __future__ import annotations

import csv
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

from fesbench.methods.registry import methods

TIMES = Path(__file__).parents[2] / "docs" / "data" / "stage-seconds.csv"
STAGES = ("train", "synthesize", "cost", "score")
WORKERS = (1, 2, 4, 8, 16, 32, 64)


def read_times(path: Path = TIMES) -> dict[str, dict[str, float]]:
    """Seconds of each stage by method, in the order of the plan: reference rows first."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = {row["method"]: {s: float(row[s]) for s in STAGES} for row in csv.DictReader(stream)}
    known = methods()
    return dict(sorted(rows.items(), key=lambda item: (not known[item[0]].card.reference, item[0])))


def makespan(cells: Sequence[float], workers: int) -> float:
    """Seconds until the last cell is done, each taken in turn by the first worker that is free.

    >>> makespan([3, 1, 1, 2], 2)
    4
    """
    free = [0.0] * workers
    for seconds in cells:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


@dataclass(frozen=True)
class Plan:
    """A run to simulate.

    Attributes:
        title: for the page.
        cells: seconds each, in the order of the plan.
        shared: seconds of what one process does before the cells.
    """

    title: str
    cells: tuple[float, ...]
    shared: float = 0.0

    def seconds(self, workers: int) -> float:
        """From the command to the last score."""
        return self.shared + makespan(self.cells, workers)

    def speedup(self, workers: int) -> float:
        """Against one worker."""
        return self.seconds(1) / self.seconds(workers)

    @property
    def most(self) -> float:
        """What no number of workers beats: the shared part and the longest cell remain."""
        return self.seconds(1) / (self.shared + max(self.cells))

    @property
    def bound(self) -> str:
        """Which of them it is."""
        return "longest cell" if max(self.cells) > self.shared else "shared judges"


def plans() -> list[Plan]:
    """The whole suite once, with three seeds, and in five folds with judges of their own."""
    times = read_times()
    once = {name: sum(stages.values()) for name, stages in times.items()}
    trained = {name: seconds for name, seconds in once.items() if not methods()[name].card.reference}
    # What one process did beside the cells of a measured default run took as long as one training.
    judge = sorted(stages["train"] for name, stages in times.items() if stages["train"] > 60)
    panel = judge[len(judge) // 2]
    seeds = (*once.values(), *trained.values(), *trained.values())
    folds = tuple(seconds for seconds in once.values() for _ in range(5))
    return [
        Plan("one seed, judges of the package", tuple(once.values())),
        Plan("three seeds, judges of the package", seeds),
        Plan("three seeds, judges trained first", seeds, panel),
        Plan("five folds, each with judges trained first", folds, 5 * panel),
        Plan("the same, longest cells first", tuple(sorted(folds, reverse=True)), 5 * panel),
    ]


def draw(found: Sequence[Plan]) -> str:
    """Speed-up over workers, both axes by powers of two, as SVG."""
    width, height, left, bottom = 560, 330, 46, 40
    across, up = (width - left - 12) / 6, (height - bottom - 12) / 6
    colors = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44")

    def at(workers: float, value: float) -> str:
        return f"{left + across * log2(workers):.1f},{height - bottom - up * log2(value):.1f}"

    parts = [f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for power in range(7):
        x, y = at(2**power, 2**power).split(",")
        parts += [
            f'<path d="M{x} 12V{height - bottom}M{left} {y}H{width - 12}" stroke="#ddd"/>',
            f'<text x="{x}" y="{height - bottom + 15}" text-anchor="middle">{2**power}</text>',
            f'<text x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{2**power}</text>',
        ]
    parts.append(f'<path d="M{at(1, 1)}L{at(64, 64)}" stroke="#999" stroke-dasharray="4 3"/>')
    for place, (plan, color) in enumerate(zip(found, colors, strict=True)):
        line = " ".join(at(n, plan.speedup(n)) for n in range(1, 65))
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.8"/>',
            f'<rect x="{left + 10}" y="{20 + 17 * place}" width="14" height="4" fill="{color}"/>',
            f'<text x="{left + 30}" y="{26 + 17 * place}">{plan.title}</text>',
        ]
    parts.append(f'<text x="{left + 3 * across:.0f}" y="{height - 6}" text-anchor="middle">workers</text>')
    label = "Speed-up of a run over the number of workers"
    style = "font:12px sans-serif"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" style="{style}" role="img" aria-label="{label}">{"".join(parts)}</svg>\n'
    )
