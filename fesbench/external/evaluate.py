"""Score images and clips that fesbench did not make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.errors import EXIT_CELLS_FAILED, DataError, FesbenchError, UsageError
from fesbench.external.requests_export import _opened, wanted
from fesbench.external.shares import row_name, take_shares
from fesbench.external.submission import CLIP, Submission, read_submission, write_answers
from fesbench.external.terms import Terms
from fesbench.protocol.tasks import outputs_of
from fesbench.records.environment import describe_environment, resolve_device
from fesbench.records.record import EXTERNAL, REFERENCE, NotRun, Record, safe_name
from fesbench.runs.answerable import unscored
from fesbench.runs.job import Job, shared_job

if TYPE_CHECKING:
    import pandas as pd

_OF_FILES = ["file", "source_file", "driver_files", "target_landmarks"]
"""What a function, which reads no files, is not told."""


class CellsFailedError(FesbenchError):
    """The external images are scored and saved, but reference rows beside them failed."""

    exit_code = EXIT_CELLS_FAILED


def examine_folder(folder: Path, **terms: Any) -> Submission:
    """Hold a folder against what a protocol asks for (see `Terms`), and score nothing.

    Raises:
        UsageError: the folder does not exist.
    """
    requests, store = Terms(**terms).requests()
    return read_submission(folder, requests, store.size)


def evaluate_folder(
    folder: Path,
    *,
    name: str | None = None,
    out: Path = Path("runs"),
    made_by: Mapping[str, Any] | None = None,
    trained_with: Sequence[str] | None = None,
    **terms: Any,
) -> Record:
    """Score a folder of ``<request>.png`` under a protocol, beside the reference rows.

    Args:
        folder: images, one per request (``<request>.png``, or the one ``.png`` in a folder ``<request>``), of
            the protocol's size, and clips (a folder ``<request>`` of ``0000.png`` and so on, an animated
            ``<request>.webp`` or ``<request>.gif``); every task that any file answers must be answered whole.
        name: the row's name; default: the folder's name.
        out: the runs folder.
        made_by: what is known of the program that made them, for the record.
        trained_with: networks of others that had a part in its training or selection, by their names in the
            table of weights; None: unknown.
        terms: protocol, budget and so on, see `Terms`.

    Raises:
        DataError: missing, extra, unreadable or wrongly sized images, with the list of them.
        UsageError: the folder does not exist, or the name is a registered method's or unfit for a path.
        CellsFailedError: reference rows failed; the images are scored and their record is saved.
    """
    from fesbench.evaluation.score import score_cell
    from fesbench.runs.folds import run_jobs
    from fesbench.runs.preflight import preflight

    name, under = row_name(folder, name), Terms(**terms)
    reporter = under.reporter
    for metric, reason in preflight(under.rules, strict=False).items():
        reporter.note(f"{metric}: n/a ({reason})", warning=True)
    # before the context, whose judge may train for minutes
    table, store = under.requests()
    submission = read_submission(folder, table, store.size)
    images = submission.stack()
    if submission.warning:
        reporter.note(submission.warning, warning=True)
    context = under.open_context(out)
    try:
        requests = replace(submission, requests=context.requests).chosen
        record = _record(name, context, requests, made_by or {})
        record.trained_with = None if trained_with is None else sorted(trained_with)
        target = context.out / record.cell.folder
        _keep(submission, requests, target)
        take_shares(name, out, context.cache.file, reporter)
        beside = run_jobs(_references(under, out), context, reporter)
        with reporter.stage(f"{name}: score") as stage:
            score_cell(context, record, requests, target, stage.update_what, images=images)
    finally:
        context.close()
    record.status = "scored"
    record.save(target)
    failed = [other.cell.method for other in beside if other.status == "failed"]
    if failed:
        raise CellsFailedError(
            f"reference rows failed: {', '.join(failed)} (the reason is in their record.json); '{name}' is "
            f"scored in {target}; run the same command again, or 'fesbench report {out}' for what is there"
        )
    return record


def _references(under: Terms, out: Path) -> list[Job]:
    """The reference rows that stand beside a folder's."""
    from fesbench.methods.registry import methods

    shared = shared_job(
        under.form,
        data=under.data,
        size=under.size,
        split=under.split,
        source=under.source,
        budget=under.plain_budget,
        out=out,
    )
    kinds = methods().items()
    return [replace(shared, method=id_, preset=REFERENCE) for id_, kind in kinds if kind.card.reference]


def _keep(submission: Submission, requests: pd.DataFrame, target: Path) -> None:
    """Copy the answers, one at a time, and their requests into the row's folder."""
    for place in ("images", "clips"):
        write_answers({}, target / place)
    for answer in requests["request"]:
        made = submission.images[answer]
        write_answers({answer: made}, target / ("clips" if made.ndim == CLIP else "images"))
    requests.to_csv(target / "requests.csv", index=False)


def _record(name: str, context: RunContext, requests: pd.DataFrame, made_by: Mapping[str, Any]) -> Record:
    """The record of images from elsewhere, before it is scored."""
    record = Record(
        cell=context.cell(name, preset=EXTERNAL),
        trained_on="declared" if made_by.get("trained_on") else "unknown",
        parameters=dict(made_by),
        environment=describe_environment(resolve_device("auto")),
    )
    card = {"id": name, "title": name, "citation": ""}
    left_out = [*_unanswered(context.requests, requests), *unscored(context.protocol, requests)]
    context.describe(record, card, left_out)
    return record


