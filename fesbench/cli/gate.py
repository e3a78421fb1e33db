"""The verbs that hold rows against one another: check, compare, power, explain, baseline save."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fesbench.cli.output import show_table
from fesbench.errors import EXIT_NOT_COMPARABLE, FesbenchError, UsageError

baseline_app = typer.Typer(no_args_is_help=True, help="What later runs are held against.")

MethodOption = Annotated[str | None, typer.Option(help="Which method, where the folder holds several.")]
RunArgument = Annotated[Path, typer.Argument(help="A record's folder, or a folder of records.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(epilog="Example:  fesbench check runs --against baseline.json --markdown summary.md")(check)
    app.command(epilog="Example:  fesbench compare --runs runs --methods stargan,mr --markdown table.md")(
        compare
    )
    app.command(epilog="Example:  fesbench power runs --metric ECS --effect 5 --methods stargan,mr")(power)
    app.command(epilog="Example:  fesbench explain 'SSIM|ref:truth|n:280/280|p:avatars@1:8c1f'")(explain)
    app.add_typer(baseline_app, name="baseline")


def check(
    run: RunArgument,
    against: Annotated[Path, typer.Option(help="A file of 'fesbench baseline save', or a record's folder.")],
    tolerance: Annotated[Path | None, typer.Option(help="TOML file; see docs/gate.md.")] = None,
    method: MethodOption = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the verdicts as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a short summary.")] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML: one suite a method, one test case a score.")
    ] = None,
) -> None:
    """Hold a run against its baseline: 0 same or improved, 3 something worse, 5 not comparable.

    Of several methods each is held against its own row of the baseline.
    """
    from fesbench.files import atomic_write_bytes
    from fesbench.gate import writers
    from fesbench.gate.rows import check_rows, exit_code

    reports = check_rows(run, against, tolerance=tolerance, method=method)
    if json_ is not None:
        text = json.dumps(writers.verdicts_json(reports), indent=1, allow_nan=False)
        atomic_write_bytes(json_, text.encode())
    if markdown is not None:
        texts = [writers.verdicts_markdown(report) for report in reports]
        atomic_write_bytes(markdown, "\n".join(texts).encode())
    if junit is not None:
        atomic_write_bytes(junit, writers.junit(reports))
    for report in reports:
        show_table(writers.VERDICT_COLUMNS, (writers.verdict_row(verdict) for verdict in report.verdicts))
        for line in dict.fromkeys([v.reason for v in report.verdicts if v.reason] + report.notes):
            typer.echo(line)
        typer.echo(writers.headline(report))
    raise typer.Exit(exit_code(reports))


def compare(
    a: Annotated[Path | None, typer.Argument(help="A record's folder or a baseline file.")] = None,
    b: Annotated[Path | None, typer.Argument(help="What it is held against.")] = None,
    runs: Annotated[Path | None, typer.Option(help="A folder of records, instead of A and B.")] = None,
    methods: Annotated[str | None, typer.Option(help="With --runs: two of its methods, A,B.")] = None,
    pooled: Annotated[bool, typer.Option("--pooled", help="Leave out scores of single expressions.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
) -> None:
    """Compare two rows: paired differences over subjects, intervals, p-values, and who improves."""
    from fesbench.files import atomic_write_bytes
    from fesbench.gate import writers
    from fesbench.gate.comparison import compare as compare_rows

    places, names = _sides(a, b, runs, methods)
    found = compare_rows(places[0], places[1], methods=names, expressions=not pooled)
    if markdown is not None:
        atomic_write_bytes(markdown, writers.comparison_markdown(found).encode())
    if json_:
        typer.echo(json.dumps(writers.comparison_json(found), indent=1, allow_nan=False))
    else:
        typer.echo(f"A = {found.a.name}, B = {found.b.name}, {found.a.cell.protocol}")
        show_table(writers.COMPARISON_COLUMNS, writers.comparison_rows(found))
        for line in writers.remarks(found):
            typer.echo(line)
    raise typer.Exit(found.exit_code)


def power(
    metric: Annotated[str, typer.Option(help="Which score, such as ECS.")],
    effect: Annotated[float, typer.Option(help="A difference: points of a share, else the metric's unit.")],
    run: Annotated[Path, typer.Argument(help="A record's folder, or a folder of records.")] = Path("runs"),
    protocol: Annotated[str | None, typer.Option(help="Only records of this protocol.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these two rows, A,B.")] = None,
    task: Annotated[str, typer.Option(help="Which task's score.")] = "expression",
    domain: Annotated[str, typer.Option(help="Which domain's score.")] = "in",
    json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """How many test subjects a difference needs: 80 % power at 5 %, paired, by the records' own variance."""
    from dataclasses import asdict

    from fesbench.gate import power as of_rows

    names = None if methods is None else _two(methods)
    asked = of_rows.in_record_units(metric, effect)
    found = of_rows.power(run, metric, asked, protocol=protocol, methods=names, task=task, domain=domain)
    if json_:
        told = [{key: None if value != value else value for key, value in asdict(n).items()} for n in found]
        typer.echo(json.dumps(told, indent=1, allow_nan=False))
        return
    scale = effect / asked
    show_table(
        (
            "A",
            "B",
            "A - B",
            "sd over subjects",
            "subjects here",
            f"needed for {effect:g}",
            "seen with those here",
        ),
        (
            (
                need.a,
                need.b,
                "-" if need.difference != need.difference else f"{need.difference * scale:.3g}",
                f"{need.sd * scale:.3g}",
                need.subjects,
                need.needed,
                f"{need.smallest * scale:.3g} or more",
            )
            for need in found
        ),
    )
    typer.echo(
        f"{metric}, task {task}, domain {domain}: {found[0].needed} subjects show {effect:g} in every pair."
    )


