"""What the verbs about data sets say, as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fesbench.cli.output import show_table

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore

_SHOWN = 10


def print_prepared(store: AlignedStore, sheets: list[Path | None]) -> None:
    """Found, expected and missing; what could not be used, and why; the fingerprints; the sheets."""
    info = store.info
    if info["counts"]:
        show_table(
            ("what", "found", "expected", ""),
            ((c["what"], c["found"], c["expected"], _remark(c)) for c in info["counts"]),
        )
    for note in info["notes"]:
        typer.echo(f"- {note}")
    failures, reasons = info["failures"], info["reasons"]
    if failures:
        from fesbench.data.alignment.recipes import REASONS

        typer.echo(f"- {len(failures)} images could not be used and are left out for every method alike:")
        show_table(("  reason", "images"), ((f"  {REASONS.get(k, k)}", n) for k, n in reasons.items()))
        for item in failures[:_SHOWN]:
            typer.echo(f"    {item['image']}: {item['reason']}")
    unknown = info["not_understood"]
    if unknown["count"]:
        typer.echo(f"- {unknown['count']} files not understood, such as {', '.join(unknown['first'])}")
    typer.echo(f"{len(store)} images of {store.data} at {store.size} px, aligned by {store.alignment}")
    typer.echo(f"files {store.files[:16]} (equal for everyone who holds the same files)")
    typer.echo(f"fingerprint {store.fingerprint[:16]} (equal where they were also prepared in the same way)")
    for sheet in sheets:
        if sheet is not None:
            typer.echo(str(sheet))


def _remark(count: dict[str, Any]) -> str:
    if count["found"] == count["expected"]:
        return ""
    return "missing" if count["found"] < count["expected"] else "more than known"


def print_counts(counts: dict[str, Any], twice: dict[str, Any]) -> None:
    """What `fesbench.data.summary.tally` and `fesbench.data.summary.repeats` found."""
    known = counts["identities_known"]
    show_table(
        ("expression", "images", *(("subjects",) if known else ())),
        (
            (label, n["images"], *((n["identities"],) if known else ()))
            for label, n in counts["expressions"].items()
        ),
    )
    _show_identities(counts)
    for column in ("part", "pose", "gaze", "lighting", "domain"):
        if column in counts:
            values = list(counts[column].items())
            more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
            typer.echo(f"{column}: {', '.join(f'{key} {n}' for key, n in values[:_SHOWN])}{more}")
    _show_repeats(twice, known)


def _show_identities(counts: dict[str, Any]) -> None:
    known = counts.get("identities")
    if known is None:
        typer.echo(f"{counts['images']} images; identities unknown, so a split can only go by image")
        return
    typer.echo(
        f"{counts['images']} images of {known['identities']} subjects; images of one subject: "
        f"{known['fewest']} to {known['most']}, median {known['median']:g}"
    )


def _show_repeats(twice: dict[str, Any], identities_known: bool) -> None:
    several = f", {twice['groups_of_several_identities']} of them with several identities"
    typer.echo(
        f"duplicates: {twice['by_file']} images by file, {twice['by_image']} by file or perceptual hash "
        f"({twice['groups']} groups{several if identities_known else ''})"
    )
    for names in twice["examples"]:
        typer.echo(f"  {' = '.join(names)}")