def evaluate(
    images: Path | str | Callable[[np.ndarray, list[dict[str, object]]], np.ndarray],
    *,
    protocol: str,
    name: str | None = None,
    adapter: Path | None = None,
    batch_size: int = 16,
    out: Path = Path("runs"),
    trained_with: Sequence[str] | None = None,
    **terms: Any,
) -> Record:
    """Score a folder, a network in a file, a command or a function; the same as ``fesbench evaluate``.

    Args:
        images: a folder of ``<request>.png`` and clips; an ``.onnx`` or ``.pt2`` file; a ``.toml`` file that
            names a command (`fesbench.external.command`); or a function of (sources uint8 (N, S, S, 3),
            requests: one dictionary each with target_expression, intensity, ...) that returns uint8
            (N, S, S, 3), or (N, T, S, S, 3) where clips of ``length`` T are asked for. A function is asked
            for what needs the label alone, a network for what its inputs can carry; all else is answered by a
            folder.
        protocol: name or TOML file.
        name, out, trained_with: as in :func:`evaluate_folder`.
        adapter: what a network's inputs are; default: the TOML file of its name beside it.
        batch_size: how many requests the function gets at once.
        terms: ``data``, ``split``, ``source``, ``budget``, ``size``, ``reporter``; see
            `fesbench.external.terms.Terms`.
    """
    import tempfile

    row: dict[str, Any] = {"out": out, "trained_with": trained_with}
    if not callable(images) and not Path(images).is_file():
        return evaluate_folder(Path(images), name=name, protocol=protocol, **row, **terms)
    under = Terms(protocol, **terms)
    own = getattr(images, "__name__", "callable") if callable(images) else Path(images).stem
    name = safe_name(name or ("callable" if own == "<lambda>" else own))
    with tempfile.TemporaryDirectory() as scratch:
        folder, made_by = Path(scratch), None
        if not callable(images) and Path(images).suffix == ".toml":
            folder, made_by = _ask_command(Path(images), folder, out / "commands" / f"{name}.log", under)
        elif callable(images):
            _ask_function(images, folder, batch_size, under)
        else:
            made_by = _ask_network(Path(images), adapter, folder, under)
        return evaluate_folder(folder, name=name, made_by=made_by, protocol=under.form, **row, **terms)


def _ask_command(path: Path, work: Path, log: Path, under: Terms) -> tuple[Path, dict[str, Any]]:
    """Run the command that a file names; the folder of its images and what the record keeps of it."""
    from fesbench.external.command import images_of_command

    return images_of_command(
        path,
        work,
        log,
        under.rules,
        budget=under.plain_budget,
        source=under.source,
        reporter=under.reporter,
    )


def _ask_function(function: Callable[..., np.ndarray], folder: Path, batch_size: int, under: Terms) -> None:
    """Write a function's images."""
    requests, store = under.requests()
    requests = requests[(requests["given"] == "label") & (requests["source"] >= 0)]
    if not len(requests):
        raise UsageError(
            f"{under.rules.name} asks for nothing by its label alone, so a function cannot answer it; "
            "give a folder, made from 'fesbench protocols requests --sources'"
        )
    lengths = np.where(outputs_of(requests) == "clip", requests.get("length", 1), 0)
    for frames, rows in requests.groupby(lengths, sort=False):
        for start in range(0, len(rows), batch_size):
            batch = rows.iloc[start : start + batch_size]
            given = store.images[batch["source"].to_numpy()]
            told = wanted(batch, store).drop(columns=_OF_FILES, errors="ignore").to_dict("records")
            made = np.asarray(function(given, told))
            shape = (len(given), *[frames] * (frames > 0), *given.shape[1:])
            if made.shape != shape or made.dtype != np.uint8:
                what = f"clips of {frames} frames" if frames else "images"
                raise DataError(
                    f"the function returned {made.dtype} {made.shape} for {given.shape}; it must return "
                    f"uint8 {what} of the sources' shape"
                )
            write_answers(dict(zip(batch["request"], made, strict=True)), folder)


def _ask_network(path: Path, adapter: Path | None, folder: Path, under: Terms) -> dict[str, Any]:
    """Write a network's images; what the record keeps of it."""
    from fesbench.context.folded import tables_of
    from fesbench.external.adapter import load_adapter
    from fesbench.external.exported import ExportedNetwork, exported_images
    from fesbench.external.programs import open_program

    program = open_program(path)
    spec = load_adapter(adapter or path.with_suffix(".toml"))
    rules, store = _opened(under.rules, under.source, under.reporter)
    network = ExportedNetwork(program, spec, store.size)
    made = 0
    with under.reporter.stage(f"{path.name}: synthesize") as stage:
        for part, requests, _ in tables_of(rules, store, under.plain_budget):
            told = requests.drop(columns="target")
            for done, (name, image) in enumerate(exported_images(network, part, store, told), made + 1):
                write_answers({name: image}, folder)
                stage.update(done, None)
                made = done
    if not made:
        raise UsageError(
            f"{rules.name} asks for nothing that {path.name} can answer with the inputs "
            f"{', '.join(spec.inputs.values())}; 'fesbench protocols show' tells its tasks"
        )
    return network.card()


def _unanswered(requests: pd.DataFrame, answered: pd.DataFrame) -> list[NotRun]:
    """The groups of the protocol that the folder holds no image of."""
    columns = ["task", "domain"]
    found = set(answered[columns].itertuples(index=False, name=None))
    groups = dict.fromkeys(requests[columns].itertuples(index=False, name=None))
    return [
        NotRun(task=task, domain=domain, reason="no images were given")
        for task, domain in groups
        if (task, domain) not in found
    ]
