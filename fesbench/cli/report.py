"""The verbs that read records: the page, a paper's table, what of papers' claims holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import print_scores, show_table

RunsArgument = Annotated[Path, typer.Argument(help="Folder of records, as 'fesbench run --out' wrote it.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(
        epilog="Examples:  fesbench report runs   fesbench report runs --json > scores.json   "
        "fesbench report runs --claims"
    )(report)
    app.command(
        epilog="Examples:  fesbench table runs --metrics ECS,FSS,FID --no-intervals > main.tex   "
        "fesbench table runs --layout ood --metrics ECS --format markdown"
    )(table)


def report(
    runs: RunsArgument = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="Folder of the pages; default: RUNS/report.")] = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print what the records say of claims that papers make instead.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one object a score (or claim) instead.")
    ] = False,
    with_reference: Annotated[
        bool, typer.Option("--with-reference", help="Beside the results that come with fesbench, marked.")
    ] = False,
) -> None:
    """Build the HTML leaderboard from records, or print their scores."""
    from fesbench.errors import UsageError

    if with_reference and (claims or json_):
        raise UsageError("--with-reference adds rows to the page; leave out --claims and --json")
    if claims:
        _show_claims(runs, as_json=json_)
        return
    if json_:
        from fesbench.reports.boards import scores

        print_scores(scores(runs))
        return
    from fesbench.reports.site import build

    typer.echo(str(build(runs, out or runs / "report", reference=with_reference).resolve()))


def table(
    runs: RunsArgument = Path("runs"),
    layout: Annotated[
        str, typer.Option(help="main, per-expression, ood, cost or ablation (presets).")
    ] = "main",
    metrics: Annotated[str, typer.Option(help="Columns in this order, e.g. ECS,FSS; default: all.")] = "",
    format_: Annotated[str, typer.Option("--format", help="latex, markdown, csv, json or html.")] = "latex",
    intervals: Annotated[bool, typer.Option(help="With 95 % intervals.")] = True,
    board: Annotated[str, typer.Option(help="Part of a leaderboard's name, where RUNS holds several.")] = "",
) -> None:
    """Print a paper's table; the best rank group is bold, signatures stand in comments."""
    from fesbench.errors import UsageError
    from fesbench.reports.grid_writers import WRITERS
    from fesbench.reports.paper_tables import paper_table

    if format_ not in WRITERS:
        raise UsageError(f"--format '{format_}' is none of {', '.join(WRITERS)}")
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    typer.echo(WRITERS[format_](paper_table(runs, layout, names, board), intervals=intervals), nl=False)


def _show_claims(runs: Path, *, as_json: bool) -> None:
    from fesbench.gate.claims import judge_claims

    found = judge_claims(runs)
    if as_json:
        typer.echo(json.dumps([verdict.model_dump() for verdict in found], indent=1))
        return
    show_table(
        ("claim", "board", "the paper's data", "domain", "verdict", "because"),
        (
            (
                f"{c.words} ({c.source})",
                c.board or "-",
                "yes" if c.papers else "no",
                c.domain,
                c.verdict,
                c.reason,
            )
            for c in found
        ),
    )
