"""Do intervals hold the truth when subjects and judges are both drawn? A simulation, and its plot.

Run ``python docs/judge_coverage.py`` (some minutes on one core); it prints the table and writes
``docs/images/coverage-judges.png``, which docs/statistics.md explains. In each trial subjects and judges are
drawn anew. An image has log odds of showing what was asked for, shared in part by its subject's other images;
a judge of the panel sees them moved by a shift of its own, the same on every image, and by chance on each
image. The panel's probability is the mean of its members', and an image is right above one half. The truth is
the rate over all subjects and all panels of that size. Of a difference two methods are judged by one panel,
whose shifts are in part its own for each method.

Beside fesbench's interval stands the one over subjects alone, which takes the panel for the only one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fesbench.statistics.intervals import cluster_mean, cluster_sums
from fesbench.statistics.judges import JudgeTerm, widened
from fesbench.statistics.paired import difference_of_means

PANELS, PEOPLE, TRIALS, IMAGES = (3, 5), (8, 40), 1000, 7
SCORES = {"rate 0.5": (0.0,), "rate 0.8": (1.8,), "rate 0.95": (3.5,)}
DIFFERENCES = {"equal methods": (1.0, 1.0), "other methods": (2.5, 0.5)}
JUDGES = {"alike": (0.0, 0.5), "0.3": (0.3, 0.5), "1": (1.0, 0.5), "by image": (0.3, 2.5)}
"""Standard deviations in log odds: of the judges' shifts, and of their answers to single images."""

Floats = npt.NDArray[np.float64]
Panel = npt.NDArray[np.float64]
"""(K, images) probabilities."""


@dataclass(frozen=True)
class Coverage:
    """Share of trials in which an interval held the truth."""

    quantity: str
    judges: str
    members: int
    people: int
    crossed: float
    subjects: float


def odds(base: float, who: npt.NDArray[np.int64], level: Floats, rng: np.random.Generator) -> Floats:
    """Log odds of images: of their method, their subject, the subject under this method, and their own."""
    own = 0.7 * rng.normal(size=len(level))
    noise: Floats = base + level[who] + own[who] + 0.8 * rng.normal(size=len(who))
    return noise


def panels(
    bases: tuple[float, ...], judges: str, members: int, people: int, rng: np.random.Generator
) -> tuple[list[Panel], npt.NDArray[np.int64]]:
    """What the panel says of each method's images, and whose images they are."""
    shift, noise = JUDGES[judges]
    who, level = np.repeat(np.arange(people), IMAGES), rng.normal(size=people)
    common = shift * math.sqrt(0.5) * rng.normal(size=(members, 1))
    said = []
    for base in bases:
        own = shift * math.sqrt(0.5) * rng.normal(size=(members, 1))
        seen = odds(base, who, level, rng) + common + own
        said.append(expit(seen + noise * rng.normal(size=(members, len(who)))))
    return said, who


def right(panel: Panel) -> Floats:
    """Whether the panel as a whole is right about each image."""
    return (panel.mean(axis=0) > 0.5).astype(float)


def without(panel: Panel) -> list[float]:
    """The panel's score without each judge."""
    return [float(right(np.delete(panel, k, axis=0)).mean()) for k in range(len(panel))]


def truth(bases: tuple[float, ...], judges: str, members: int, images: int = 400_000) -> float:
    """The rate over all subjects and panels, or the difference of two."""
    rng, (shift, noise) = np.random.default_rng(0), JUDGES[judges]
    rates = []
    for base in bases:
        seen = base + math.sqrt(1 + 0.7**2 + 0.8**2) * rng.normal(size=images)
        rates.append(
            right(expit(seen + math.hypot(shift, noise) * rng.normal(size=(members, images)))).mean()
        )
    return float(rates[0] - rates[1] if len(rates) == 2 else rates[0])


def bounds(said: list[Panel], who: npt.NDArray[np.int64], seed: int) -> tuple[tuple[float, float], ...]:
    """The interval over subjects and judges, and that over subjects alone."""
    values = [right(panel) for panel in said]
    if len(said) == 1:
        alone = cluster_mean(values[0], who, seed=seed, bounds=(0.0, 1.0), replicates=500)
        whole = widened(alone, without(said[0]), bounds=(0.0, 1.0), trials=len(who))
        return (whole.low, whole.high), (alone.low, alone.high)
    sums = [part for one in values for part in cluster_sums(one, who)]
    term = JudgeTerm.between(without(said[0]), without(said[1]), same=True)
    both, one = (difference_of_means(*sums, seed=0, judges=judges) for judges in (term, JudgeTerm()))
    return (both.low, both.high), (one.low, one.high)


def simulate(quantity: str, judges: str, members: int, people: int, trials: int = TRIALS) -> Coverage:
    """Coverage over many trials; every trial has its own seed."""
    bases = (SCORES | DIFFERENCES)[quantity]
    target, held = truth(bases, judges, members), np.zeros((trials, 2))
    for trial in range(trials):
        said, who = panels(bases, judges, members, people, np.random.default_rng([members, people, trial]))
        held[trial] = [low <= target <= high for low, high in bounds(said, who, trial)]
    crossed, subjects = held.mean(axis=0)
    return Coverage(quantity, judges, members, people, float(crossed), float(subjects))


def plot(found: list[Coverage], path: Path) -> None:
    """Coverage over the judges' spread, one plot a quantity, one line a size of panel and sample."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    quantities = list(SCORES | DIFFERENCES)
    figure, axes = plt.subplots(1, len(quantities), figsize=(13, 3.6), sharey=True, layout="constrained")
    colors = {(3, 8): "#7fa8d1", (3, 40): "#1f4e79", (5, 8): "#e0a07d", (5, 40): "#b5472f"}
    for axis, quantity in zip(axes, quantities, strict=True):
        axis.axhline(95, color="#6a9a5b", linewidth=1)
        for (members, people), color in colors.items():
            rows = [r for r in found if (r.quantity, r.members, r.people) == (quantity, members, people)]
            label = f"{members} judges, {people} subjects"
            axis.plot([100 * r.crossed for r in rows], marker="o", markersize=4, color=color, label=label)
            axis.plot([100 * r.subjects for r in rows], linestyle=":", linewidth=1, color=color)
        axis.set_xticks(range(len(JUDGES)), list(JUDGES))
        axis.set_title(quantity, fontsize=10)
        axis.set_xlabel("judges' spread, log odds")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("95 % intervals that hold the truth, %")
    axes[0].set_ylim(50, 101)
    axes[2].legend(
        loc="center left", frameon=False, fontsize=8, title="dotted: subjects alone", title_fontsize=8
    )
    figure.savefig(path, dpi=130)


def main() -> None:
    """Simulate everything, print it, and write the plot."""
    found = []
    for quantity in SCORES | DIFFERENCES:
        for members in PANELS:
            for people in PEOPLE:
                for judges in JUDGES:
                    row = simulate(quantity, judges, members, people)
                    found.append(row)
                    print(  # noqa: T201
                        f"{quantity:13} {members} judges ({judges:8}) {people:2} subjects: "
                        f"crossed {row.crossed:.1%}, subjects alone {row.subjects:.1%}",
                        flush=True,
                    )
    plot(found, Path(__file__).parent / "images" / "coverage-judges.png")


if __name__ == "__main__":
    main()
