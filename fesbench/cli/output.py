"""What the verbs print with: plain tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def show_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a plain table; foreign text is never read as markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: nothing is cut off for a program that reads
    console.print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=1, default=str))


def print_scores(scores: list[dict[str, Any]]) -> None:
    """Print scores as JSON, one object a score."""
    typer.echo(json.dumps(scores, indent=1, allow_nan=False))
