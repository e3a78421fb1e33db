"""The verbs about protocols: list, show, diff, validate, requests, split. ``list`` is their default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fesbench.cli.output import JsonOption, print_json, show_table
from fesbench.errors import DataError

if TYPE_CHECKING:
    from fesbench.protocol.data_folders import Sources
    from fesbench.protocol.protocol import Protocol

protocols_app = typer.Typer(help="Protocols: the rules of a comparison.", invoke_without_command=True)

FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="DIR | NAME=DIR",
        help="Folder of the data set as its owner distributes it. Where a protocol uses several: once for "
        "each, as NAME=DIR.",
    ),
]
SplitOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV with the columns identity and subset (train, validation, test, or numbers of folds) in "
        "place of the protocol's own split; named in every signature."
    ),
]
_Name = Annotated[str, typer.Argument(help="A protocol's name or TOML file.")]
_Data = Annotated[str | None, typer.Option(help="A stand-in data set.")]
_Size = Annotated[int | None, typer.Option(help="Image side in pixels.")]


@protocols_app.callback()
def _protocols(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        protocols_list(json_=json_)


@protocols_app.command("list")
def protocols_list(json_: JsonOption = False) -> None:
    """List every installed protocol."""
    from fesbench.protocol.protocol import load_protocol, protocol_files

    rows = [load_protocol(name) for name in protocol_files()]
    if json_:
        print_json([{"name": p.name, "title": p.title, "data": p.data.set, "hash": p.hash} for p in rows])
        return
    show_table(
        ("name", "title", "data", "size", "tasks"),
        (
            (p.name, p.title, p.data.set, p.data.size, ", ".join(dict.fromkeys(t.kind for t in p.tasks)))
            for p in rows
        ),
    )


@protocols_app.command(
    "show",
    epilog="Examples:  fesbench protocols show ck+ --from ~/CK+   "
    "fesbench protocols show ck+-to-oulu --from ck+=~/CK+ --from oulu-casia=~/Oulu",
)
def protocols_show(
    name: _Name,
    data: _Data = None,
    split: SplitOption = None,
    source: FromOption = None,
    size: _Size = None,
    json_: JsonOption = False,
) -> None:
    """Print a protocol's rules in plain words, and the split's counts and hash where the data is at hand."""
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.protocol.describe import describe
    from fesbench.protocol.difference import superseded
    from fesbench.protocol.forms import suitable
    from fesbench.protocol.protocol import load_protocol

    folders = parse_sources(source)
    with LiveReporter() as reporter:
        chosen = suitable(name, folders, reporter, data=data, split=split)
    protocol = load_protocol(chosen).with_overrides(size=size, data=data, split=split)
    summary = _split_summary(protocol, folders)
    if json_:
        print_json(
            {
                **protocol.model_dump(mode="json"),
                "name": protocol.name,
                "hash": protocol.hash,
                "split_summary": summary,
            }
        )
        return
    if told := superseded(protocol):
        typer.echo(f"{told}\n")
    typer.echo(describe(protocol, summary))


@protocols_app.command("diff", epilog="Example:  fesbench protocols diff avatars@1 avatars@2")
def protocols_diff(first: _Name, second: _Name) -> None:
    """Tell in plain words what differs between two protocols, and what that means for figures and weights."""
    from fesbench.protocol.difference import difference
    from fesbench.protocol.protocol import load_protocol

    typer.echo("\n".join(difference(load_protocol(first), load_protocol(second))))


@protocols_app.command("validate", epilog="Example:  fesbench protocols validate my-rules@1.toml")
def protocols_validate(
    file: Annotated[Path, typer.Argument(help="A TOML file; see docs/protocols.md.")],
) -> None:
    """Check a protocol that you wrote: every slip at once, or what the file means in plain words."""
    from fesbench.protocol.describe import describe
    from fesbench.runs.protocol_check import check_file

    protocol = check_file(file)
    typer.echo(describe(protocol))
    typer.echo(f"{file} is valid; run it with 'fesbench run --protocol {file}'")


@protocols_app.command(
    "requests",
    epilog="Examples:  fesbench protocols requests ck+ --out requests.csv   "
    "fesbench protocols requests rafd --from ~/RaFD --sources faces/",
)
def protocols_requests(
    name: _Name,
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("requests.csv"),
    budget: Annotated[str, typer.Option(help="smoke, short, standard or paper.")] = "standard",
    data: _Data = None,
    split: SplitOption = None,
    source: FromOption = None,
    size: _Size = None,
    sources: Annotated[
        Path | None,
        typer.Option(help="Also write source images and granted clips as PNG to this folder."),
    ] = None,
) -> None:
    """Write what must be made: one row a request, with the file name it must have and what is granted."""
    from fesbench.external.requests_export import asked, wanted, write_sources
    from fesbench.files import atomic_write_bytes
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.protocol.forms import suitable
    from fesbench.protocol.protocol import load_protocol

    folders = parse_sources(source)
    with LiveReporter() as reporter:
        chosen = suitable(name, folders, reporter, data=data, split=split)
        protocol = load_protocol(chosen).with_overrides(size=size, data=data, split=split)
        requests, store = asked(protocol, budget, folders, reporter)
        if sources is not None:
            write_sources(requests, store, sources)
    atomic_write_bytes(out, wanted(requests, store).to_csv(index=False).encode())
    typer.echo(f"{len(requests)} requests written to {out}")


@protocols_app.command(
    "split",
    epilog="Examples:  fesbench protocols split ck+ --from ~/CK+ --out split.csv   "
    "then, changed or not:  fesbench run --protocol ck+ --split split.csv",
)
def protocols_split(
    name: _Name,
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("split.csv"),
    data: _Data = None,
    split: SplitOption = None,
    source: FromOption = None,
    size: _Size = None,
    template: Annotated[
        bool,
        typer.Option(
            "--template", help="Write a split to begin with instead: one row a subject, for you to change."
        ),
    ] = False,
) -> None:
    """Write who trains, validates and is tested, for other training code.

    One row an image: image, identity, expression, subset. In a k-fold form the subset is the fold's number.
    """
    from fesbench.context.build import open_store
    from fesbench.data.splits.files import split_frame, template_frame
    from fesbench.files import atomic_write_bytes
    from fesbench.progress import LiveReporter
    from fesbench.protocol.data_folders import parse_sources
    from fesbench.protocol.describe import split_lines, summary_of
    from fesbench.protocol.forms import suitable
    from fesbench.protocol.protocol import load_protocol
    from fesbench.protocol.split import assignment

    folders = parse_sources(source)
    with LiveReporter() as reporter:
        chosen = name if template else suitable(name, folders, reporter, data=data, split=split)
        protocol = load_protocol(chosen).with_overrides(size=size, data=data, split=split)
        store = open_store(protocol, folders, reporter)
    if template:
        begun = template_frame(store.manifest)
        atomic_write_bytes(out, begun.to_csv(index=False).encode())
        typer.echo(
            f"{len(begun)} subjects written to {out}; change the column subset, then give it with --split"
        )
        return
    summary = summary_of(protocol, store)
    table = split_frame(store.manifest, assignment(protocol, store))
    atomic_write_bytes(out, table.to_csv(index=False).encode())
    typer.echo("\n".join(split_lines(summary)))
    typer.echo(f"hash {summary['hash']}")
    left = len(store) - len(table)
    typer.echo(
        f"{len(table)} images written to {out}" + (f"; {left} images are in no subset" if left else "")
    )


def _split_summary(protocol: Protocol, source: Sources) -> dict[str, Any]:
    """Subjects and images per subset, and the split's hash; ``reason`` where the data is not at hand."""
    from fesbench.context.build import open_store
    from fesbench.progress import LiveReporter
    from fesbench.protocol.describe import summary_of

    try:
        with LiveReporter() as reporter:
            store = open_store(protocol, source, reporter)
    except DataError as error:
        return {"reason": str(error)}
    return summary_of(protocol, store)
