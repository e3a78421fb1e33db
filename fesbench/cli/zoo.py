"""The verbs about weights that fesbench trained itself: list, train. ``list`` is their default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import JsonOption, print_json, show_table

zoo_app = typer.Typer(help="Weights that fesbench trained itself: list, train.", invoke_without_command=True)


@zoo_app.callback()
def _zoo(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        zoo_list(json_=json_)


@zoo_app.command("list")
def zoo_list(json_: JsonOption = False) -> None:
    """List every file: for what it serves, how it was trained, what it scored on the validation subjects."""
    from fesbench.runs.zoo import zoo_cards

    cards = zoo_cards().values()
    if json_:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    show_table(
        ("method", "protocol", "preset", "trained", "validation"),
        (
            (
                c.method,
                c.protocol,
                c.preset,
                c.words,
                ", ".join(f"{k} {v:g}" for k, v in c.validation.items()),
            )
            for c in cards
        ),
    )


@zoo_app.command("train", epilog="Example:  fesbench zoo train stargan --budget short")
def zoo_train(
    method: Annotated[str, typer.Argument(help="An id from 'fesbench methods'.")],
    protocol: Annotated[str, typer.Option(help="Protocol: a name, or a TOML file.")] = "avatars",
    size: Annotated[int | None, typer.Option(help="Image side in pixels, if not the protocol's.")] = 64,
    preset: Annotated[str, typer.Option(help="Preset of the method.")] = "tiny",
    budget: Annotated[str, typer.Option(help="As in 'fesbench run'.")] = "short",
    seed: Annotated[int, typer.Option(min=0, help="Of the training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    runs: Annotated[Path, typer.Option(help="Folder of the training, which resumes there.")] = Path(
        "zoo-runs"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder of the files; default: the package's zoo.")] = None,
) -> None:
    """Train a method and write its weights and card; the same command after an interruption resumes."""
    from fesbench.progress import LiveReporter
    from fesbench.runs.zoo_training import train_for_zoo

    with LiveReporter() as reporter:
        card = train_for_zoo(
            method,
            protocol=protocol,
            size=size,
            preset=preset,
            budget=budget,
            seed=seed,
            device=device,
            runs=runs,
            out=out,
            reporter=reporter,
        )
    typer.echo(card.model_dump_json(indent=1))
