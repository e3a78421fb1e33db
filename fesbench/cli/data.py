"""The verbs about data sets: list, make, prepare, show, verify, measure. ``list`` is the default."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fesbench.cli.data_tables import print_counts, print_prepared
from fesbench.cli.output import JsonOption, print_json, show_table
from fesbench.errors import DataError, UsageError

data_app = typer.Typer(
    help="Data sets: list, make, prepare, show, verify, measure.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)

NameArgument = Annotated[str, typer.Argument(help="A data set from 'fesbench data list'.")]
ProtocolOption = Annotated[
    str | None,
    typer.Option(help="Whose rules to follow; default: the newest protocol of the data set's own name."),
]
SizeOption = Annotated[
    int | None, typer.Option(min=8, max=1024, help="Image side in pixels; default: the protocol's, or 128.")
]

AlignmentOption = Annotated[
    str | None, typer.Option(help="Recipe, with another detector if wanted: dlib68-128@1:opencv.")
]
OptionOption = Annotated[
    list[str] | None, typer.Option(help="An option of the data set as key=value; may be repeated.")
]


@data_app.callback()
def _data(context: typer.Context, json_: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        data_list(json_=json_)


@data_app.command("list", epilog="Examples:  fesbench data list   fesbench data list --long")
def data_list(
    long: Annotated[bool, typer.Option("--long", help="Also license, citation and home page.")] = False,
    json_: JsonOption = False,
) -> None:
    """List the data sets: who grants access, under which terms, what each can serve."""
    from fesbench.data.datasets import DESCRIBED, described

    rows = described()
    if json_:
        print_json(rows)
    elif long:
        for row in rows:
            typer.echo(f"{row['name']}: {row['title']}")
            for key in DESCRIBED[2:]:
                typer.echo(f"  {key}: {row[key] or '-'}")
    else:
        show_table(DESCRIBED[:3], ([row[key] for key in DESCRIBED[:3]] for row in rows))


@data_app.command(
    "make",
    epilog="Examples:  fesbench data make avatars --identities 260 --size 128 --out faces   "
    "fesbench data make avatars --layout ck+ --identities 12 --out fake-ck",
)
def data_make(
    name: Annotated[str, typer.Argument(help="avatars")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    identities: Annotated[
        int | None, typer.Option(min=1, help="How many subjects; default: as many as suits the layout.")
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Image side in pixels.")] = 128,
    layout: Annotated[
        str, typer.Option(help="plain (PNG and manifest.csv), or the layout of a data set, such as ck+.")
    ] = "plain",
    generation: Annotated[
        str | None, typer.Option(help="Which form of the layout, where copies lie in several.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the subjects.")] = 0,
) -> None:
    """Write the embedded faces as files, also exactly as the owner of a real data set would lay it out."""
    if name != "avatars":
        raise UsageError(
            f"only 'avatars' can be made, not '{name}'; real data sets are prepared from their files"
        )
    from fesbench.data.layouts import layout as layout_of
    from fesbench.data.layouts.plain import write_plain
    from fesbench.progress import LiveReporter

    chosen = None if layout == "plain" else layout_of(layout)
    if chosen is None and generation is not None:
        raise UsageError("--generation goes with the --layout of a data set")
    if chosen is not None and generation is not None and generation not in chosen.generations:
        raise UsageError(f"--generation of layout {layout} is one of {', '.join(chosen.generations)}")
    identities = identities or (260 if chosen is None else chosen.identities)
    with LiveReporter() as reporter, reporter.stage(f"make {identities} avatars ({layout})") as stage:
        how: dict[str, Any] = {
            "identities": identities,
            "size": size,
            "seed": seed,
            "progress": stage.update_what,
        }
        if chosen is None:
            write_plain(out, **how)
        else:
            out = chosen(out, **how, generation=generation)
    typer.echo(str(out.resolve()))


@data_app.command(
    "prepare",
    epilog="Examples:  fesbench data prepare ck+ --from ~/CK+   "
    "fesbench data prepare rafd --from ~/RaFD --size 64 --alignment celeba-178-128@1   "
    "fesbench data prepare ferg --from ~/FERG_DB_256 --option images=50",
)
def data_prepare(
    name: NameArgument,
    source: Annotated[Path | None, typer.Option("--from", help="Folder as its owner distributes it.")] = None,
    protocol: ProtocolOption = None,
    size: SizeOption = None,
    alignment: AlignmentOption = None,
    option: OptionOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="Also show the nearest faces of different subsets (slow).")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Verify, align and store a data set; print what is there, what is missing, and whether it leaks.

    The same command after an interruption resumes.
    """
    from fesbench.data.contact_sheets import contact_sheet, failure_sheet
    from fesbench.data.prepare import prepare
    from fesbench.progress import LiveReporter
    from fesbench.protocol.forms import OWN, suitable
    from fesbench.protocol.preparation import rules_for
    from fesbench.runs.leakage import check_subsets

    with LiveReporter() as reporter:
        rules = rules_for(
            name,
            protocol=protocol or (suitable(name, source, reporter) if name == OWN else None),
            size=size,
            alignment=alignment,
            options=parse_options(option or []),
        )
        with reporter.stage(f"prepare {name} at {rules.size} px") as stage:
            store = prepare(
                name,
                size=rules.size,
                alignment=rules.alignment,
                source=source,
                options=rules.options,
                progress=stage.update_what,
                workers=workers,
            )
        sheets = [contact_sheet(store), failure_sheet(store)]
        if not json_:
            print_prepared(store, sheets)
        near = check_subsets(store, rules, faces, reporter)
    if json_:
        facts = {"fingerprint": store.fingerprint, "files": store.files, "path": store.path, **store.info}
        print_json({**facts, "sheets": [sheet for sheet in sheets if sheet is not None], **near})
    else:
        for line in near["said"]:
            typer.echo(f"- {line}")


