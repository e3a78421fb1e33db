"""What papers claim of the order of methods, held against records: supported, contradicted, or open."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fesbench.errors import NotComparableError, ProtocolError
from fesbench.gate.collect import take_snapshot
from fesbench.gate.comparison import Compared, compare_snapshots, direction_of
from fesbench.gate.snapshot import Snapshot
from fesbench.records.record import FOLDS, RECORD_NAME, Record, load_record
from fesbench.statistics.significance import holm

LEVEL = 0.05
"""Two methods differ where Holm's p over the claim's comparisons lies below this."""
Verdict = Literal["supported", "contradicted", "cannot be judged"]
Side = Literal["better", "worse", "open"]


class Claim(BaseModel):
    """One claim of ``protocols/claims.toml``.

    Attributes:
        words: the claim.
        source: where it was read.
        protocols: ids of the protocols that follow the paper's data; elsewhere a verdict is our own finding.
        method: whose place is claimed.
        place: 1 = better than all others.
        among: the others.
        metric: on which.
        task: in which.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: str
    source: str
    protocols: tuple[str, ...]
    method: str
    place: int
    among: tuple[str, ...]
    metric: str
    task: str = "expression"


class ClaimVerdict(BaseModel):
    """What the records of one board say of a claim.

    Attributes:
        claim: its id.
        words, source: of the claim.
        board: protocol, preset and budget of the records; "" where no board has the method with another.
        papers: whether the protocol follows the paper's data.
        domain: "in" or one out of distribution.
        verdict: see `judge`.
        reason: the comparisons that decide, in words.
    """

    claim: str
    words: str
    source: str
    board: str
    papers: bool
    domain: str
    verdict: Verdict
    reason: str


@lru_cache(maxsize=1)
def known_claims() -> dict[str, Claim]:
    """Every claim by id, in the file's order."""
    return parse_claims(files("fesbench.protocols").joinpath("claims.toml"))


def parse_claims(path: Any) -> dict[str, Claim]:
    """Read a table of claims.

    Raises:
        ProtocolError: no TOML, or a key of a claim is missing, unknown or wrong.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Claim.model_validate(claim) for name, claim in told.items()}
    except (OSError, ValueError, RecursionError) as error:  # pydantic's and TOML's are ValueErrors
        raise ProtocolError(f"{path} is no table of claims: {error}") from None


def judge(place: int, others: Mapping[str, Side]) -> Verdict:
    """Whether a method is at a place among others.

    Args:
        place: that is claimed, from 1.
        others: by method, whether it is significantly better or worse than the one whose place it is.

    >>> judge(1, {"a": "worse", "b": "worse"}), judge(1, {"a": "better", "b": "open"})
    ('supported', 'contradicted')
    >>> judge(2, {"a": "better", "b": "worse"}), judge(1, {"a": "worse", "b": "open"})
    ('supported', 'cannot be judged')
    """
    sides = list(others.values())
    better, worse = sides.count("better"), sides.count("worse")
    if better > place - 1 or worse > len(sides) - (place - 1):
        return "contradicted"
    return "supported" if better + worse == len(sides) else "cannot be judged"


def judge_claims(runs: Path) -> list[ClaimVerdict]:
    """Every claim, on every board below ``runs`` that holds its method and one of the others.

    A claim of which no board holds that is listed once, without one.

    Raises:
        RecordError: a record is damaged.
    """
    boards = _boards(runs)
    found = []
    for name, claim in known_claims().items():
        mine = [
            verdict
            for key, rows in boards.items()
            if claim.method in rows and set(claim.among) & rows.keys()
            for verdict in _on_board(name, claim, key, rows)
        ]
        found += mine or [
            _verdict(name, claim, "", "in", "cannot be judged", "no records hold its method and another")
        ]
    return found


BoardKey = tuple[str, str, str, str, str, str]


def _boards(runs: Path) -> dict[BoardKey, dict[str, Snapshot]]:
    """The trained rows of each board, by method, over all seeds."""
    cells: dict[BoardKey, dict[str, list[tuple[Path, Record]]]] = {}
    for path in sorted(runs.rglob(RECORD_NAME)):
        if FOLDS in path.relative_to(runs).parts:
            continue
        record = load_record(path.parent)
        cell = record.cell
        if record.status == "scored" and not record.card.get("reference"):
            key = (
                cell.protocol,
                cell.protocol_hash,
                cell.data,
                cell.data_fingerprint,
                cell.preset,
                cell.budget,
            )
            cells.setdefault(key, {}).setdefault(cell.method, []).append((path.parent, record))
    return {
        key: {method: take_snapshot(found) for method, found in rows.items()} for key, rows in cells.items()
    }


def _on_board(name: str, claim: Claim, key: BoardKey, rows: Mapping[str, Snapshot]) -> list[ClaimVerdict]:
    board = f"{key[0]}, {key[4]}, {key[5]}"
    scored = rows[claim.method].by_key()
    domains = [
        d for task, d, label, metric in scored if (task, label, metric) == (claim.task, "all", claim.metric)
    ]
    if not domains:
        why = f"there is no {claim.metric} under task {claim.task}"
        return [_verdict(name, claim, board, "in", "cannot be judged", why)]
    return [_in_domain(name, claim, board, domain, rows) for domain in domains]


def _in_domain(
    name: str, claim: Claim, board: str, domain: str, rows: Mapping[str, Snapshot]
) -> ClaimVerdict:
    found = {other: _compared(claim, domain, rows, other) for other in claim.among}
    tested = {other: row for other, row in found.items() if isinstance(row, Compared)}
    adjusted = (
        holm([row.difference.p for row in tested.values() if row.difference]) if tested else np.array([])
    )
    sides: dict[str, Side] = dict.fromkeys(claim.among, "open")
    told = [f"{other}: {row}" for other, row in found.items() if isinstance(row, str)]
    sign = -1.0 if direction_of(claim.metric) == "lower" else 1.0
    for (other, row), p in zip(tested.items(), adjusted, strict=True):
        assert row.difference is not None
        gap = row.difference
        if p < LEVEL:
            sides[other] = "worse" if sign * gap.value > 0 else "better"
        told.append(
            f"{other}: {gap.value:+.4g} ({gap.low:+.4g} to {gap.high:+.4g}), "
            f"{'no difference shown' if sides[other] == 'open' else f'{other} is {sides[other]}'}"
        )
    return _verdict(name, claim, board, domain, judge(claim.place, sides), "; ".join(told))


def _compared(claim: Claim, domain: str, rows: Mapping[str, Snapshot], other: str) -> Compared | str:
    """The paired difference of the claim's method and another, or why there is none."""
    if other not in rows:
        return "not among the records"
    key = (claim.task, domain, "all", claim.metric)
    sides = [
        row.model_copy(update={"figures": [score for score in row.figures if score.key == key]})
        for row in (rows[claim.method], rows[other])
    ]
    try:
        row = next(iter(compare_snapshots(*sides).rows), None)
    except NotComparableError as error:
        return str(error)
    if row is None or row.difference is None or not np.isfinite(row.difference.p):
        return (row.reason if row else "") or f"it has no {claim.metric}"
    return row


def _verdict(name: str, claim: Claim, board: str, domain: str, verdict: Verdict, reason: str) -> ClaimVerdict:
    return ClaimVerdict(
        claim=name,
        words=claim.words,
        source=claim.source,
        board=board,
        papers=board.partition("@")[0] in claim.protocols,
        domain=domain,
        verdict=verdict,
        reason=reason,
    )
