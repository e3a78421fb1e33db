"""What a human study found, as ``fesbench study read`` leaves it in a runs folder for the page."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fesbench.errors import RecordError

STUDIES = "studies"
"""Folder of a runs folder; one ``*.json`` a study."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class Preferred(_Model):
    """How a method stands under one question; see :class:`fesbench.study.abilities.Ability`."""

    method: str
    value: float
    low: float
    high: float
    share: float
    votes: int
    group: int
    """1 = nobody is significantly preferred to it, 2 = one of those is, and so on."""


class Agreement(_Model):
    """Spearman's correlation of a metric's scores with a question's abilities over the methods."""

    metric: str
    rho: float | None


class Question(_Model):
    """One question's answers.

    Attributes:
        name: "expression", "identity" or "realism".
        words: as it was asked.
        alpha: Krippendorff's, of the answers to the same items; None where no item was answered twice.
        methods: best first.
        metrics: how well each metric orders the methods as the raters do.
    """

    name: str
    words: str
    alpha: float | None
    methods: list[Preferred]
    metrics: list[Agreement]


class StudyResults(_Model):
    """A whole study.

    Attributes:
        study: its id.
        board: the slug of the key of the leaderboard it stands on.
        raters, subjects, items: whose answers count, on whom, and how many pairs of images.
        refused, dropped: files that were not read and raters that failed traps, with reasons.
        questions: one each.
    """

    study: str
    board: str
    raters: int
    subjects: int
    items: int
    refused: dict[str, str]
    dropped: dict[str, str]
    questions: list[Question]


def studies_of(runs: Path, board: str) -> list[StudyResults]:
    """The studies of a board below a runs folder, by file name.

    Raises:
        RecordError: a file there is damaged.
    """
    found = []
    for path in sorted((runs / STUDIES).glob("*.json")):
        try:
            results = StudyResults.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise RecordError(
                f"{path} is not what 'fesbench study read' writes; delete it, or read the study again"
            ) from None
        if results.board == board:
            found.append(results)
    return found
