"""The verb that draws what trainings learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import JsonOption, print_json, show_table
from fesbench.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(epilog="Examples:  fesbench curve runs   fesbench curve runs --out curves.svg")(curve)


def curve(
    runs: Annotated[Path, typer.Argument(help="Folder of records, or of one of them.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The picture, SVG; default: RUNS/curves.svg.")] = None,
    json_: JsonOption = False,
) -> None:
    """Draw what each training learned: ECS, Rank-1 and Target-cosine of validation subjects over its steps.

    A training logs them as it goes; a checkpoint of one that did not is scored now, and is one point.
    """
    from fesbench.files import atomic_write_bytes
    from fesbench.progress import LiveReporter
    from fesbench.reports.learning_curves import SHOWN, draw
    from fesbench.runs.curves import curves_of

    picture = out or runs / "curves.svg"
    if picture.suffix != ".svg":
        raise UsageError(f"--out {picture}: the picture must be named .svg")
    with LiveReporter() as reporter:
        curves = curves_of(runs, reporter)
    atomic_write_bytes(picture, draw(curves).encode())
    points = [(c.title, c.origin, look) for c in curves for look in c.looks]
    if json_:
        print_json(
            [
                {"training": title, "from": origin, "step": look.step, **look.scores}
                for title, origin, look in points
            ]
        )
    else:
        rows = (
            (title, origin, f"{look.step:,}", *(_shown(look.scores.get(name)) for name in SHOWN))
            for title, origin, look in points
        )
        show_table(("training", "from", "step", *SHOWN), rows)
    typer.echo(str(picture.resolve()), err=json_)


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
