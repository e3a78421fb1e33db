"""The verbs that list, show and prepare: methods, protocols, data, weights. ``list`` is their default."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from fesbench.errors import UsageError

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

methods_app = typer.Typer(help="Methods and reference rows.", invoke_without_command=True)
protocols_app = typer.Typer(help="Protocols: the rules of a comparison.", invoke_without_command=True)
data_app = typer.Typer(help="Data sets: list, make, prepare, measure.", invoke_without_command=True)
weights_app = typer.Typer(help="Weights of extractors: list, pull, add, verify.", invoke_without_command=True)


def show_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a plain table; outside text is never read as markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=str))


@methods_app.callback()
def _methods(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        methods_list(json_=json_)


@methods_app.command("list")
def methods_list(json_: JsonOption = False) -> None:
    """List every method with what it needs and what it can be asked for."""
    from fesbench.method import methods

    cards = [method.card for method in methods().values()]
    rows = [
        {
            "id": card.id,
            "title": card.title,
            "year": card.year,
            "needs": sorted(card.needs),
            "controls": sorted(card.controls),
            "reference": card.reference,
            "citation": card.citation,
        }
        for card in cards
    ]
    if json_:
        _json(rows)
        return
    show_table(
        ("id", "title", "year", "needs", "answers"),
        (
            (r["id"], r["title"], r["year"] or "", ", ".join(r["needs"]) or "-", ", ".join(r["controls"]))  # type: ignore[arg-type]
            for r in rows
        ),
    )


@protocols_app.callback()
def _protocols(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        protocols_list(json_=json_)


@protocols_app.command("list")
def protocols_list(json_: JsonOption = False) -> None:
    """List every installed protocol."""
    from fesbench.protocol import load_protocol, protocol_files

    rows = [load_protocol(name) for name in protocol_files()]
    if json_:
        _json([{"name": p.name, "title": p.title, "data": p.data.set, "hash": p.hash} for p in rows])
        return
    show_table(
        ("name", "title", "data", "size", "tasks"),
        (
            (p.name, p.title, p.data.set, p.data.size, ", ".join(dict.fromkeys(t.kind for t in p.tasks)))
            for p in rows
        ),
    )


@protocols_app.command("show", epilog="Example:  fesbench protocols show ck+ --from ~/CK+")
def protocols_show(
    name: Annotated[str, typer.Argument(help="A protocol's name or TOML file.")],
    data: Annotated[str | None, typer.Option(help="A stand-in data set.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Folder of the data set.")] = None,
    size: Annotated[int | None, typer.Option(help="Image side in pixels.")] = None,
    json_: JsonOption = False,
) -> None:
    """Print a protocol's rules in plain words, and the split's counts and hash where the data is at hand."""
    from fesbench.protocol import load_protocol
    from fesbench.protocol_words import describe, split_summary

    protocol = load_protocol(name).with_overrides(size=size, data=data)
    summary = split_summary(protocol, source)
    if json_:
        _json(
            {
                **protocol.model_dump(mode="json"),
                "name": protocol.name,
                "hash": protocol.hash,
                "split_summary": summary,
            }
        )
        return
    typer.echo(describe(protocol, summary))


@protocols_app.command("requests", epilog="Example:  fesbench protocols requests ck+ --out requests.csv")
def protocols_requests(
    name: Annotated[str, typer.Argument(help="A protocol's name or TOML file.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("requests.csv"),
    budget: Annotated[str, typer.Option(help="smoke, standard or paper.")] = "standard",
    data: Annotated[str | None, typer.Option(help="A stand-in data set.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Folder of the data set.")] = None,
    size: Annotated[int | None, typer.Option(help="Image side in pixels.")] = None,
    sources: Annotated[
        Path | None, typer.Option(help="Also write every source image as PNG to this folder.")
    ] = None,
) -> None:
    """Write what must be made: one row a request, with the file name it must have and what is granted."""
    from fesbench.data.files import atomic_write_bytes
    from fesbench.external import asked, wanted, write_sources
    from fesbench.progress import LiveReporter
    from fesbench.protocol import load_protocol

    protocol = load_protocol(name).with_overrides(size=size, data=data)
    with LiveReporter() as reporter:
        requests, store = asked(protocol, budget, source, reporter)
        if sources is not None:
            write_sources(requests, store, sources)
    atomic_write_bytes(out, wanted(requests, store).to_csv(index=False).encode())
    typer.echo(f"{len(requests)} requests written to {out}")


@data_app.callback()
def _data(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        data_list(json_=json_)


@data_app.command("list")
def data_list(json_: JsonOption = False) -> None:
    """List the data sets: who grants access, under which terms."""
    from fesbench.data.datasets import DATASETS

    adapters = [DATASETS[name] for name in DATASETS]
    if json_:
        _json(
            [{k: getattr(a, k) for k in ("name", "title", "access", "license", "citation")} for a in adapters]
        )
        return
    show_table(("name", "title", "access"), ((a.name, a.title, a.access) for a in adapters))


@data_app.command(
    "make", epilog="Example:  fesbench data make avatars --identities 260 --size 128 --out faces"
)
def data_make(
    name: Annotated[str, typer.Argument(help="avatars")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    identities: Annotated[
        int | None, typer.Option(min=1, help="How many people; default 260, as CK+ 123.")
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Image side in pixels.")] = 128,
    layout: Annotated[
        str, typer.Option(help="plain (PNG and manifest.csv) or ck+ (CK+'s own layout).")
    ] = "plain",
    seed: Annotated[int, typer.Option(help="Seed of the people.")] = 0,
) -> None:
    """Write the embedded faces as files."""
    if name != "avatars":
        raise UsageError(
            f"only 'avatars' can be made, not '{name}'; real data sets are prepared from their files"
        )
    if layout not in ("plain", "ck+"):
        raise UsageError(f"--layout '{layout}' is neither plain nor ck+")
    from fesbench.progress import LiveReporter

    identities = identities or (260 if layout == "plain" else 123)
    with LiveReporter() as reporter, reporter.stage(f"make {identities} avatars ({layout})") as stage:
        if layout == "plain":
            from fesbench.data.export import write_plain

            write_plain(out, identities=identities, size=size, seed=seed, progress=stage.update_what)
        else:
            from fesbench.data.layouts.ckplus import write

            write(out, identities=identities, size=size, seed=seed, progress=stage.update_what)
    typer.echo(str(out.resolve()))


@data_app.command("prepare", epilog="Example:  fesbench data prepare ck+ --from ~/CK+")
def data_prepare(
    name: Annotated[str, typer.Argument(help="A data set from 'fesbench data list'.")],
    source: Annotated[Path | None, typer.Option("--from", help="Folder as its owner distributes it.")] = None,
    size: Annotated[int | None, typer.Option(help="Image side in pixels; default: the protocol's.")] = None,
    json_: JsonOption = False,
) -> None:
    """Verify, align and store a data set, and print what is there and what is missing."""
    from fesbench.bench import open_store
    from fesbench.progress import LiveReporter
    from fesbench.protocol import load_protocol

    with LiveReporter() as reporter:
        store = open_store(load_protocol(name).with_overrides(size=size), source, reporter)
    if json_:
        _json({"fingerprint": store.fingerprint, **store.info})
        return
    show_table(
        ("what", "found", "expected", ""),
        (
            (c["what"], c["found"], c["expected"] if c["expected"] is not None else "", _remark(c))
            for c in store.info.get("counts", [])
        ),
    )
    for note in store.info.get("notes", []):
        typer.echo(f"- {note}")
    failures = store.info.get("failures", [])
    if failures:
        shown = "; ".join(f"{item['image']}: {item['reason']}" for item in failures[:10])
        typer.echo(f"- {len(failures)} images could not be used: {shown}")
    unknown = store.info.get("not_understood", {})
    if unknown.get("count"):
        typer.echo(f"- {unknown['count']} files not understood, such as {', '.join(unknown['first'])}")
    typer.echo(f"{len(store.manifest)} images of {store.data}, fingerprint {store.fingerprint[:16]}")


def _remark(count: dict[str, Any]) -> str:
    if count["expected"] is None or count["found"] == count["expected"]:
        return ""
    return "missing" if count["found"] < count["expected"] else "more than known"


@data_app.command("measure", epilog="Example:  fesbench data measure avatars --identities 40")
def data_measure(
    name: Annotated[str, typer.Argument(help="avatars")] = "avatars",
    identities: Annotated[int, typer.Option(min=4, help="How many unseen people.")] = 40,
    size: Annotated[int, typer.Option(help="Image side in pixels.")] = 256,
    json_: JsonOption = False,
) -> None:
    """Measure the embedded faces by third-party models, on people drawn from the hash of their sources."""
    if name != "avatars":
        raise UsageError(f"only 'avatars' can be measured, not '{name}'")
    from fesbench.data.avatars.measure import measure

    found = measure(identities=identities, size=size)
    if json_:
        _json(found)
        return
    show_table(("what", "figure"), ((key, value) for key, value in found.items()))


@weights_app.callback()
def _weights(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        weights_list(json_=json_)


def _manager() -> Any:
    from fesbench.data.home import fesbench_home
    from fesbench.extractors.weights import WeightsManager

    return WeightsManager(fesbench_home())


@weights_app.command("list")
def weights_list(json_: JsonOption = False) -> None:
    """List every weights file: present or not, its license, what needs it."""
    rows = _manager().list()
    if json_:
        _json([{**row.entry.__dict__, "present": row.present} for row in rows])
        return
    show_table(
        ("name", "present", "license", "needed by"),
        (
            (r.entry.name, "yes" if r.present else "no", r.entry.license, ", ".join(r.entry.needed_by))
            for r in rows
        ),
    )


@weights_app.command("pull", epilog="Example:  fesbench weights pull inception-tf-2015")
def weights_pull(name: Annotated[str, typer.Argument(help="A name from 'fesbench weights list'.")]) -> None:
    """Download one weights file and check it."""
    from fesbench.progress import LiveReporter

    with LiveReporter() as reporter, reporter.stage(f"pull {name}") as stage:
        path = _manager().pull(name, progress=lambda done, total: stage.update(done, total))
    typer.echo(str(path))


@weights_app.command(
    "add", epilog="Example:  fesbench weights add ~/weights-inception-2015-12-05-6726825d.pth"
)
def weights_add(
    file: Annotated[Path, typer.Argument(help="The file, got by other means.")],
    name: Annotated[
        str | None, typer.Option(help="Its name in 'fesbench weights list', if the file's does not say.")
    ] = None,
) -> None:
    """Add a weights file by hand; it is checked all the same."""
    typer.echo(str(_manager().add(file, name)))


@weights_app.command("verify")
def weights_verify() -> None:
    """Check every file that is present against its sha256."""
    for status in _manager().verify():
        typer.echo(str(status))
