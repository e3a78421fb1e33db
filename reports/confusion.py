"""What each judge saw for each expression that was asked for, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fesbench.records.confusion import ConfusionMatrix, load_confusion

from .boards import Board
from .colors import shade
from .sections import HeatCell
from .table_model import Row, Table


@dataclass(frozen=True)
class ConfusionView:
    """One judge's matrix of one row, in percent of the requests of each expression."""

    row: Row
    judge: str
    signature: str
    seeds: int
    seen: list[str]
    lines: list[tuple[str, list[HeatCell]]]


def confusions(board: Board, table: Table) -> list[ConfusionView]:
    """The matrices of a table's rows; seeds that were judged alike are added up.

    Raises:
        RecordError: a ``confusion.json`` is damaged.
    """
    views = []
    for row in table.rows:
        alike: dict[tuple[str, ...], list[ConfusionMatrix]] = {}
        for run in board.methods[row.id]:
            found = load_confusion(run.folder)
            for matrix in found.matrices if found is not None else []:
                if (matrix.task, matrix.domain) == (table.task, table.domain) and matrix.counts:
                    key = (matrix.judge, matrix.signature, *matrix.requested, "", *matrix.seen)
                    alike.setdefault(key, []).append(matrix)
        views += [_view(row, matrices) for matrices in alike.values()]
    return views


def _view(row: Row, matrices: list[ConfusionMatrix]) -> ConfusionView:
    first = matrices[0]
    counts = np.sum([matrix.counts for matrix in matrices], axis=0)
    lines = []
    for asked, line in zip(first.requested, counts.tolist(), strict=True):
        total = sum(line)
        cells = [
            HeatCell(f"{100 * n / total:.0f}", shade(n / total).css, f"{n} of {total} images") for n in line
        ]
        lines.append((asked, cells))
    return ConfusionView(row, first.judge, first.signature, len(matrices), first.seen, lines)