def _two(methods: str) -> tuple[str, str]:
    names = [name.strip() for name in methods.split(",")]
    if len(names) != 2 or not all(names):
        raise UsageError("--methods takes two rows: A,B")
    return names[0], names[1]


def _sides(
    a: Path | None, b: Path | None, runs: Path | None, methods: str | None
) -> tuple[tuple[Path, Path], tuple[str, str] | None]:
    if runs is None and methods is None and a is not None and b is not None:
        return (a, b), None
    names = [name.strip() for name in (methods or "").split(",")]
    if a is not None or runs is None or len(names) != 2 or not all(names):
        raise UsageError("give two records' folders, or --runs FOLDER --methods A,B")
    return (runs, runs), (names[0], names[1])


def explain(
    what: Annotated[str, typer.Argument(help="A signature, or a record's folder with --metric.")],
    other: Annotated[str | None, typer.Argument(help="A second signature: are the two comparable?")] = None,
    metric: Annotated[str | None, typer.Option(help="Which score of the record.")] = None,
    method: MethodOption = None,
) -> None:
    """Say a score's signature in words, or whether two are comparable (exit code 5 where not)."""
    from fesbench.metrics.explain import explain as explain_signature
    from fesbench.metrics.explain import explain_difference

    signature = _signature(what, metric, method)
    lines = explain_signature(signature)
    show_table(
        ("field", "value", "meaning", "must agree"),
        ((line.field, line.value, line.words, "yes" if line.compared else "no") for line in lines),
    )
    if other is None:
        return
    against = _signature(other, metric, method)
    explain_signature(against)
    differences = explain_difference(signature, against)
    typer.echo("comparable" if not differences else "not comparable:")
    for line in differences:
        typer.echo(f"  {line}")
    if differences:
        raise typer.Exit(EXIT_NOT_COMPARABLE)


def _signature(text: str, metric: str | None, method: str | None) -> str:
    if metric is None:
        if "|" not in text and Path(text).is_dir():
            raise UsageError(f"{text} is a folder; name one of its scores with --metric")
        return text
    from fesbench.errors import UnknownNameError
    from fesbench.gate.collect import open_row

    scores = open_row(Path(text), method).figures
    found = [score for score in scores if score.metric == metric and score.signature]
    if not found:
        reasons = {score.reason for score in scores if score.metric == metric}
        if reasons:
            raise FesbenchError(f"{metric} has no score there: {'; '.join(sorted(reasons))}")
        raise UnknownNameError("score", metric, {score.metric for score in scores})
    return found[0].signature


@baseline_app.command(
    "save", epilog="Example:  fesbench baseline save runs --method stargan --out baseline.json"
)
def baseline_save(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="The baseline file.")],
    method: MethodOption = None,
) -> None:
    """Write what 'fesbench check' needs of a run's methods into one JSON file; it holds no images."""
    from fesbench.gate.baselines import save_rows
    from fesbench.gate.rows import rows_of

    rows = rows_of(run, method)
    save_rows(rows, out)
    for row in rows:
        scores = sum(bool(score.values) for score in row.figures)
        typer.echo(f"{out}: {row.name}, {scores} scores, {len(row.people)} subjects, seeds {row.seeds}")
