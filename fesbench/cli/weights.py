"""The verbs about pretrained weights: list, pull, add, verify, where, convert."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fesbench.cli.output import JsonOption, print_json, show_table
from fesbench.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from fesbench.weights.manager import WeightsManager

weights_app = typer.Typer(
    help="Weights of extractors: list, pull, add, verify, where; convert authors' checkpoints.",
    invoke_without_command=True,
)
NameArgument = Annotated[str, typer.Argument(help="A name from 'fesbench weights list'.")]
AcceptOption = Annotated[
    bool, typer.Option("--accept-license", help="Accept a non-commercial license without being asked.")
]


@weights_app.callback()
def _weights(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        weights_list(json_=json_)


def _manager() -> WeightsManager:
    from fesbench.files import fesbench_home
    from fesbench.weights.manager import WeightsManager

    return WeightsManager(fesbench_home())


@weights_app.command("list")
def weights_list(json_: JsonOption = False) -> None:
    """List every weights file: present or not, its license, what needs it, its size."""
    rows = _manager().list()
    if json_:
        print_json([row.as_dict() for row in rows])
        return
    show_table(
        ("name", "present", "license", "needed by", "size"),
        (
            (
                row.entry.name,
                row.word,
                row.entry.license,
                ", ".join(row.entry.needed_by),
                _size(row.entry.bytes),
            )
            for row in rows
        ),
    )


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.0f} MB"


@weights_app.command("pull", epilog="Example:  fesbench weights pull --for judges")
def weights_pull(
    name: Annotated[str | None, typer.Argument(help="A name from 'fesbench weights list'.")] = None,
    purpose: Annotated[
        str | None, typer.Option("--for", help="All weights of a purpose, in place of a name: judges.")
    ] = None,
    accept_license: AcceptOption = False,
) -> None:
    """Download weights and check them; an interrupted download resumes."""
    from fesbench.progress import LiveReporter

    manager = _manager()
    failures = []
    for wanted in _wanted(name, purpose):
        settle_license(manager, wanted, accept=accept_license)
        try:
            with LiveReporter() as reporter, reporter.stage(f"pull {wanted}") as stage:
                path = manager.pull(wanted, progress=stage.update)
            typer.echo(str(path))
        except WeightsError as error:
            failures.append(error)
    # What can be had is had, whatever another registry answers.
    if failures:
        raise WeightsError("\n".join(str(failure) for failure in failures))


def _wanted(name: str | None, purpose: str | None) -> tuple[str, ...]:
    """The names of weights that were asked for.

    Raises:
        UsageError: not one of a name and a purpose, or no such purpose.
    """
    if (name is None) == (purpose is None):
        raise UsageError("give either a name from 'fesbench weights list' or --for judges")
    if name is not None:
        return (name,)
    if purpose != "judges":
        raise UsageError(f"--for '{purpose}' is no purpose; known: judges")
    from fesbench.extractors.registry import outside_judges, weights_of

    return tuple(file for judge in outside_judges() for file in weights_of(judge))


@weights_app.command(
    "add", epilog="Example:  fesbench weights add ~/weights-inception-2015-12-05-6726825d.pth"
)
def weights_add(
    file: Annotated[Path, typer.Argument(help="The file, got by other means.")],
    name: Annotated[
        str | None, typer.Option(help="Its name in 'fesbench weights list', if the file's does not say.")
    ] = None,
    accept_license: AcceptOption = False,
) -> None:
    """Add a weights file by hand; it is checked all the same."""
    manager = _manager()
    name = manager.recognize(file, name).name
    settle_license(manager, name, accept=accept_license)
    typer.echo(str(manager.add(file, name)))


@weights_app.command("verify")
def weights_verify() -> None:
    """Check every file that is present against its sha256, read anew from the disk."""
    found = _manager().verify()
    for status in found:
        typer.echo(str(status))
    bad = [status.entry.name for status in found if not status.present]
    if bad:
        raise WeightsError(f"not the right files: {', '.join(bad)}; each line above says what fixes it")


@weights_app.command("where", epilog="Example:  fesbench weights where dlib")
def weights_where(name: NameArgument) -> None:
    """Print the path of one checked weights file."""
    typer.echo(str(_manager().path(name)))


@weights_app.command(
    "convert",
    epilog="Example:  fesbench weights convert stargan 200000-G.ckpt --out stargan.safetensors "
    "--labels angry,contemptuous,disgusted,fearful,happy,neutral,sad,surprised",
)
def weights_convert(
    method: Annotated[str, typer.Argument(help="An id from 'fesbench methods', or a .py file.")],
    file: Annotated[Path, typer.Argument(help="The authors' checkpoint, as their code saved it.")],
    out: Annotated[Path, typer.Option(help="The new .safetensors file.")],
    labels: Annotated[str, typer.Option(help="Its labels in their order, separated by commas.")] = "",
    action_units: Annotated[str, typer.Option(help="Its action units in their order, such as 1,2,4.")] = "",
    size: Annotated[int | None, typer.Option(help="Side of its images in pixels.")] = None,
    preset: Annotated[str, typer.Option(help="Preset with the same network.")] = "paper",
    trained_on: Annotated[str, typer.Option(help="What it was trained on, in words.")] = "",
) -> None:
    """Convert an authors' checkpoint for 'fesbench run --weights METHOD=FILE'; no code in it is run."""
    from fesbench.methods.registry import load_method
    from fesbench.runs.convert_weights import convert

    try:
        units = [int(part) for part in action_units.split(",") if part.strip()]
    except ValueError:
        raise UsageError(f"--action-units '{action_units}' is not a list of numbers such as 1,2,4") from None
    note = convert(
        load_method(method),
        file,
        out,
        labels=[part for part in labels.split(",") if part.strip()],
        action_units=units,
        size=size,
        preset=preset,
        trained_on=trained_on,
    )
    known = ", ".join(map(str, note["labels"] or note["action_units"])) or "no labels"
    typer.echo(f"{note['method']} at {note['size']} px for {known}", err=True)
    typer.echo(str(out))


def settle_license(manager: WeightsManager, name: str, *, accept: bool) -> None:
    """Show a non-commercial license before the first use, and record that it was accepted.

    Raises:
        WeightsError: it was not accepted, or nobody is there to be asked.
    """
    entry = manager.entry(name)
    if accept and entry.non_commercial:
        manager.accept_license(name, how="--accept-license")
    problem = manager.license_problem(name)
    if problem is None:
        return
    typer.echo(f"{name}: {entry.license}\nCite: {entry.citation}", err=True)
    if not sys.stdin.isatty():
        raise WeightsError(f"weights '{name}': {problem}")
    if not typer.confirm("Do you accept these terms for your use?", err=True):
        raise WeightsError(f"the license of weights '{name}' was not accepted; nothing was fetched")
    manager.accept_license(name, how="prompt")