@data_app.command(
    "show", epilog="Examples:  fesbench data show avatars   fesbench data show ck+ --protocol ck+@1 --json"
)
def data_show(
    name: NameArgument,
    protocol: ProtocolOption = None,
    size: SizeOption = None,
    alignment: AlignmentOption = None,
    option: OptionOption = None,
    json_: JsonOption = False,
) -> None:
    """Show a prepared data set: counts, a contact sheet, duplicates, and which protocols use it.

    Without an option it is what was prepared last, else what the data set's own protocol asks for.
    """
    from fesbench.data.contact_sheets import contact_sheet
    from fesbench.data.prepare import prepare, prepared_last, prepared_stores
    from fesbench.data.splits.duplicates import duplicate_groups
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.data.summary import repeats, tally
    from fesbench.progress import LiveReporter
    from fesbench.protocol.preparation import rules_for, uses

    rules = rules_for(
        name, protocol=protocol, size=size, alignment=alignment, options=parse_options(option or [])
    )
    last = None if protocol or size or alignment or option else prepared_last(name)
    with LiveReporter() as reporter:
        if last is not None:
            store = AlignedStore.open(last)
            others = len(prepared_stores(name)) - 1
            more = f"; {others} more in 'fesbench data verify {name}'" if others else ""
            told = f"{store.size} px, aligned by {store.alignment}"
            reporter.note(f"{name} as it was prepared last: {told}{more}")
        else:
            with reporter.stage(f"open {name} at {rules.size} px") as stage:
                store = prepare(
                    name,
                    size=rules.size,
                    alignment=rules.alignment,
                    options=rules.options,
                    progress=stage.update_what,
                )
        with reporter.stage("look for duplicates") as stage:
            groups = duplicate_groups(store, stage.update_what)
    counts, twice, protocols = tally(store), repeats(store, groups), uses(name)
    sheet = contact_sheet(store)
    if json_:
        facts = {"fingerprint": store.fingerprint, "files": store.files, "alignment": store.alignment}
        print_json({**facts, **counts, "duplicates": twice, "sheet": sheet, "protocols": dict(protocols)})
        return
    print_counts(counts, twice)
    typer.echo("used by: " + (", ".join(f"{p} ({how})" for p, how in protocols) or "no installed protocol"))
    typer.echo(str(sheet))


@data_app.command("verify", epilog="Example:  fesbench data verify ck+")
def data_verify(name: NameArgument, json_: JsonOption = False) -> None:
    """Check every hash of everything that was prepared from a data set."""
    from fesbench.data.datasets import dataset
    from fesbench.data.prepare import prepared_stores
    from fesbench.data.store.aligned import AlignedStore

    dataset(name)
    rows: list[tuple[str, str, str]] = []
    damaged = []
    for path in prepared_stores(name):
        try:
            store = AlignedStore.open(path, verify=True)
        except DataError as error:
            damaged.append(str(path))
            rows.append((str(path), "damaged", str(error)))
            continue
        rows.append((str(path), "good", f"{len(store)} images, {store.size} px, {store.alignment}"))
    if not rows:
        raise DataError(f"nothing was prepared from '{name}' here; run 'fesbench data prepare {name}' first")
    if json_:
        print_json([dict(zip(("path", "state", "detail"), row, strict=True)) for row in rows])
    else:
        show_table(("state", "what", "store"), ((state, detail, path) for path, state, detail in rows))
    if damaged:
        raise DataError(
            f"{len(damaged)} of {len(rows)} stores are damaged; delete {', '.join(damaged)} and run "
            f"'fesbench data prepare {name}' again"
        )


@data_app.command("measure", epilog="Example:  fesbench data measure avatars --identities 40")
def data_measure(
    name: Annotated[str, typer.Argument(help="avatars")] = "avatars",
    identities: Annotated[int, typer.Option(min=4, help="How many unseen subjects.")] = 40,
    size: Annotated[int, typer.Option(help="Image side in pixels.")] = 256,
    json_: JsonOption = False,
) -> None:
    """Measure the embedded faces by third-party models, on subjects drawn from the hash of their sources."""
    if name != "avatars":
        raise UsageError(f"only 'avatars' can be measured, not '{name}'")
    from fesbench.data.avatars.measure import measure

    found = measure(identities=identities, size=size)
    if json_:
        print_json(found)
        return
    show_table(("what", "value"), ((key, value) for key, value in found.items()))


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """Options of the form ``key=value``; a value is read as TOML where it is some, else as text.

    Raises:
        UsageError: no "=".
    """
    options: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--option '{item}' must have the form key=value, such as frames=3")
        try:
            options[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            options[key.strip()] = text
    return options
