"""Whose word a score rests on: the panel of judges as signatures name it, and when two panels are comparable.

A judge's seed is chance, and so are its weights. Two panels of one recipe, trained on the same data, are two
draws of the same thing: scores by them are comparable where they differ by no more than the judges' error,
and then nothing can be told from the difference; beyond it the judges may be all that differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from fesbench.errors import UsageError
from fesbench.records.signature import Signature
from fesbench.statistics.judges import JudgeTerm

FIELD = "judges"
"""Of signatures."""


@dataclass(frozen=True)
class Judges:
    """A panel.

    Attributes:
        members: how many networks.
        recipe: of the network and its training.
        data: first 8 digits of the fingerprint of what it was trained on.
        digest: first 8 digits of the digest of all members' weights.
    """

    members: int
    recipe: str
    data: str
    digest: str

    def __str__(self) -> str:
        return f"K={self.members},{self.recipe},data={self.data},digest={self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a panel back from a signature's field.

        Raises:
            UsageError: the text names no panel.

        >>> Judges.parse("K=3,cnn64-1,data=0a1b,digest=77aa").digest
        '77aa'
        """
        try:
            members, recipe, data, digest = text.split(",")
            pairs = [part.split("=") for part in (members, data, digest)]
            if [name for name, _ in pairs] != ["K", "data", "digest"]:
                raise ValueError
            return cls(int(pairs[0][1]), recipe, pairs[1][1], pairs[2][1])
        except ValueError:
            raise UsageError(f"'{text}' names no panel of judges") from None


class Judged(Protocol):
    """A score, as far as its judges matter."""

    @property
    def signature(self) -> str:
        """How it was made."""

    @property
    def value(self) -> float | None:
        """The score; None where there is none."""

    @property
    def without_judge(self) -> Sequence[float]:
        """The score without each judge; empty where no panel had a say."""


def differing(a: Judged, b: Judged) -> tuple[str, ...]:
    """The fields in which two scores are not comparable; empty where they are.

    Digests of two panels that are else alike do not count as long as the scores differ by no more than the
    judges' error.
    """
    fields = Signature.difference(a.signature, b.signature)
    return () if fields == (FIELD,) and _within(a, b) else fields


def judges_in_words(a: Judged, b: Judged) -> str:
    """Why two scores are not comparable that differ in nothing but their judges."""
    left, right = panel_of(a) or "one judge", panel_of(b) or "one judge"
    if not _alike(a, b) or a.value is None or b.value is None:
        return f"'{left}' against '{right}'"
    term = judge_term(a, b)
    return (
        f"two panels of one recipe ('{left}' against '{right}'), and the scores differ by "
        f"{abs(a.value - b.value):.3g}, more than the judges' error of {term.margin():.3g}; "
        "score both by one panel"
    )


def judge_term(a: Judged, b: Judged) -> JudgeTerm:
    """The judges' part of the difference of two comparable scores."""
    return JudgeTerm.between(a.without_judge, b.without_judge, same=panel_of(a) == panel_of(b))


def panel_of(score: Judged) -> str:
    """The panel as the score's signature names it; "" where no panel had a say."""
    if not score.signature:
        return ""
    return dict(Signature.parse(score.signature).fields).get(FIELD, "")


def mean_without_judge(scores: Sequence[Judged]) -> list[float]:
    """The mean of several scores without each judge; empty where their panels are not of one size."""
    sizes = {len(score.without_judge) for score in scores}
    if len(sizes) != 1:
        return []
    return [float(np.mean(each)) for each in zip(*(score.without_judge for score in scores), strict=True)]


def _within(a: Judged, b: Judged) -> bool:
    if not _alike(a, b) or a.value is None or b.value is None:
        return False
    return abs(a.value - b.value) <= judge_term(a, b).margin()


def _alike(a: Judged, b: Judged) -> bool:
    """Whether two panels differ in their digests alone."""
    left, right = panel_of(a), panel_of(b)
    if not left or not right:
        return False
    return replace(Judges.parse(left), digest="") == replace(Judges.parse(right), digest="")
