"""What a budget buys, as a page: ``python -m fesbench.runs.learning_page [RUNS]`` writes docs/learning.md.

With a runs folder its trainings take their places among the measured points in docs/data/learning.csv;
without, page and picture are made anew from the points that are there.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.progress import Reporter
from fesbench.reports.learning_curves import SHOWN, LearningCurve, Look, draw

if TYPE_CHECKING:
    from fesbench.methods.base import Method

DOCS = Path(__file__).parents[2] / "docs"
PAGE, DATA, PICTURE = DOCS / "learning.md", DOCS / "data" / "learning.csv", DOCS / "images" / "learning.svg"
SCORES = (*SHOWN, "PSNR", "images")
BAR = {"ECS": 0.25, "Rank-1": 0.5, "Target-cosine": 0.2}
"""What is called learned: twice the chance of eight labels, half of the subjects, the true change."""
_HEAD = """\
# What a budget buys

Made by `python -m fesbench.runs.learning_page` from points that trainings logged (`docs/data/learning.csv`);
`fesbench curve RUNS` draws your own. Protocol `{protocol}`, preset `tiny`, on CPU: scores of a few images of
*validation* subjects, at most eight times in a training, by the protocol's own judge and dlib's network. They
choose no weights. With {few} images an ECS or Rank-1 is known to about 0.15 either way: read the shapes, not
the decimals. The leaderboard measures test subjects, with intervals.

`smoke` is about a minute a method on two cores and shows that everything works; `short` is six times that, or
what a method needs to learn, at most twenty minutes.
*Learned* stands where the last point has ECS >= {ECS} (a guess has 0.125), Rank-1 >= {rank} and
Target-cosine >= {cosine}: the judge sees the expression, the subject is still known, and the change points to
the true one. {shift}

![Scores over the steps of each training](images/learning.svg)

*A dot alone: a method that is fitted at once, or weights of the zoo, scored when they were made.*

"""


@dataclass(frozen=True)
class Training:
    """One row of the page.

    Attributes:
        method: id.
        budget: of the training.
        protocol: with every override.
        origin: see `LearningCurve`.
        looks: by step.
    """

    method: str
    budget: str
    protocol: str
    origin: str
    looks: tuple[Look, ...]

    @property
    def last(self) -> Mapping[str, float]:
        """The scores when it ended."""
        return self.looks[-1].scores

    @property
    def learned(self) -> bool:
        """Whether its last point clears `BAR`."""
        return all(self.last.get(name, 0.0) >= least for name, least in BAR.items())


def measured(runs: Path) -> list[Training]:
    """The finished trainings below a runs folder, the reference that learns among them, and those of the zoo.

    Raises:
        RecordError: no record, or a damaged log.
    """
    from fesbench.reports.boards import read_runs
    from fesbench.runs.curves import curve_of
    from fesbench.runs.zoo import zoo_cards

    found = []
    for run in read_runs(runs)[0]:
        curve, cell = curve_of(run, run.method, runs, Reporter()), run.record.cell
        if curve is not None and curve.origin != "zoo" and "train" in run.record.stages:
            found.append(Training(cell.method, cell.budget, cell.protocol, curve.origin, curve.looks))
    logged = {(one.method, one.budget) for one in found}
    for name, card in zoo_cards().items():
        if (name, card.budget) not in logged:
            look = Look(sum(card.steps.values()), card.validation)
            found.append(Training(name, card.budget, card.protocol, "zoo", (look,)))
    return found


def merged(known: Sequence[Training], new: Sequence[Training]) -> list[Training]:
    """The new ones and those known of other methods and budgets, by method.

    A curve is not given up for the zoo's dot of the same training.
    """
    curves = {(one.method, one.budget) for one in known if one.origin != "zoo"}
    fresh = [one for one in new if one.origin != "zoo" or (one.method, one.budget) not in curves]
    again = {(one.method, one.budget) for one in fresh}
    kept = [one for one in known if (one.method, one.budget) not in again]
    return sorted([*kept, *fresh], key=lambda one: (one.method, one.budget))


def write_points(trainings: Sequence[Training], path: Path) -> None:
    """One row a point."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("method", "budget", "protocol", "origin", "step", *SCORES))
        for one in trainings:
            for look in one.looks:
                values = (f"{look.scores[name]:g}" if name in look.scores else "" for name in SCORES)
                writer.writerow((one.method, one.budget, one.protocol, one.origin, look.step, *values))


