"""Data sets of short films kept as image files: which frames become rows, and how they are described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.datasets.listing import ListedImage
from fesbench.errors import DataError
from fesbench.vocabulary import PEAK

_NAMED = 10


@dataclass(frozen=True)
class Clip:
    """One film of one subject with one expression.

    Attributes:
        sequence: its name in the manifest.
        identity: who.
        expression: vocabulary name of what is shown.
        files: by frame number, each with the image's name in the manifest.
        columns: what else the manifest says of every frame.
    """

    sequence: str
    identity: str
    expression: str
    files: dict[int, tuple[str, Path]] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        """The frame numbers, in the order of time."""
        return sorted(self.files)

    @property
    def has_gaps(self) -> bool:
        """Whether a number between the first and the last is missing."""
        numbers = self.numbers
        return numbers[-1] - numbers[0] + 1 != len(numbers)

    def rows(
        self,
        neutral: Sequence[int],
        peak: Sequence[int],
        units: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
        between: Sequence[int] = (),
    ) -> list[ListedImage]:
        """Manifest rows: neutral frames with intensity 0, peak frames with 1; take = place in the group.

        Nobody coded the intensity of the frames between: it is taken to rise evenly over time, and kept below
        what counts as a peak.

        Args:
            neutral, peak: frame numbers.
            units: action units of the neutral frames and of the peak.
            between: numbers of the frames that lead from the one to the other; they come last.
        """
        strength = 0.0 if self.expression == "neutral" else 1.0
        groups = (("neutral", 0.0, neutral, units[0]), (self.expression, strength, peak, units[1]))
        return [
            ListedImage(self.files[number][1], self._row(number, take, expression, intensity), None, coded)
            for expression, intensity, numbers, coded in groups
            for take, number in enumerate(numbers)
        ] + [
            ListedImage(
                self.files[number][1], self._row(number, take, self.expression, intensity), None, None
            )
            for take, number in enumerate(between)
            for intensity in [PEAK * (number - neutral[-1]) / (peak[0] - neutral[-1])]
        ]

    def _row(self, number: int, take: int, expression: str, intensity: float) -> dict[str, Any]:
        return {
            "image": self.files[number][0],
            "identity": self.identity,
            "expression": expression,
            "intensity": intensity,
            "sequence": self.sequence,
            "frame": number,
            "take": take,
            "pose": "frontal",
            "publishable": False,
            **self.columns,
        }


def frames_between(numbers: Sequence[int], neutral: Sequence[int], peak: Sequence[int]) -> list[int]:
    """The frames behind the last neutral and before the first peak one; none where either is missing.

    >>> frames_between([1, 2, 3, 4, 5, 6, 7], [1, 2], [6, 7])
    [3, 4, 5]
    """
    return [n for n in numbers if neutral and peak and neutral[-1] < n < peak[0]]


CLIPS = "clips"
"""Option of the data sets of films: whether the frames between neutral and peak become rows too."""


def settled(options: dict[str, Any]) -> dict[str, Any]:
    """Options without ``clips`` where it is false: the set is what it was before there was the option.

    Raises:
        DataError: it is neither true nor false.

    >>> settled({"frames": 3, "clips": False})
    {'frames': 3}
    """
    if not isinstance(options[CLIPS], bool):
        raise DataError(f"option '{CLIPS}' must be true or false, found {options[CLIPS]!r}")
    return options if options[CLIPS] else {name: value for name, value in options.items() if name != CLIPS}


def ends(numbers: Sequence[int], frames: int) -> tuple[list[int], list[int]]:
    """The first and the last frames of a film that stops at its peak; a short one is halved.

    >>> ends([1, 2, 3, 4, 5, 6, 7], 3), ends([1, 2, 3], 3)
    (([1, 2, 3], [5, 6, 7]), ([1], [2, 3]))
    """
    half = len(numbers) // 2
    onset = min(frames, half)
    return list(numbers[:onset]), list(numbers[-min(frames, len(numbers) - half) :])


def start_and_middle(numbers: Sequence[int], frames: int) -> tuple[list[int], list[int]]:
    """The first frames and those around the middle of a film that begins and ends at rest.

    In a film of fewer than three times ``frames`` each group is a third of it, so that no frame is both.

    >>> start_and_middle(range(9), 3)
    ([0, 1, 2], [3, 4, 5])
    """
    size = min(frames, len(numbers) // 3)
    middle = (len(numbers) - size) // 2
    return list(numbers[:size]), list(numbers[middle : middle + size])


def naming(clips: Iterable[Clip], what: str, more: str = " and more") -> list[str]:
    """One sentence on these films, ``what`` being its end, with the first ten named; or none."""
    names = [clip.sequence for clip in clips]
    rest = more if len(names) > _NAMED else ""
    return [f"{len(names)} sequences {what}: {', '.join(names[:_NAMED])}{rest}"] if names else []
