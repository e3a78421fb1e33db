"""Markdown tables, for the gate's comments and the leaderboard's downloads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_BAR = re.compile(r"(?<!\\)\|")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """A Markdown table; bars that are not escaped yet are, and a cell's lines become one.

    Args:
        columns: titles.
        rows: the cells of each row.
        numbers: whether all columns but the first hold numbers, which stand to the right.

    >>> print(markdown_table(["method", "ECS"], [["a|b", "0.7"]], numbers=True))
    | method | ECS |
    | --- | ---: |
    | a\\|b | 0.7 |
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(columns) - 1)]
    heads, *cells = ([_BAR.sub(r"\|", cell).replace("\n", " ") for cell in row] for row in (columns, *rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *cells))
