"""What do a Fréchet distance and its interval say at n images? A simulation, and its plot.

Run ``python docs/frechet.py`` (some three minutes on one core); it prints the table and writes
``docs/images/frechet.png`` for docs/statistics.md. Real and generated features are Gaussian in d dimensions
with the falling spectrum of network features (variance 1/i on axis i), 40 subjects of 7 images each, half of
the variance between subjects; the generated side is of the same subjects. Two cases: equal distributions
(true distance 0), and a generated side with half the spread and a small shift, whose true distance is known.
For each number of dimensions:

- ``FD_n``: its mean over trials, that is E[FD_n], beside the true distance;
- ``FID-inf``: the mean of the extrapolated distance, and the share of FD_n's bias that it takes away;
- how often FD_n's interval holds E[FD_n], and how often the true distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fesbench.metrics.distribution.frechet_math import frechet_distance, frechet_jackknife
from fesbench.metrics.distribution.frechet_variants import frechet_extrapolated

DIMENSIONS = (16, 64, 256, 2048)
PEOPLE, IMAGES = 40, 7
SPREAD, SHIFT = 0.5, 0.1
EXPECTATION_TRIALS = {16: 400, 64: 400, 256: 60, 2048: 40}
INTERVAL_TRIALS = {16: 200, 64: 200, 256: 25, 2048: 16}
EXTRAPOLATED_TRIALS = {16: 40, 64: 40, 256: 8, 2048: 8}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What was found at one number of dimensions, in one case."""

    dimensions: int
    different: bool
    truth: float
    expected: float
    extrapolated: float
    holds_expected: float
    holds_truth: float

    @property
    def taken(self) -> float:
        """Share of FD_n's bias that the extrapolation takes away."""
        return (self.expected - self.extrapolated) / (self.expected - self.truth)


def draw(dimensions: int, different: bool, trial: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Generated and real features (n, d), and the subject of each row of either."""
    rng = np.random.default_rng([dimensions, different, trial])
    deviation = 1 / np.sqrt(np.arange(1, dimensions + 1))
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    level = rng.normal(size=(PEOPLE, dimensions))[who]
    real, made = (
        deviation * np.sqrt(0.5) * (level + rng.normal(size=(len(who), dimensions))) for _ in range(2)
    )
    return (made * SPREAD + SHIFT * deviation if different else made), real, who


def true_distance(dimensions: int, different: bool) -> float:
    """Of the two populations."""
    variance = float((1 / np.arange(1, dimensions + 1)).sum())
    return variance * ((1 - SPREAD) ** 2 + SHIFT**2) if different else 0.0


def simulate(dimensions: int, different: bool) -> Found:
    """All trials of one number of dimensions; every trial has its own seed."""
    truth = true_distance(dimensions, different)
    trials = EXPECTATION_TRIALS[dimensions]
    samples = (draw(dimensions, different, trial)[:2] for trial in range(trials))
    expected = float(np.mean([frechet_distance(a, b) for a, b in samples]))
    intervals = []
    for trial in range(INTERVAL_TRIALS[dimensions]):
        made, real, who = draw(dimensions, different, 10_000 + trial)
        intervals.append(frechet_jackknife(made, real, who, who))
    extrapolated = []
    for trial in range(EXTRAPOLATED_TRIALS[dimensions]):
        made, real, who = draw(dimensions, different, trial)
        extrapolated.append(frechet_extrapolated(made, real, who, who, seed=0).value)
    held = [float(np.mean([i.low <= x <= i.high for i in intervals])) for x in (expected, truth)]
    return Found(dimensions, different, truth, expected, float(np.mean(extrapolated)), *held)


def plot(found: list[Found], path: Path) -> None:
    """Expectations over dimensions, one panel a case."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for panel, different in zip(panels, (False, True), strict=True):
        rows = [row for row in found if row.different == different]
        place = np.arange(len(rows))
        for label, field, marker, color in (
            ("E[FD_n]", "expected", "o", "#b5472f"),
            ("FID-inf", "extrapolated", "s", "#1f4e79"),
            ("true distance", "truth", "_", "#4d7a3f"),
        ):
            values = [getattr(row, field) for row in rows]
            panel.plot(place, values, marker=marker, markersize=5, color=color, label=label)
        panel.set_xticks(place, [f"{row.dimensions:,}" for row in rows])
        panel.set_title("different distributions" if different else "equal distributions", fontsize=10)
        panel.set_xlabel("dimensions")
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"distance, {PEOPLE * IMAGES} images a side")
    panels[0].legend(loc="upper left", frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Simulate everything, print it, and write the plot."""
    found = []
    for different in (False, True):
        for dimensions in DIMENSIONS:
            row = simulate(dimensions, different)
            found.append(row)
            print(  # noqa: T201
                f"{'different' if different else 'equal':9} d {dimensions:5}: true {row.truth:.3f}, "
                f"E[FD_n] {row.expected:.3f}, FID-inf {row.extrapolated:.3f} ({row.taken:.0%} of the bias "
                f"taken), interval holds E[FD_n] {row.holds_expected:.1%}, the true distance "
                f"{row.holds_truth:.1%}",
                flush=True,
            )
    plot(found, Path(__file__).parent / "images" / "frechet.png")


if __name__ == "__main__":
    main()
