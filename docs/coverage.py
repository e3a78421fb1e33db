"""Do the 95 % intervals hold the truth in 95 % of cases? A simulation, and its plots for docs/statistics.md.

Run ``python docs/coverage.py`` (some ten minutes on one core); it prints the tables and writes
``docs/images/coverage.png`` and ``coverage-rates.png``. Each trial draws subjects, each with a level of their
own and 4 to 10 images, and asks for an interval of a quantity whose true value is known:

- ``score``: the mean of a continuous score, subject and image scattering alike;
- ``success rate``: the mean of right or wrong, with subjects' own rates drawn from Beta(4, 2);
- ``difference``: the paired difference of two methods that share each subject's level.

The second plot is of success rates alone, up to 0.98: 7 images a subject, whose rates are drawn from a Beta
distribution of that mean and within-subject correlation.

Beside fesbench's interval stands the naive one, Student's t over images, that treats every image as a
subject of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from fesbench.statistics.intervals import cluster_mean, cluster_sums
from fesbench.statistics.paired import difference_of_means

PEOPLE = (8, 12, 40)
QUANTITIES = ("score", "success rate", "difference")
TRIALS = 1000
RATES, CORRELATIONS, RATE_PEOPLE, RATE_TRIALS = (0.5, 0.8, 0.9, 0.95, 0.98), (0.3, 0.6), (8, 10, 20, 40), 2000
LEVEL = 0.95
TARGET = (0.93, 0.97)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """Share of trials in which an interval held the truth."""

    quantity: str
    people: int
    fesbench: float
    naive: float


def draw(
    quantity: str, people: int, rng: np.random.Generator
) -> tuple[Floats, Floats, npt.NDArray[np.int64], float]:
    """Values (N,) of two methods, the subject of each image (N,), and the true value of the quantity."""
    who = np.repeat(np.arange(people), rng.integers(4, 11, people))
    if quantity == "success rate":
        rates = rng.beta(4, 2, people)
        return (rng.random(len(who)) < rates[who]).astype(float), np.zeros(len(who)), who, 4 / 6
    level, noise = rng.normal(size=people)[who], rng.normal(size=(2, len(who)))
    if quantity == "score":
        return level + noise[0], np.zeros(len(who)), who, 0.0
    # beside the level that both share, subjects differ in how much the second method helps them
    gain = 0.5 * rng.normal(size=people)[who]
    return level + gain + noise[0], level + noise[1], who, 0.0


def covered(quantity: str, people: int, trial: int) -> tuple[bool, bool]:
    """Whether fesbench's and the naive interval hold the truth in one trial."""
    rng = np.random.default_rng([QUANTITIES.index(quantity), people, trial])
    a, b, who, truth = draw(quantity, people, rng)
    if quantity == "difference":
        ours = difference_of_means(*cluster_sums(a, who), *cluster_sums(b, who), seed=trial)
        low, high = ours.low, ours.high
    else:
        interval = cluster_mean(a, who, seed=trial, bounds=(0.0, 1.0) if quantity == "success rate" else None)
        low, high = interval.low, interval.high
    gap = a - b
    half = float(stdtrit(len(gap) - 1, (1 + LEVEL) / 2)) * float(gap.std(ddof=1)) / math.sqrt(len(gap))
    return low <= truth <= high, abs(float(gap.mean()) - truth) <= half


def simulate(quantity: str, people: int, trials: int = TRIALS) -> Coverage:
    """Coverage over many trials; every trial has its own seed."""
    held = np.array([covered(quantity, people, trial) for trial in range(trials)])
    return Coverage(quantity, people, float(held[:, 0].mean()), float(held[:, 1].mean()))


