"""The judges themselves: how they do on real images, and whether they had a part in what they judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fesbench.extractors.registry import CLIP_JUDGE, JUDGE
from fesbench.metrics.explain import card_of
from fesbench.records.judge_check import LEAST, TIMES_CHANCE, JudgeCheck

from .boards import Board, Run
from .colors import shade
from .sections import HeatCell
from .table_model import Row, Table

OWN = "the protocol's own"
BAR = (
    f"A judge whose accuracy lies under {100 * LEAST:.0f} %, or whose lower bound lies under "
    f"{TIMES_CHANCE:g} times chance, is not believed there: its scores stand in gray, and are neither ranked "
    "nor gated."
)


@dataclass(frozen=True)
class JudgeView:
    """A judge in one domain: its check, and what it saw in percent of each expression's real images."""

    check: JudgeCheck
    lines: list[tuple[str, list[HeatCell]]]

    @property
    def name(self) -> str:
        """For readers."""
        return OWN if self.check.judge == "judge" else self.check.judge


def judges(board: Board) -> list[JudgeView]:
    """Every judge of a board, domain by domain, the protocol's own first."""
    order = {domain: place for place, (_, domain) in enumerate(board.judge_checks)}
    checks = sorted(board.judge_checks.values(), key=lambda c: (order[c.domain], c.judge != "judge", c.judge))
    return [JudgeView(check, _lines(check)) for check in checks]


def _lines(check: JudgeCheck) -> list[tuple[str, list[HeatCell]]]:
    lines = []
    what = "clips" if check.judge == CLIP_JUDGE else "images"
    for name, counts in zip(check.shown, check.counts, strict=True):
        total = sum(counts)
        cells = [
            HeatCell(f"{100 * n / total:.0f}", shade(n / total).css, f"{n} of {total} {what}") for n in counts
        ]
        lines.append((name, cells))
    return lines


def mark_dependent(board: Board, tables: Sequence[Table]) -> None:
    """Mark rows that were trained or selected with a network that judges them."""
    for table in tables:
        for row in table.rows:
            shared = _shared(board.methods.get(row.id, []), table, row)
            if shared:
                text = f"trained or selected with a network that judges it: {'; '.join(shared)}"
                row.marks.append(("own-judge", text))


def _shared(runs: Sequence[Run], table: Table, row: Row) -> list[str]:
    """The networks in a row's training that judge it, each with the metrics in which it does."""
    from fesbench.extractors.registry import weights_of

    used = {name for run in runs for name in run.record.trained_with or ()}
    found: dict[str, list[str]] = {}
    for column in table.columns:
        metric = column.style.name
        card = card_of(metric)
        if card is None or row.cells[metric].value is None:
            continue
        inside = metric.partition("[")[2].removesuffix("]")
        networks = {inside or card.extractor, *weights_of(inside or card.extractor), card.judge}
        if card.judge == CLIP_JUDGE:
            networks.add(JUDGE)  # a judge of clips reads what that of images gives
        for network in networks & used:
            found.setdefault(network, []).append(metric)
    return [f"{name} ({', '.join(metrics)})" for name, metrics in sorted(found.items())]


def independence(board: Board, table: Table) -> list[tuple[str, list[str]]]:
    """(what is known of networks of others in a row's training, rows), reference rows left out."""
    told: dict[str, list[str]] = {}
    for row in table.rows:
        if not row.reference:
            told.setdefault(_known(board.methods[row.id][0]), []).append(row.title)
    return sorted(told.items())


def _known(run: Run) -> str:
    used = run.record.trained_with
    if used is None:
        return "unknown"
    word = "declared: " if run.external else ""
    return f"{word}{', '.join(used) or 'none'}"
