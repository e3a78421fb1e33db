"""Is a judge fit to judge? What it sees in real images, whose expression is known, of one domain.

A judge that is wrong on half of the real images ranks methods by what fools it. Below a bar its scores are
shown, in gray, and neither ranked nor gated.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

LEAST = 0.6
"""Accuracy on real images below which a judge's word is not taken."""
TIMES_CHANCE = 2.0
"""How many times chance the lower bound of that accuracy must reach."""


class JudgeCheck(BaseModel):
    """One judge on the real images of the test subjects in one domain, of labels that it has a class for.

    Attributes:
        judge: name of the extractor.
        signature: of the extractor.
        domain: whose images they are.
        images, subjects: how many; an image that the judge could not read counts as wrong.
        accuracy: share of right answers.
        low, high: its 95 % interval over subjects; None where one subject allows none.
        chance: one over the number of the judge's classes.
        calibration_error: expected calibration error, in [0, 1].
        shown: expressions of the images, a row of ``counts`` each.
        seen: the judge's classes, then ``unreadable``: a column of ``counts`` each.
        counts: images by what they show and what was seen.
    """

    model_config = ConfigDict(extra="forbid")

    judge: str
    signature: str
    domain: str
    images: int
    subjects: int
    accuracy: float
    low: float | None
    high: float | None
    chance: float
    calibration_error: float
    shown: list[str]
    seen: list[str]
    counts: list[list[int]]

    @property
    def reliable(self) -> bool:
        """Whether it reaches the bar."""
        bound = self.low if self.low is not None else 0.0
        return self.accuracy >= LEAST and bound >= TIMES_CHANCE * self.chance

    @property
    def verdict(self) -> str:
        """What stands beside its scores where it does not reach the bar; else ""."""
        if self.reliable:
            return ""
        told = f"judge unreliable here: {100 * self.accuracy:.1f} % on real images"
        return told if self.accuracy < LEAST else f"{told}, perhaps as few as {100 * (self.low or 0):.1f} %"
