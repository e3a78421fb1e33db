"""What ``fesbench evaluate --dry-run`` prints, and how its options are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fesbench.cli.output import print_json, show_table
from fesbench.errors import EXIT_OK, EXIT_USAGE, UnknownNameError

if TYPE_CHECKING:
    from fesbench.external.submission import Submission


def show_submission(submission: Submission, *, as_json: bool) -> int:
    """Print what a folder submission, every faulty name in full.

    Returns:
        the exit code: 0 where it can be scored, 2 where something must be fixed first.
    """
    report = submission.report()
    if as_json:
        print_json(report)
        return EXIT_USAGE if report["fault"] else EXIT_OK
    show_table(
        ("task", "domain", "wanted", "present"),
        ((row["task"], row["domain"], row["wanted"], row["present"]) for row in report["tasks"]),
    )
    lists = {
        "missing": report["missing"],
        "extra (answer no request)": report["extra"],
        "more than one file": report["double"],
        "of the wrong size": list(report["wrong_size"].values()),
        "of the wrong length": list(report["wrong_length"].values()),
        "unreadable": list(report["unreadable"].values()),
    }
    for what, names in lists.items():
        if names:
            typer.echo(f"\n{what}: {len(names)}")
            typer.echo("\n".join(f"  {name}" for name in names))
    if report["identical"]:
        typer.echo(f"\n{report['identical']} images equal another one; they are scored, and counted")
    if report["warning"]:
        typer.echo(f"\n{report['warning']}")
    typer.echo(f"\nnot scored: {report['fault']}" if report["fault"] else "\nready to be scored")
    return EXIT_USAGE if report["fault"] else EXIT_OK


def compute_share(images: Path, share: tuple[int, int], **options: Any) -> None:
    """Compute the features of a share of a folder, and print the file that holds them."""
    from fesbench.external.shares import extract_folder
    from fesbench.progress import LiveReporter

    with LiveReporter() as reporter:
        path = extract_folder(images, share, reporter=reporter, **options)
    typer.echo(str(path.resolve()))


def names_of_networks(text: str | None) -> list[str] | None:
    """The networks of ``--trained-with``: None where it was not given, an empty list for ``none``.

    Raises:
        UnknownNameError: a name that is no entry of the table of weights.

    >>> names_of_networks("fer, vgg19"), names_of_networks("none")
    (['fer', 'vgg19'], [])
    """
    from fesbench.weights.table import TABLE

    if text is None or text.strip() == "none":
        return None if text is None else []
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TABLE:
            raise UnknownNameError("weights", name, TABLE)
    return names
