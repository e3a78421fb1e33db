"""A huge folder in shares: each looked at by a process of its own, on any machine, and all scored by one.

What the networks see in a share goes into a file of its own, ``<runs>/features/<name>/2-of-5.sqlite``, so
that no two machines ever write to one; the evaluation of the whole folder takes these files over.
"""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fesbench.errors import UsageError
from fesbench.external.submission import read_submission, write_answers
from fesbench.external.terms import Terms
from fesbench.extractors.feature_file import FeatureFile
from fesbench.files import locked
from fesbench.progress import Reporter
from fesbench.records.record import safe_name

FEATURES = "features"


def row_name(folder: Path, name: str | None) -> str:
    """The name of a folder's row: the one that is given, or the folder's.

    Raises:
        UsageError: the folder does not exist, or the name is a registered method's or unfit for a path.
    """
    from fesbench.methods.registry import methods

    name = safe_name(name or folder.resolve().name)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the folder that holds <request>.png images")
    if name in methods():
        raise UsageError(f"'{name}' is a method of fesbench; choose another --name for these images")
    return name


def extract_folder(
    folder: Path,
    share: tuple[int, int],
    *,
    name: str | None = None,
    out: Path = Path("runs"),
    **terms: Any,
) -> Path:
    """Compute what `evaluate_folder`, with the same arguments, reads of one share, and score nothing.

    What an earlier try of the share computed, or the cache has, is not computed again.

    Args:
        folder: all answers; those of other shares are not read, and files that answer no request are left
            for the evaluation to refuse.
        share: (i, n) = the i-th of n ranges of the requests of each task and domain.
        name: the row's name; default: the folder's name.
        out: the runs folder.
        terms: see `Terms`.

    Returns:
        the file of features.

    Raises:
        DataError: missing, unreadable or wrongly sized images of this share, with the list of them.
        UsageError: see `row_name`; or the share has no request.
    """
    from fesbench.evaluation.share import extract_share

    name, under = row_name(folder, name), Terms(**terms)
    reporter = under.reporter
    table, store = under.requests()
    number, count = share
    path = out / FEATURES / name / f"{number}-of-{count}.sqlite"
    submission = read_submission(folder, table, store.size, share)
    if not len(submission.requests):
        raise UsageError(
            f"share {number} of {count} is empty: {folder} answers few of the {len(table)} requests, or none"
        )
    images, answered = submission.stack(), submission.chosen["request"]
    context = under.open_context(out)
    requests = context.requests[context.requests["request"].isin(answered)].reset_index(drop=True)
    try:
        with tempfile.TemporaryDirectory() as made, _held(path, reporter):
            for answer in answered[answered.isin(submission.clips)]:
                write_answers({answer: submission.images[answer]}, Path(made) / "clips")
            context.keep_features_in(path)
            with reporter.stage(f"{name}: share {number} of {count}") as stage:
                extract_share(context, requests, Path(made), images, share, stage.update_what)
    finally:
        context.close()
    return path


def take_shares(name: str, out: Path, into: FeatureFile, reporter: Reporter) -> None:
    """Move the features of all shares of a folder into the cache; those still in the making are waited for.

    Args:
        name: of the folder's row.
        out: the runs folder.
        into: the cache's file.
        reporter: told of a wait.
    """
    paths = sorted((out / FEATURES / name).glob("*-of-*.sqlite"))
    with reporter.stage(f"{name}: features of shares", total=len(paths)) as stage:
        for number, path in enumerate(paths):
            stage.update(number, len(paths), detail=path.stem)
            with _held(path, reporter):
                into.take(path)


def _held(path: Path, reporter: Reporter) -> AbstractContextManager[None]:
    """Keep other processes from the file of a share."""
    waits = f"{path.name} is in the hands of another process; waiting for it"
    return locked(path.with_suffix(".lock"), lambda: reporter.note(waits))
