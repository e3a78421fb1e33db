"""The verbs about human studies: make, read, power."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import JsonOption, show_table

study_app = typer.Typer(help="Ask people: pages for raters, their answers, and how many raters it takes.")

PairsOption = Annotated[int, typer.Option(min=3, help="Pairs of images a rater, some 10 % of them traps.")]


@study_app.command(
    epilog="Example:  fesbench study make runs --methods mr,reggan,pix2pix --raters 12 --pairs 40 --out study"
)
def make(
    runs: Annotated[Path, typer.Argument(help="Folder of records, as 'fesbench run --out' wrote it.")],
    methods: Annotated[str, typer.Option(help="Two or more methods of one leaderboard, e.g. mr,reggan.")],
    raters: Annotated[int, typer.Option(min=1, help="Pages to write, one a rater.")] = 12,
    pairs: PairsOption = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the design.")] = 0,
    out: Annotated[Path, typer.Option(help="A new folder.")] = Path("study"),
) -> None:
    """Write one self-contained HTML page a rater, and the key, which stays with you.

    A page works offline on a phone or a desktop; at its end the rater saves a small file and sends it back.
    """
    from fesbench.study.make import KEY, make_study

    names = list(dict.fromkeys(name.strip() for name in methods.split(",") if name.strip()))
    pages = make_study(runs, names, raters=raters, pairs=pairs, out=out, seed=seed)
    typer.echo(f"{len(pages)} pages in {out}; send each rater one, and keep {out / KEY} to yourself")


@study_app.command(epilog="Example:  fesbench study read answers --key study/key.json --runs runs")
def read(
    answers: Annotated[Path, typer.Argument(help="Folder of the files that raters sent back.")],
    key: Annotated[Path, typer.Option(help="The key that was written with the pages.")] = Path(
        "study/key.json"
    ),
    runs: Annotated[
        Path | None, typer.Option(help="Runs folder of the study: the results go onto its page.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_: JsonOption = False,
) -> None:
    """Say what the raters prefer, with intervals; refuse foreign files and drop careless raters."""
    from fesbench.study.answers import load_key
    from fesbench.study.results import read_study

    found = read_study(answers, load_key(key), runs=runs, seed=seed)
    if json_:
        typer.echo(found.model_dump_json(indent=1))
        return
    typer.echo(f"{found.raters} raters, {found.items} pairs of images of {found.subjects} subjects")
    for what, lines in (("refused", found.refused), ("dropped", found.dropped)):
        for name, why in lines.items():
            typer.echo(f"{what}: {name}: {why}")
    for question in found.questions:
        agreed = "-" if question.alpha is None else f"{question.alpha:.2f}"
        typer.echo(f"\n{question.words} (Krippendorff's alpha {agreed})")
        show_table(
            ("group", "method", "log ability", "95 % interval", "preferred", "votes"),
            (
                (
                    m.group,
                    m.method,
                    f"{m.value:+.2f}",
                    f"{m.low:+.2f} to {m.high:+.2f}",
                    f"{m.share:.0%}",
                    m.votes,
                )
                for m in question.methods
            ),
        )
        ordered = sorted((m for m in question.metrics if m.rho is not None), key=lambda m: -(m.rho or 0))
        if ordered:
            typer.echo("ordered alike: " + ", ".join(f"{m.metric} {m.rho:+.2f}" for m in ordered))


@study_app.command(epilog="Example:  fesbench study power --preference 60 --methods 4")
def power(
    preference: Annotated[float, typer.Option(help="Percent that prefer the better of two methods.")],
    methods: Annotated[int, typer.Option(min=2, help="Methods in the study.")] = 3,
    pairs: PairsOption = 40,
) -> None:
    """Say how many raters it takes to show a preference (two-sided at 5 %, power 80 %)."""
    from fesbench.study.power import raters_needed

    typer.echo(raters_needed(preference / 100, methods=methods, pairs=pairs))
