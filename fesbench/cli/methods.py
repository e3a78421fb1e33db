"""The verbs about methods. ``list`` is their default."""

from __future__ import annotations

from typing import Annotated

import typer

from fesbench.cli.output import JsonOption, print_json, show_table

methods_app = typer.Typer(help="Methods and reference rows.", invoke_without_command=True)


@methods_app.callback()
def _methods(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        methods_list(json_=json_)


@methods_app.command("list")
def methods_list(json_: JsonOption = False) -> None:
    """List every method with what it needs and what it can be asked for, and the sets of methods."""
    from fesbench.methods.registry import cards
    from fesbench.runs.method_sets import MARK, method_sets

    sets = method_sets().values()
    rows = [
        {
            "id": card.id,
            "title": card.title,
            "year": card.year,
            "needs": [*sorted(card.needs), *(f"weights {name} (by preset)" for name in card.helpers)],
            "controls": sorted(card.controls),
            "reference": card.reference,
            "citation": card.citation,
            "sets": [f"{MARK}{one.name}" for one in sets if card.id in one.methods],
        }
        for card in cards().values()
    ]
    if json_:
        print_json(rows)
        return
    show_table(
        ("id", "title", "year", "needs", "answers"),
        (
            (r["id"], r["title"], r["year"] or "", ", ".join(r["needs"]) or "-", ", ".join(r["controls"]))  # type: ignore[arg-type]
            for r in rows
        ),
    )
    typer.echo("")
    show_table(
        ("set", "methods", "not here yet", "what"),
        ((f"{MARK}{s.name}", ",".join(s.present()), ",".join(s.absent()) or "-", s.title) for s in sets),
    )


@methods_app.command("show", epilog="Example:  fesbench methods show stargan")
def methods_show(
    method: Annotated[str, typer.Argument(help="An id from 'fesbench methods', or a .py file.")],
    json_: JsonOption = False,
) -> None:
    """Say what one method is, what was chosen where its paper is open, and how many parameters it has."""
    from fesbench.methods.registry import load_method
    from fesbench.runs.method_table import facts, section

    told = facts(load_method(method))
    if json_:
        print_json(told)
        return
    typer.echo(section(told).rstrip())
