"""The verbs about metrics. ``list`` is their default."""

from __future__ import annotations

import typer

from fesbench.cli.output import JsonOption, print_json, show_table

metrics_app = typer.Typer(help="Metrics: definitions, ranges, weights.", invoke_without_command=True)


@metrics_app.callback()
def _metrics(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        metrics_list(json_=json_)


@metrics_app.command("list")
def metrics_list(json_: JsonOption = False) -> None:
    """List every metric: which way is better, its range, unit, extractor, needs and weights."""
    from fesbench.metrics.table import rows

    found = rows()
    if json_:
        print_json(found)
        return
    show_table(
        ("name", "better", "range", "unit", "extractor", "needs", "weights' license"),
        (
            (
                row["name"],
                row["direction"],
                row["range"],
                row["unit"] or "-",
                row["extractor"] or "pixels",
                ", ".join(row["needs"]) or "-",
                row["license"] or "-",
            )
            for row in found
        ),
    )
