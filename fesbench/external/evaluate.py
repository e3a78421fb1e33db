"""Score images and clips that fesbench did not make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.errors import EXIT_CELLS_FAILED, DataError, FesbenchError, UsageError
from fesbench.external.requests_export import _opened, asked, wanted
from fesbench.external.shares import row_name, take_shares
from fesbench.external.submission import CLIP, Submission, read_submission, write_answers
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.forms import suitable
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.protocol.tasks import outputs_of
from fesbench.records.environment import describe_environment, resolve_device
from fesbench.records.record import EXTERNAL, REFERENCE, NotRun, Record, safe_name
from fesbench.runs.answerable import unscored
from fesbench.runs.job import shared_job

if TYPE_CHECKING:
    import pandas as pd

_OF_FILES = ["file", "source_file", "driver_files", "target_landmarks"]
"""What a function, which reads no files, is not told."""


class CellsFailedError(FesbenchError):
    """The external images are scored and saved, but reference rows beside them failed."""

    exit_code = EXIT_CELLS_FAILED


def examine_folder(
    folder: Path,
    *,
    protocol: str,
    data: str | None = None,
    split: Path | None = None,
    source: Sources = None,
    budget: str = "standard",
    size: int | None = None,
    reporter: Reporter | None = None,
) -> Submission:
    """Hold a folder against what a protocol asks for, and score nothing; arguments as in `evaluate_folder`.

    Raises:
        UsageError: the folder does not exist.
    """
    reporter = reporter or Reporter()
    protocol = suitable(protocol, source, reporter, data=data, split=split)
    rules = load_protocol(protocol).with_overrides(size=size, data=data, split=split)
    requests, store = asked(rules, budget, source, reporter)
    return read_submission(folder, requests, store.size)


def evaluate_folder(
    folder: Path,
    *,
    protocol: str,
    data: str | None = None,
    split: Path | None = None,
    source: Sources = None,
    name: str | None = None,
    budget: str = "standard",
    size: int | None = None,
    out: Path = Path("runs"),
    reporter: Reporter | None = None,
    made_by: Mapping[str, Any] | None = None,
    trained_with: Sequence[str] | None = None,
) -> Record:
    """Score a folder of ``<request>.png`` under a protocol, beside the reference rows.

    Args:
        folder: images, one per request (``<request>.png``, or the one ``.png`` in a folder ``<request>``), of
            the protocol's size, and clips (a folder ``<request>`` of ``0000.png`` and so on, an animated
            ``<request>.webp`` or ``<request>.gif``); every task that any file answers must be answered whole.
        protocol: name or TOML file.
        data: a stand-in data set of the protocol.
        split: a CSV with identity and subset, in place of the protocol's own split.
        source: where the data lies, if it was not prepared before.
        name: the row's name; default: the folder's name.
        budget: the budget whose requests the images answer.
        made_by: what is known of the program that made them, for the record.
        trained_with: networks of others that had a part in its training or selection, by their names in the
            table of weights; None: unknown.

    Raises:
        DataError: missing, extra, unreadable or wrongly sized images, with the list of them.
        UsageError: the folder does not exist, or the name is a registered method's or unfit for a path.
        CellsFailedError: reference rows failed; the images are scored and their record is saved.
    """
    from fesbench.context.folded import open_context
    from fesbench.evaluation.score import score_cell
    from fesbench.methods.registry import methods
    from fesbench.runs.folds import run_jobs
    from fesbench.runs.preflight import preflight

    reporter = reporter or Reporter()
    name = row_name(folder, name)
    budget = parse_budget(budget).text
    protocol = suitable(protocol, source, reporter, data=data, split=split)
    rules = load_protocol(protocol).with_overrides(size=size, data=data, split=split)
    for metric, reason in preflight(rules, strict=False).items():
        reporter.note(f"{metric}: n/a ({reason})", warning=True)
    shared = shared_job(protocol, data=data, size=size, split=split, source=source, budget=budget, out=out)
    references = [
        replace(shared, method=id_, preset=REFERENCE)
        for id_, kind in methods().items()
        if kind.card.reference
    ]
    # before the context, whose judge may train for minutes
    table, store = asked(rules, budget, source, reporter)
    submission = read_submission(folder, table, store.size)
    images = submission.stack()
    if submission.warning:
        reporter.note(submission.warning, warning=True)
    context = open_context(rules, budget=budget, out=out, source=source, reporter=reporter)
    try:
        requests = replace(submission, requests=context.requests).chosen
        record = _record(name, context, requests, made_by or {})
        record.trained_with = None if trained_with is None else sorted(trained_with)
        target = context.out / record.cell.folder
        for place in ("images", "clips"):
            write_answers({}, target / place)
        for answer in requests["request"]:
            made = submission.images[answer]
            write_answers({answer: made}, target / ("clips" if made.ndim == CLIP else "images"))
        requests.to_csv(target / "requests.csv", index=False)
        take_shares(name, out, context.cache.file, reporter)
        beside = run_jobs(references, context, reporter)
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
    **options: Any,
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
        adapter: what a network's inputs are; default: the TOML file of its name beside it.
        batch_size: how many requests the function gets at once.
        out: folder of the records.
        options: as in :func:`evaluate_folder`.
    """
    import tempfile

    if not callable(images) and not Path(images).is_file():
        return evaluate_folder(Path(images), protocol=protocol, name=name, out=out, **options)
    given = {key: options.get(key) for key in ("data", "split")}
    protocol = suitable(protocol, options.get("source"), options.get("reporter") or Reporter(), **given)
    own = getattr(images, "__name__", "callable") if callable(images) else Path(images).stem
    name = safe_name(name or ("callable" if own == "<lambda>" else own))
    with tempfile.TemporaryDirectory() as scratch:
        folder, made_by = Path(scratch), None
        if not callable(images) and Path(images).suffix == ".toml":
            folder, made_by = _ask_command(
                Path(images), folder, out / "commands" / f"{name}.log", protocol, options
            )
        elif callable(images):
            _ask_function(images, folder, protocol, batch_size, options)
        else:
            made_by = _ask_network(Path(images), adapter, folder, protocol, options)
        return evaluate_folder(folder, protocol=protocol, name=name, out=out, made_by=made_by, **options)


