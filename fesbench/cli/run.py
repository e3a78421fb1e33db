"""The verb that trains and scores methods, or writes the script that does so on a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fesbench.cli.options import BudgetOption, DataOption, OutOption, ProtocolOption, SizeOption
from fesbench.cli.output import print_scores
from fesbench.cli.protocols import FromOption, SplitOption

if TYPE_CHECKING:
    from fesbench.runs.plan import RunOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(
        epilog="Examples:  fesbench run   fesbench run --methods mr,stargan --protocol ck+ --from ~/CK+   "
        "fesbench run --protocol ck+-to-oulu --from ck+=~/CK+ --from oulu-casia=~/Oulu"
    )(run)


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
        typer.Option(
            help="local; slurm: each cell a job, SBATCH_* variables choose where; ray: each a task, of the "
            "cluster at RAY_ADDRESS or of this machine."
        ),
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
        print_scores([score.model_dump() for record in summary.records for score in record.scores])
    for record in summary.records:
        if record.status == "failed":
            typer.echo(f"failed: {record.cell}: {record.error.strip().rpartition(chr(10))[2]}", err=True)
    if summary.page is not None:
        typer.echo(str(summary.page.resolve()), err=json_)
    raise typer.Exit(summary.exit_code)


def _write_sbatch(path: Path, options: RunOptions, context: typer.Context) -> None:
    """Write the script of a run; every option that was given goes into it."""
    import os
    import shlex

    from fesbench.files import atomic_write_bytes
    from fesbench.progress import LiveReporter
    from fesbench.runs.plan import count_cells
    from fesbench.runs.sbatch import sbatch_script

    arguments = ["run"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in ("emit_sbatch", "shard") or value in (None, False, parameter.default):
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            arguments += parameter.opts[:1] if one is True else [parameter.opts[0], str(one)]
    with LiveReporter() as reporter:
        cells = count_cells(options, reporter)
    script = sbatch_script(arguments, name=path.name, cells=cells, here=os.getcwd(), python=sys.executable)
    atomic_write_bytes(path, script.encode())
    typer.echo(f"sbatch {shlex.quote(str(path))}")
