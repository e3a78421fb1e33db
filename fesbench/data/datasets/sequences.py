"""How avatars play CK+: which sequences a subject has, and which frames they run through."""

from __future__ import annotations

from dataclasses import dataclass

from fesbench.vocabulary import EXPRESSIONS

LABELLED = 4
"""Labelled sequences a subject; with one unlabelled this is near CK+'s 593 sequences of 123 subjects."""

ONSET = (0.0, 0.05, 0.10)
PEAK = (0.90, 0.95, 1.0)
"""Intensities of a sequence's first three and last three frames."""


@dataclass(frozen=True)
class Sequence:
    """One sequence of an avatar.

    Attributes:
        number: from 1, as in a folder name "001".
        expression: what is shown at the peak.
        labelled: whether the peak fits a prototype, that is, whether an emotion file exists.
    """

    number: int
    expression: str
    labelled: bool

    @property
    def take(self) -> int:
        """Each sequence is another take: other light, background and pose."""
        return self.number - 1


def sequences_of(identity: int) -> tuple[Sequence, ...]:
    """A subject's sequences: four of the seven expressions in turn, then an unlabelled compound.

    Over any seven consecutive subjects each expression comes four times.
    """
    shown = EXPRESSIONS[1:]
    labelled = tuple(
        Sequence(k + 1, shown[(LABELLED * identity + k) % len(shown)], True) for k in range(LABELLED)
    )
    return (*labelled, Sequence(LABELLED + 1, "angrily_surprised", False))


def intensities(frames: int) -> tuple[float, ...]:
    """The intensity of each frame of a sequence of at least six frames, from neutral to the peak.

    >>> intensities(6)
    (0.0, 0.05, 0.1, 0.9, 0.95, 1.0)
    """
    between = frames - len(ONSET) - len(PEAK)
    step = (PEAK[0] - ONSET[-1]) / (between + 1)
    return (*ONSET, *(ONSET[-1] + step * (k + 1) for k in range(between)), *PEAK)