def _rules(protocol: str, options: Mapping[str, Any]) -> Protocol:
    overrides = {key: options.get(key) for key in ("size", "data", "split")}
    return load_protocol(protocol).with_overrides(**overrides)


def _ask_command(
    path: Path, work: Path, log: Path, protocol: str, options: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Run the command that a file names; the folder of its images and what the record keeps of it."""
    from fesbench.external.command import images_of_command

    return images_of_command(
        path,
        work,
        log,
        _rules(protocol, options),
        budget=parse_budget(options.get("budget", "standard")).text,
        source=options.get("source"),
        reporter=options.get("reporter") or Reporter(),
    )


def _ask_function(
    function: Callable[..., np.ndarray],
    folder: Path,
    protocol: str,
    batch_size: int,
    options: Mapping[str, Any],
) -> None:
    rules = _rules(protocol, options)
    requests, store = asked(rules, options.get("budget", "standard"), options.get("source"), Reporter())
    requests = requests[(requests["given"] == "label") & (requests["source"] >= 0)]
    if not len(requests):
        raise UsageError(
            f"{rules.name} asks for nothing by its label alone, so a function cannot answer it; "
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


def _ask_network(
    path: Path, adapter: Path | None, folder: Path, protocol: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a network's images; what the record keeps of it."""
    from fesbench.context.folded import tables_of
    from fesbench.external.adapter import load_adapter
    from fesbench.external.exported import ExportedNetwork, exported_images
    from fesbench.external.programs import open_program

    program = open_program(path)
    spec = load_adapter(adapter or path.with_suffix(".toml"))
    rules = _rules(protocol, options)
    reporter = options.get("reporter") or Reporter()
    rules, store = _opened(rules, options.get("source"), reporter)
    network = ExportedNetwork(program, spec, store.size)
    made = 0
    with reporter.stage(f"{path.name}: synthesize") as stage:
        for part, requests, _ in tables_of(
            rules, store, parse_budget(options.get("budget", "standard")).text
        ):
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
