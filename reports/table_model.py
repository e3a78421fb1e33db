"""A table of scores: its columns, rows and cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fesbench.protocol.split import BY_IMAGE
from fesbench.records.judge_check import JudgeCheck
from fesbench.records.record import Score
from fesbench.statistics.judges import JudgeTerm
from fesbench.statistics.null import NullBand

from .metric_display import Style

_COPIED = ("value", "low", "high", "n_requested", "n_valid", "identities", "signature", "judge", "null")
"""Of a score, as they are."""


@dataclass
class ScoreCell:
    """One score of one row, or the reason why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_requested: int = 0
    n_valid: int = 0
    identities: int = 0
    signature: str = ""
    reason: str = ""
    judge: str = ""
    null: NullBand | None = None
    rank: int | None = None
    best: bool = False
    seeds: tuple[float, ...] = ()
    extra: str = ""
    """One more fact below the value, such as the spread over a recognizer's seeds."""
    reported: bool = False
    """Whether others report it and it was not made again here: it is shown, and not ranked."""
    without_judge: tuple[float, ...] = ()
    """The score without each judge of the panel, mean over seeds."""
    disputed: tuple[str, ...] = ()
    """Rows that another judge puts, significantly, on the other side of this one."""
    href: str = ""
    """The page of its requests, where there is one."""

    @classmethod
    def of(cls, score: Score, **more: Any) -> ScoreCell:
        """A score's cell, with what it does not say itself."""
        told = {name: getattr(score, name) for name in _COPIED}
        reason = score.reason or (score.status if score.value is None else "")
        return cls(**{**told, "reason": reason, "without_judge": tuple(score.without_judge), **more})

    @property
    def judges_error(self) -> float:
        """Standard error over panels of judges; 0 where none had a say."""
        return JudgeTerm.of(self.without_judge).error

    @property
    def like_real(self) -> bool:
        """Whether it cannot be told from a distance between halves of the real subjects."""
        return self.value is not None and self.null is not None and self.null.inside

    @property
    def partly_valid(self) -> bool:
        """Whether fewer images were valid than were asked for."""
        return self.value is not None and self.n_valid < self.n_requested


@dataclass
class Column:
    """One metric, with the one comparison key that its scores share."""

    style: Style
    signature: str = ""
    others: list[tuple[str, str]] = field(default_factory=list)
    """Rows whose full signature differs (valid n, code version) though their comparison key does not."""
    chance: float | None = None
    null: NullBand | None = None
    """Distances between halves of the real subjects; the same for every row."""
    judges: int = 0
    """Members of the panel that had a say, whose error is in intervals and ranks."""
    rank_rule: str = ""
    anchors: list[tuple[str, float, int]] = field(default_factory=list)
    """What the metric is on images that no method made: (words, value, pairs)."""
    check: JudgeCheck | None = None
    """How the judge that it asks does on this domain's real images; None where none is asked or known."""

    @property
    def unreliable(self) -> str:
        """Why its judge's word is not taken: it is neither ranked nor sorted by; "" where it is."""
        return "" if self.check is None else self.check.verdict


@dataclass
class Row:
    """One method, or one reference row."""

    id: str
    title: str
    year: int
    reference: bool
    external: bool
    given: str
    cells: dict[str, ScoreCell]
    marks: list[tuple[str, str]] = field(default_factory=list)
    """(short word, full sentence) of what a reader must know: collapsed, failed, suspicious."""
    n_seeds: int = 1
    average_rank: float | None = None
    rank_spread: tuple[int, int] | None = None
    href: str = ""
    """Its own page, where there is one."""


@dataclass(frozen=True)
class Agreement:
    """Two judges on the order of a table's rows, on the requests that both know.

    Attributes:
        first, second: their metrics.
        tau: Kendall's tau-b; None where one of them tells no two rows apart.
        rows: how many are ordered.
        disputes: two rows that both judges tell apart significantly, in opposite directions.
    """

    first: str
    second: str
    tau: float | None
    rows: int
    disputes: tuple[Dispute, ...]


@dataclass(frozen=True)
class Dispute:
    """Two rows, by title, and ``above`` minus ``below`` by either judge: positive by the first alone."""

    above: str
    below: str
    first: float
    second: float


@dataclass
class Table:
    """One task in one domain."""

    id: str
    task: str
    domain: str
    columns: list[Column]
    groups: list[tuple[str, list[Row]]]
    """(what was given, rows), label first; each group is ranked by itself."""
    unavailable: list[tuple[str, str]] = field(default_factory=list)
    """Metrics for which no row has a value, with the reasons."""
    n_requests: int = 0
    identities: int = 0
    units: str = "subjects"
    """What intervals resample: "subjects" or "images"."""
    sorted_by: str = ""
    """The metric by which rows stand, "" where none has a direction."""
    agreements: list[Agreement] = field(default_factory=list)
    """How far each two judges agree on the order of the rows."""

    @property
    def split_note(self) -> str:
        """What a reader must know of the split, "" where subjects are disjoint."""
        return BY_IMAGE if self.units == "images" else ""

    @property
    def folded(self) -> list[tuple[str, str]]:
        """Metrics without any value that share their reason, as one line: (names, reason)."""
        lines: dict[str, list[str]] = {}
        for metric, reason in self.unavailable:
            lines.setdefault(reason, []).append(metric)
        return [(", ".join(metrics), reason) for reason, metrics in lines.items()]

    @property
    def rows(self) -> list[Row]:
        """Every row, group by group."""
        return [row for _, rows in self.groups for row in rows]

    def column(self, metric: str) -> Column | None:
        """A metric's column, None where it has none."""
        return next((c for c in self.columns if c.style.name == metric), None)