def read_points(path: Path) -> list[Training]:
    """What `write_points` wrote."""
    looks: dict[tuple[str, str, str, str], list[Look]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            scores = {name: float(row[name]) for name in SCORES if row[name]}
            key = (row["method"], row["budget"], row["protocol"], row["origin"])
            looks.setdefault(key, []).append(Look(int(row["step"]), scores))
    return [Training(*key, tuple(found)) for key, found in looks.items()]


def picture(trainings: Sequence[Training]) -> str:
    """One panel a training, SVG."""
    return draw([LearningCurve(f"{one.method}, {one.budget}", one.looks, one.origin) for one in trainings])


def page(trainings: Sequence[Training]) -> str:
    """The docs' page, Markdown."""
    from fesbench.methods.registry import METHODS, methods

    known = {name: kind for name, kind in methods().items() if name in METHODS.declared}
    few = int(min(one.last["images"] for one in trainings))
    shift = next((one.last for one in trainings if one.method == "mean-shift"), None)
    beside = ""
    if shift is not None:
        beside = "Adding the label's mean change (`mean-shift`) has " + ", ".join(
            f"{name} {shift[name]:.2f}" for name in SHOWN if name in shift
        )
    head = _HEAD.format(
        protocol="`, `".join(sorted({one.protocol for one in trainings})),
        few=few,
        ECS=BAR["ECS"],
        rank=BAR["Rank-1"],
        cosine=BAR["Target-cosine"],
        shift=f"{beside}." if beside else "",
    )
    lines = ["| method | budget | steps | ECS | Rank-1 | Target-cosine | |", "|---|---|---|---|---|---|---|"]
    lines += [_row(one) for one in trainings]
    text = head + "\n".join(lines) + "\n\n" + _told(trainings, known)
    shown = {one.method for one in trainings}
    absent = [
        kind.card for name, kind in sorted(known.items()) if name not in shown and not kind.card.reference
    ]
    why = {
        "answer no label on a source image": [c for c in absent if not c.controls & {"expression"}],
        f"need what `{trainings[0].protocol}` does not grant": [c for c in absent if "unlabelled" in c.needs],
    }
    why["are in no run that was measured"] = [
        c for c in absent if not any(c in found for found in why.values())
    ]
    for reason, cards in why.items():
        if cards:
            text += f"\nWithout points, since they {reason}: {', '.join(f'`{c.id}`' for c in cards)}.\n"
    return text


def _row(one: Training) -> str:
    shown = " | ".join(_shown(one, name) for name in SHOWN)
    budget = f"{one.budget} (zoo)" if one.origin == "zoo" else one.budget
    verdict = "learned" if one.learned else "**not learned**"
    return f"| `{one.method}` | {budget} | {one.looks[-1].step:,} | {shown} | {verdict} |"


def _shown(one: Training, name: str) -> str:
    """At half of the training and at its end."""
    values = [look.scores[name] for look in one.looks if name in look.scores]
    if not values:
        return "n/a"
    half = values[(len(values) - 1) // 2]
    return f"{half:.2f} → {values[-1]:.2f}" if len(values) > 1 else f"{values[-1]:.2f}"


def _told(trainings: Sequence[Training], known: Mapping[str, type[Method]]) -> str:
    """What does not learn, and what the methods' own files say of the budget."""
    text = "A pair of figures is half of the training and its end.\n"
    short_of: dict[str, list[str]] = {}
    for one in trainings:
        if not one.learned:
            lacking = [
                f"{n} {one.last[n]:.2f}" for n, least in BAR.items() if n in one.last and one.last[n] < least
            ]
            short_of.setdefault(one.budget, []).append(
                f"`{one.method}` ({', '.join(lacking) or 'not measured'})"
            )
    for budget, rows in short_of.items():
        text += f"\nNot learned in `{budget}`: {', '.join(rows)}.\n"
    notes = {name: kind.budget_note("smoke") for name, kind in known.items()}
    if any(notes.values()):
        text += "\nWhat the methods say of `smoke` themselves:\n\n"
        text += "".join(f"- `{name}`: {note}\n" for name, note in sorted(notes.items()) if note)
    return text


def main(arguments: Sequence[str]) -> None:
    """Write points (where a runs folder is given), picture and page."""
    if arguments:
        write_points(merged(read_points(DATA), measured(Path(arguments[0]))), DATA)
    trainings = read_points(DATA)
    PICTURE.write_text(picture(trainings), encoding="utf-8")
    PAGE.write_text(page(trainings), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
