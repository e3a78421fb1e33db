"""The command line: verbs only. Everything they do can be called from Python.

Nothing heavy is imported at the top: ``fesbench --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import fesbench
from fesbench.cli import curve as cli_curve
from fesbench.cli import gate as cli_gate
from fesbench.cli import report as cli_report
from fesbench.cli import run as cli_run
from fesbench.cli.data import data_app
from fesbench.cli.methods import methods_app
from fesbench.cli.metrics import metrics_app
from fesbench.cli.options import DataOption, OutOption, ProtocolOption, SizeOption
from fesbench.cli.output import print_scores, show_table
from fesbench.cli.protocols import FromOption, SplitOption, protocols_app
from fesbench.cli.study import study_app
from fesbench.cli.submit import submit_app
from fesbench.cli.weights import weights_app
from fesbench.cli.zoo import zoo_app
from fesbench.errors import EXIT_CRASH, EXIT_USAGE, FesbenchError, UsageError

app = typer.Typer(
    name="fesbench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Benchmark and evaluation suite for facial expression synthesis.",
    epilog="Start with: [bold]fesbench run[/bold] (all methods, embedded faces).  "
    "Your own images: [bold]fesbench protocols requests avatars --out requests.csv[/bold], then "
    "[bold]fesbench evaluate DIR --protocol avatars[/bold].",
)
for name, sub in (
    ("data", data_app),
    ("methods", methods_app),
    ("metrics", metrics_app),
    ("protocols", protocols_app),
    ("study", study_app),
    ("submit", submit_app),
    ("weights", weights_app),
    ("zoo", zoo_app),
):
    app.add_typer(sub, name=name)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of expected errors too.")] = False,
) -> None:
    if version:
        typer.echo(f"fesbench {fesbench.__version__}")
        raise typer.Exit


cli_run.register(app)


@app.command(
    epilog="Examples:  fesbench evaluate my-images/ --protocol ck+ --name my-method   "
    "fesbench evaluate my-images/ --dry-run   fesbench evaluate my-model.onnx --adapter my-model.toml   "
    "fesbench evaluate huge/ --shard 2/5"
)
def evaluate(
    images: Annotated[
        Path,
        typer.Argument(
            help="Folder of <request id>.png, a network (.onnx, .pt2), or a .toml that names a command.",
        ),
    ],
    protocol: ProtocolOption = "avatars",
    data: DataOption = None,
    split: SplitOption = None,
    source: FromOption = None,
    name: Annotated[str | None, typer.Option(help="The row's name; default: the folder's or file's.")] = None,
    budget: Annotated[str, typer.Option(help="The budget whose requests the images answer.")] = "standard",
    size: SizeOption = None,
    adapter: Annotated[
        Path | None,
        typer.Option(help="TOML that says what a network's inputs are; default: the one beside it."),
    ] = None,
    trained_with: Annotated[
        str | None,
        typer.Option(
            help="Networks of others in its training or selection, as in 'fesbench weights list', by commas; "
            "'none': none; default: unknown."
        ),
    ] = None,
    out: OutOption = Path("runs"),
    shard: Annotated[
        str,
        typer.Option(
            help="i/n: only compute features of the i-th of n ranges of a folder; the same command without "
            "it scores them all."
        ),
    ] = "1/1",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is wanted, present and wrong, and score nothing.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the scores as JSON on standard output.")
    ] = False,
) -> None:
    """Score images or clips that another program made, beside the reference rows.

    'fesbench protocols requests' lists what is wanted, and under which name.
    """
    from fesbench.cli.evaluate import compute_share, names_of_networks, show_submission
    from fesbench.external.evaluate import evaluate as evaluate_any
    from fesbench.external.evaluate import examine_folder
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.reports.site import build
    from fesbench.runs.plan import parse_shard

    share = parse_shard(shard)
    rules: dict[str, Any] = {
        "protocol": protocol,
        "data": data,
        "split": split,
        "source": parse_sources(source),
        "budget": budget,
        "size": size,
    }
    if share != (1, 1):
        if dry_run or json_:
            raise UsageError(
                "--shard scores nothing and examines its share alone: leave out --dry-run, --json"
            )
        compute_share(images, share, name=name, out=out, **rules)
        return
    if dry_run:
        with LiveReporter() as reporter:
            submission = examine_folder(images, reporter=reporter, **rules)
        raise typer.Exit(show_submission(submission, as_json=json_))
    with LiveReporter() as reporter:
        rules["trained_with"] = names_of_networks(trained_with)
        record = evaluate_any(images, name=name, adapter=adapter, out=out, reporter=reporter, **rules)
        page = build(out, out / "report")
    if json_:
        print_scores([score.model_dump() for score in record.scores])
    typer.echo(str(page.resolve()), err=json_)


@app.command()
def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what is present, what is missing, and what that costs."""
    from fesbench.runs.doctor import examine

    findings = examine()
    if json_:
        typer.echo(json.dumps([finding.__dict__ for finding in findings], indent=1))
        return
    show_table(("", "what", "detail"), (("ok" if f.present else "--", f.what, f.detail) for f in findings))


cli_report.register(app)
cli_gate.register(app)
cli_curve.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with the exit codes of the design.

    0 fine; 1 crash; 2 usage or input; 3 worse; 4 some cells failed; 5 not comparable; 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(
        _guard(
            lambda: app(arguments, prog_name="fesbench", standalone_mode=False), debug="--debug" in arguments
        )
    )


def _guard(call: Callable[[], Any], *, debug: bool) -> int:
    try:
        code = call()
        return code if isinstance(code, int) else 0
    except FesbenchError as error:
        if debug:
            raise
        typer.echo(f"fesbench: {error}", err=True)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("fesbench: interrupted; the same command resumes", err=True)
        return 130
    except _usage_errors() as error:
        error.show()
        return EXIT_USAGE
    except BrokenPipeError:
        return EXIT_CRASH


def _usage_errors() -> Any:
    """Click's usage error: typer carries its own copy of click since 0.26, and used the package before."""
    import importlib

    try:
        return importlib.import_module("typer._click.exceptions").ClickException
    except ModuleNotFoundError:
        return importlib.import_module("click.exceptions").ClickException