def plot(found: list[Coverage], path: Path) -> None:
    """Coverage of both intervals over the number of subjects, one panel a quantity."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(QUANTITIES), figsize=(10, 3.4), sharey=True, layout="constrained")
    for panel, quantity in zip(panels, QUANTITIES, strict=True):
        rows = [row for row in found if row.quantity == quantity]
        place = np.arange(len(rows))
        panel.axhspan(*(100 * x for x in TARGET), color="#d9ead3", zorder=0)
        panel.axhline(100 * LEVEL, color="#6a9a5b", linewidth=1, zorder=1)
        series = (
            ("fesbench: subjects resampled", "fesbench", "o", "#1f4e79"),
            ("naive: images", "naive", "s", "#b5472f"),
        )
        for label, field, marker, color in series:
            shares = np.array([getattr(row, field) for row in rows])
            error = 196 * np.sqrt(shares * (1 - shares) / TRIALS)
            panel.errorbar(place, 100 * shares, yerr=error, fmt=marker, color=color, capsize=3, label=label)
            for x, y in zip(place, 100 * shares, strict=True):
                panel.annotate(
                    f"{y:.1f}", (x, y), xytext=(7, -3), textcoords="offset points", fontsize=8, color=color
                )
        panel.set_xticks(place, [str(row.people) for row in rows])
        panel.set_xlim(-0.4, len(rows) - 0.4)
        panel.set_title(quantity, fontsize=10)
        panel.set_xlabel("subjects")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("95 % intervals that hold the truth, %")
    panels[0].set_ylim(50, 100)
    panels[0].legend(loc="lower left", frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def rate_coverage(rate: float, correlation: float, people: int, trials: int = RATE_TRIALS) -> float:
    """Share of trials in which the interval of a success rate holds it."""
    held, spread = 0, 1 / correlation - 1
    who = np.repeat(np.arange(people), 7)
    for trial in range(trials):
        rng = np.random.default_rng([int(100 * rate), int(10 * correlation), people, trial])
        own = rng.beta(rate * spread, (1 - rate) * spread, people)
        answers = (rng.random(len(who)) < own[who]).astype(float)
        found = cluster_mean(answers, who, seed=trial, bounds=(0.0, 1.0), replicates=1000)
        held += found.low <= rate <= found.high
    return held / trials


def plot_rates(found: dict[tuple[float, float, int], float], path: Path) -> None:
    """Coverage over the rate, one panel a correlation, one line a number of subjects."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(CORRELATIONS), figsize=(8, 3.2), sharey=True, layout="constrained")
    for panel, correlation in zip(panels, CORRELATIONS, strict=True):
        panel.axhline(100 * LEVEL, color="#6a9a5b", linewidth=1)
        for people in RATE_PEOPLE:
            shares = [100 * found[rate, correlation, people] for rate in RATES]
            panel.plot(range(len(RATES)), shares, marker="o", markersize=4, label=f"{people} subjects")
        panel.set_xticks(range(len(RATES)), [f"{rate:g}" for rate in RATES])
        panel.set_title(f"correlation within a subject {correlation:g}", fontsize=10)
        panel.set_xlabel("true rate")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("95 % intervals that hold it, %")
    panels[0].set_ylim(90, 100.3)
    panels[0].legend(loc="lower right", frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Simulate everything, print it, and write the plots."""
    rates = {
        (rate, correlation, people): rate_coverage(rate, correlation, people)
        for rate in RATES
        for correlation in CORRELATIONS
        for people in RATE_PEOPLE
    }
    for (rate, correlation, people), share in rates.items():
        print(f"rate {rate:4} correlation {correlation} {people:3} subjects: {share:.1%}", flush=True)  # noqa: T201
    plot_rates(rates, Path(__file__).parent / "images" / "coverage-rates.png")
    found = [simulate(quantity, people) for quantity in QUANTITIES for people in PEOPLE]
    for row in found:
        print(  # noqa: T201
            f"{row.quantity:13} {row.people:3} subjects: fesbench {row.fesbench:.1%}, naive {row.naive:.1%}"
        )
    plot(found, Path(__file__).parent / "images" / "coverage.png")


if __name__ == "__main__":
    main()
