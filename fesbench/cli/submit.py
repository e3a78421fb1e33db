"""The verbs about results that go from one lab to another: pack, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import JsonOption, print_json, show_table
from fesbench.cli.protocols import FromOption
from fesbench.errors import EXIT_OK, EXIT_WORSE

submit_app = typer.Typer(no_args_is_help=True, help="Hand a row in, or check one that was handed in.")


@submit_app.command(
    epilog="Example:  fesbench submit pack runs --method mine --trained-on 'CK+, training subjects of ck+@1'"
)
def pack(
    run: Annotated[Path, typer.Argument(help="A record's folder, or a folder of records.")],
    trained_on: Annotated[str, typer.Option(help="What it was trained on and selected by, in words.")],
    method: Annotated[str | None, typer.Option(help="Which method, where the folder holds several.")] = None,
    name: Annotated[str | None, typer.Option(help="The row's name; default: the method's id.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: NAME.fesbench.zip.")] = None,
    images: Annotated[
        bool,
        typer.Option(
            help="With the images, so that the scores can be made again; else they are only reported."
        ),
    ] = True,
) -> None:
    """Write one file: the record, the images, their hashes, and what the method was trained on."""
    from fesbench.external.pack import pack as write
    from fesbench.gate.collect import find_row

    own = name or find_row(run, method)[0][1].cell.method
    path = out or Path(f"{own}.fesbench.zip")
    manifest = write(run, path, trained_on=trained_on, method=method, name=name, images=images)
    typer.echo(f"{path}: {manifest.name}, {len(manifest.files) - 1} images")


@submit_app.command(epilog="Example:  fesbench submit check my-method.fesbench.zip --into leaderboard")
def check(
    file: Annotated[Path, typer.Argument(help="A file of 'fesbench submit pack'.")],
    source: FromOption = None,
    into: Annotated[Path | None, typer.Option(help="A runs folder that gets the row.")] = None,
    json_: JsonOption = False,
) -> None:
    """Treat the file as hostile, and make its scores again: 0 none differs, 2 refused, 3 some differ."""
    from fesbench.external.intake import open_package
    from fesbench.external.reproduce import reproduce
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources

    package = open_package(file)
    with LiveReporter() as reporter:
        found = reproduce(package, into=into, source=parse_sources(source), reporter=reporter)
    if json_:
        print_json([vars(one) for one in found])
    else:
        shown = [one for one in found if one.expression == "all"]
        show_table(
            ("task", "domain", "metric", "reported", "here", "outcome"),
            (
                (
                    *(one.task, one.domain, one.metric, f"{one.reported:.6g}"),
                    "-" if one.found is None else f"{one.found:.6g}",
                    one.outcome + (f" ({one.reason})" if one.reason else ""),
                )
                for one in shown
            ),
        )
        counts = {
            kind: sum(one.outcome == kind for one in found) for kind in ("reproduced", "differs", "reported")
        }
        typer.echo(f"{package.manifest.name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
        typer.echo(f"trained on, in its own words: {package.manifest.trained_on}")
    raise typer.Exit(EXIT_WORSE if any(one.outcome == "differs" for one in found) else EXIT_OK)
