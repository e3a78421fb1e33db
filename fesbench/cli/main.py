"""The command line: verbs only. Everything they do can be called from Python.

Nothing heavy is imported at the top: ``fesbench --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fesbench
from fesbench.cli import curve as cli_curve
from fesbench.cli import gate as cli_gate
from fesbench.cli.data import data_app
from fesbench.cli.methods import methods_app
from fesbench.cli.metrics import metrics_app
from fesbench.cli.output import show_table
from fesbench.cli.protocols import FromOption, SplitOption, protocols_app
from fesbench.cli.study import study_app
from fesbench.cli.submit import submit_app
from fesbench.cli.weights import weights_app
from fesbench.cli.zoo import zoo_app
from fesbench.errors import EXIT_CRASH, EXIT_USAGE, FesbenchError

if TYPE_CHECKING:
    from fesbench.runs.plan import RunOptions

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

ProtocolOption = Annotated[
    str, typer.Option(help="Protocol: a name such as ck+ or avatars@1, or a TOML file.")
]
DataOption = Annotated[
    str | None,
    typer.Option(help="Another data set under the same rules, e.g. --protocol ck+ --data avatars."),
]
SizeOption = Annotated[
    int | None, typer.Option(min=32, max=1024, help="Image side in pixels, if not the protocol's.")
]
OutOption = Annotated[Path, typer.Option(help="Folder of the records and the report.")]
BudgetOption = Annotated[
    str,
    typer.Option(
        help="smoke, short, standard, paper, steps=N or minutes=M; auto: standard on a GPU, else smoke."
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of expected errors too.")] = False,
) -> None:
    if version:
        typer.echo(f"fesbench {fesbench.__version__}")
        raise typer.Exit


@app.command(
    epilog="Examples:  fesbench run   fesbench run --methods mr,stargan --protocol ck+ --from ~/CK+   "
    "fesbench run --protocol ck+-to-oulu --from ck+=~/CK+ --from oulu-casia=~/Oulu"
)
def run(
    context: typer.Context,
    methods: Annotated[
        str, typer.Option(help="all, or names and @sets from 'fesbench methods', or a .py file.")
    ] = "all",
    protocol: ProtocolOption = "avatars",
    data: DataOption = None,
    split: SplitOption = None,
    source: FromOption = None,
    seeds: Annotated[str, typer.Option(help="Training seeds, e.g. 0,1,2.")] = "0",
    preset: Annotated[
        str,
        typer.Option(
            help="paper (as published), tiny (same wiring, narrow) or one that a method has beside them; "
            "auto: paper on a GPU."
        ),
    ] = "auto",
    budget: BudgetOption = "auto",
    size: SizeOption = None,
    out: OutOption = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    weights: Annotated[
        list[str] | None,
        typer.Option(help="METHOD=FILE.safetensors: load these weights instead of training; repeatable."),
    ] = None,
    train: Annotated[
        str,
        typer.Option(
            help="always; never: load from the zoo or fail; auto: on a CPU load what fits, else train."
        ),
    ] = "auto",
    jobs: Annotated[
        int, typer.Option(min=1, help="Cells run at once, each in its own process; 1: in this one.")
    ] = 1,
    engine: Annotated[
        str,
        typer.Option(help="local, or slurm: each cell a job of its own; SBATCH_* variables choose where."),
    ] = "local",
    shard: Annotated[
        str, typer.Option(help="i/n: only the i-th of n equal shares of the cells; the others run elsewhere.")
    ] = "1/1",
    emit_sbatch: Annotated[
        Path | None,
        typer.Option(
            help="Write a Slurm script that runs this command as an array, a cell a task, and stop."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Stop before the run if a metric cannot be computed.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the scores as JSON on standard output.")
    ] = False,
) -> None:
    """Train and score methods under a protocol, and build the HTML leaderboard.

    The same command after an interruption resumes.
    """
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.runs.loaded_weights import parse_weights
    from fesbench.runs.plan import RunOptions, parse_seeds, parse_shard
    from fesbench.runs.plan import run as run_all

    options = RunOptions(
        methods=methods,
        protocol=protocol,
        data=data,
        split=split,
        source=parse_sources(source),
        seeds=parse_seeds(seeds),
        preset=preset,
        budget=budget,
        size=size,
        out=out,
        device=device,
        strict=strict,
        weights=parse_weights(weights),
        train=train,  # type: ignore[arg-type]
        jobs=jobs,
        engine=engine,
        shard=parse_shard(shard),
    )
    if emit_sbatch is not None:
        _write_sbatch(emit_sbatch, options, context)
        return
    with LiveReporter() as reporter:
        summary = run_all(options, reporter)
    if json_:
        _print_scores([score.model_dump() for record in summary.records for score in record.scores])
    for record in summary.records:
        if record.status == "failed":
            typer.echo(f"failed: {record.cell}: {record.error.strip().rpartition(chr(10))[2]}", err=True)
    if summary.page is not None:
        typer.echo(str(summary.page.resolve()), err=json_)
    raise typer.Exit(summary.exit_code)


@app.command(
    epilog="Examples:  fesbench evaluate my-images/ --protocol ck+ --name my-method   "
    "fesbench evaluate my-images/ --dry-run   fesbench evaluate my-model.onnx --adapter my-model.toml"
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is wanted, present and wrong, and score nothing.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the scores as JSON on standard output.")
    ] = False,
) -> None:
    """Score images that another program made, beside the reference rows.

    'fesbench protocols requests' lists the wanted images.
    """
    from fesbench.cli.evaluate import names_of_networks, show_submission
    from fesbench.external.evaluate import evaluate as evaluate_any
    from fesbench.external.evaluate import examine_folder
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.reports.site import build

    rules: dict[str, Any] = {
        "protocol": protocol,
        "data": data,
        "split": split,
        "source": parse_sources(source),
        "budget": budget,
        "size": size,
    }
    if dry_run:
        with LiveReporter() as reporter:
            submission = examine_folder(images, reporter=reporter, **rules)
        raise typer.Exit(show_submission(submission, as_json=json_))
    with LiveReporter() as reporter:
        rules["trained_with"] = names_of_networks(trained_with)
        record = evaluate_any(images, name=name, adapter=adapter, out=out, reporter=reporter, **rules)
        page = build(out, out / "report")
    if json_:
        _print_scores([score.model_dump() for score in record.scores])
    typer.echo(str(page.resolve()), err=json_)


@app.command(
    epilog="Examples:  fesbench report runs   fesbench report runs --json > scores.json   "
    "fesbench report runs --claims"
)
def report(
    runs: Annotated[Path, typer.Argument(help="Folder of records, as 'fesbench run --out' wrote it.")] = Path(
        "runs"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder of the pages; default: RUNS/report.")] = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print what the records say of claims that papers make instead.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one object a score (or claim) instead.")
    ] = False,
) -> None:
    """Build the HTML leaderboard from records, or print their scores."""
    if claims:
        _show_claims(runs, as_json=json_)
        return
    if json_:
        from fesbench.reports.boards import scores

        _print_scores(scores(runs))
        return
    from fesbench.reports.site import build

    typer.echo(str(build(runs, out or runs / "report").resolve()))


@app.command(
    epilog="Examples:  fesbench table runs --metrics ECS,FSS,FID --no-intervals > main.tex   "
    "fesbench table runs --layout ood --metrics ECS --format markdown"
)
def table(
    runs: Annotated[Path, typer.Argument(help="Folder of records, as 'fesbench run --out' wrote it.")] = Path(
        "runs"
    ),
    layout: Annotated[
        str, typer.Option(help="main, per-expression, ood, cost or ablation (presets).")
    ] = "main",
    metrics: Annotated[str, typer.Option(help="Columns in this order, e.g. ECS,FSS; default: all.")] = "",
    format_: Annotated[str, typer.Option("--format", help="latex, markdown, csv or html.")] = "latex",
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


cli_gate.register(app)
cli_curve.register(app)


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


def _write_sbatch(path: Path, options: RunOptions, context: typer.Context) -> None:
    """Write the script of a run; every option that was given goes into it."""
    import os
    import shlex

    from fesbench.files import atomic_write_bytes
    from fesbench.runs.plan import count_cells
    from fesbench.runs.sbatch import sbatch_script

    arguments = ["run"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in ("emit_sbatch", "shard") or value in (None, False, parameter.default):
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            arguments += parameter.opts[:1] if one is True else [parameter.opts[0], str(one)]
    script = sbatch_script(
        arguments, name=path.name, cells=count_cells(options), here=os.getcwd(), python=sys.executable
    )
    atomic_write_bytes(path, script.encode())
    typer.echo(f"sbatch {shlex.quote(str(path))}")


def _print_scores(scores: list[dict[str, Any]]) -> None:
    typer.echo(json.dumps(scores, indent=1, allow_nan=False))


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
