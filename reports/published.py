"""Values that papers printed, beside the rows that reproduce their methods under the same protocol."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fesbench.errors import ProtocolError

from .boards import Board
from .metric_display import Style, style_of
from .table_model import ScoreCell, Table

COMPARABLE_BUDGETS = ("standard", "paper")


@dataclass(frozen=True)
class Published:
    """One value of ``protocols/published.csv`` that one of our scores answers.

    Attributes:
        row: id of the method or reference row.
        preset: of the method that the paper used.
        protocol: id of the protocol that follows the paper.
        task, metric: of our score.
        value: in our score's unit.
        source: paper and table.
        setting: the paper's own words on data and division.
        verified: how the value was read.
        differs: why it cannot be compared whatever we do; "" where it can.
    """

    row: str
    preset: str
    protocol: str
    task: str
    metric: str
    value: float
    source: str
    setting: str
    verified: str
    differs: str


@dataclass(frozen=True)
class Beside:
    """A published value and ours.

    Attributes:
        title: our row's.
        style: of the metric.
        published: the paper's.
        ours: our score.
        difference: ours minus theirs.
        verdict: "within interval", "differs" or "not comparable: ..." with every reason.
    """

    title: str
    style: Style
    published: Published
    ours: ScoreCell
    difference: float
    verdict: str


@lru_cache(maxsize=1)
def published_values() -> tuple[Published, ...]:
    """Every published value that a score of ours answers, in the file's order."""
    return parse_published(files("fesbench.protocols").joinpath("published.csv"))


def parse_published(path: Any) -> tuple[Published, ...]:
    """Read a table of published values.

    Raises:
        ProtocolError: no CSV in UTF-8, a column is missing, a line is too short, or a number is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lines = csv.DictReader(text.splitlines(), strict=True)
        return tuple(_published(line) for line in lines if line["score"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ProtocolError(f"{path} is no table of published values: {error}") from None


def _published(line: dict[str, str]) -> Published:
    value = float(line["offset"]) + float(line["scale"]) * float(line["value"])
    if not math.isfinite(value):
        raise ValueError(f"{line['value']} is no value")
    return Published(
        row=line["row"],
        preset=line["preset"],
        protocol=line["protocol"],
        task=line["task"],
        metric=line["score"],
        value=value,
        source=f"{line['source']}, {line['table']}",
        setting=line["setting"],
        verified=line["verified"],
        differs=line["differs"],
    )


def beside(board: Board, tables: Sequence[Table]) -> list[Beside]:
    """The published values of a board's protocol whose methods and metrics the board has, in distribution."""
    here = {table.task: table for table in tables if table.domain == "in"}
    found = []
    for value in published_values():
        table = here.get(value.task)
        if table is None or board.key.protocol.partition("@")[0] != value.protocol:
            continue
        row = next((row for row in table.rows if row.id == value.row), None)
        cell = row.cells.get(value.metric) if row else None
        if row is not None and cell is not None and cell.value is not None:
            gap = cell.value - value.value
            verdict = _verdict(board, value, cell, reference=row.reference)
            found.append(Beside(row.title, style_of(value.metric), value, cell, gap, verdict))
    return found


def _verdict(board: Board, value: Published, cell: ScoreCell, *, reference: bool) -> str:
    key = board.key
    reasons = [value.differs] if value.differs else []
    overrides = key.protocol.partition("@")[2].split("+")[1:]
    if overrides:
        reasons.append(f"ours is under {', '.join(overrides)}")
    if not reference and key.preset != value.preset:
        reasons.append(f"our preset is {key.preset}, the paper's {value.preset}")
    if not reference and key.budget not in COMPARABLE_BUDGETS:
        reasons.append(f"our budget is {key.budget}")
    if reasons:
        return f"not comparable: {'; '.join(reasons)}"
    if cell.low is None or cell.high is None:
        return "not comparable: our score has no interval"
    return "within interval" if cell.low <= value.value <= cell.high else "differs"
