"""Score images that fesbench did not make."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.bench import Bench, Sources
from fesbench.budget import parse_budget
from fesbench.cell import REFERENCE, CellPlan
from fesbench.environment import describe_environment, resolve_device
from fesbench.errors import EXIT_CELLS_FAILED, DataError, FesbenchError, UsageError
from fesbench.progress import Reporter
from fesbench.protocol import Protocol, load_protocol
from fesbench.record import Cell, NotRun, Record, safe_name

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store import AlignedStore

EXTERNAL = "external"


class CellsFailedError(FesbenchError):
    """The outside images are scored and saved, but reference rows beside them failed."""

    exit_code = EXIT_CELLS_FAILED


def asked(
    protocol: Protocol, budget: str, source: Sources, reporter: Reporter
) -> tuple[pd.DataFrame, AlignedStore]:
    """A protocol's request table without the scoring side's columns, and the store that its rows count in."""
    from fesbench.bench import open_store, settle_labels
    from fesbench.folds import requests_of
    from fesbench.partition import build_split

    store = open_store(protocol, source, reporter)
    protocol = settle_labels(protocol, store, build_split(protocol, store))
    requests, _ = requests_of(protocol, store, parse_budget(budget).text)
    return requests.drop(columns=["target", "noise_seed"]), store


def wanted(requests: pd.DataFrame, store: AlignedStore) -> pd.DataFrame:
    """The table for an outside program: names of pictures in place of rows of the store.

    Columns beside those of the request table: ``file`` (the name that the answer must have),
    ``source_image`` (the source's name in the data set), ``source_file`` (its name in the folder that
    `write_sources` writes), and ``target_landmarks``: where granted, the driver's 68 [x, y] as JSON in
    pixels of the aligned image (0 = center of the first pixel), "" elsewhere. The driver's picture is not
    given out: methods inside fesbench do not see it either.
    """
    shown = requests.drop(columns=["source", "driver"])
    shown.insert(1, "file", requests["request"] + ".png")
    sources = requests["source"].to_numpy()
    images = store.manifest.table["image"].to_numpy()[np.maximum(sources, 0)]
    shown["source_image"] = np.where(sources >= 0, images, "")
    shown["source_file"] = np.where(sources >= 0, shown["file"], "")
    shown["target_landmarks"] = [
        _landmarks(store, driver) if given == "landmarks" and driver >= 0 else ""
        for given, driver in zip(requests["given"], requests["driver"], strict=True)
    ]
    return shown


def _landmarks(store: AlignedStore, row: int) -> str:
    found = np.asarray(store.manifest.landmarks[row], dtype=np.float64)
    return json.dumps(found.round(2).tolist()) if np.isfinite(found).all() else ""


def write_sources(requests: pd.DataFrame, store: AlignedStore, folder: Path) -> None:
    """Write each request's source image as ``<request>.png``, for programs that read files.

    Args:
        requests: as `asked` returns them.
        store: of the same call.
        folder: made where it does not exist.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    from PIL import Image

    from fesbench.data.files import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with_source = requests[requests["source"] >= 0]
        for name, source in zip(with_source["request"], with_source["source"], strict=True):
            Image.fromarray(store.images[source]).save(folder / f"{name}.png")


def evaluate_folder(
    folder: Path,
    *,
    protocol: str,
    data: str | None = None,
    source: Sources = None,
    name: str | None = None,
    budget: str = "standard",
    size: int | None = None,
    out: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Record:
    """Score a folder of ``<request>.png`` under a protocol, beside the reference rows.

    Args:
        folder: images, one per request, of the protocol's size; every task that any image answers must be
            answered whole.
        name: the row's name; default: the folder's name.
        budget: the budget whose requests the images answer.

    Raises:
        DataError: missing, extra, unreadable or wrongly sized images, with the list of them.
        UsageError: the folder does not exist, or the name is a registered method's or unfit for a path.
        CellsFailedError: reference rows failed; the images are scored and their record is saved.
    """
    from fesbench.evaluation import score_cell
    from fesbench.folds import open_bench, run_plans
    from fesbench.method import methods

    reporter = reporter or Reporter()
    known = methods()
    name = safe_name(name or folder.resolve().name)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the folder that holds <request>.png images")
    if name in known:
        raise UsageError(f"'{name}' is a method of fesbench; choose another --name for these images")
    budget = parse_budget(budget).text
    rules = load_protocol(protocol).with_overrides(size=size, data=data)
    bench = open_bench(rules, budget=budget, out=out, source=source, reporter=reporter)
    requests = _answered(folder, bench.requests)
    record = Record(cell=_cell(name, bench), trained_on="unknown", card={"id": name, "title": name})
    record.not_run = [*bench.not_run, *_unanswered(bench.requests, requests)]
    record.judge = bench.judge_card
    record.data = bench.data_card
    record.environment = describe_environment(resolve_device("auto"))
    target = bench.out / record.cell.folder
    _copy_images(folder, requests, target / "images", bench.store.size)
    requests.to_csv(target / "requests.csv", index=False)
    references = [CellPlan(kind, REFERENCE, budget, 0) for kind in known.values() if kind.card.reference]
    try:
        beside = run_plans(references, bench, reporter, device="auto")
        with reporter.stage(f"{name}: score") as stage:
            score_cell(bench, record, requests, target, stage.update_what)
    finally:
        bench.close()
    record.status = "scored"
    record.save(target)
    failed = [other.cell.method for other in beside if other.status == "failed"]
    if failed:
        raise CellsFailedError(
            f"reference rows failed: {', '.join(failed)} (the reason is in their record.json); '{name}' is "
            f"scored in {target}; run the same command again, or 'fesbench report {out}' for what is there"
        )
    return record


def evaluate(
    images: Path | str | Callable[[np.ndarray, list[dict[str, object]]], np.ndarray],
    *,
    protocol: str,
    name: str | None = None,
    batch_size: int = 16,
    out: Path = Path("runs"),
    **options: object,
) -> Record:
    """Score a folder, or a function, under a protocol; the same as ``fesbench evaluate``.

    Args:
        images: a folder of ``<request>.png``, or a function of (sources uint8 (N, S, S, 3), requests: one
            dictionary each with target_expression, intensity, ...) that returns uint8 (N, S, S, 3). It is
            asked for what needs the label alone; tasks that grant more are answered by a folder.
        protocol: name or TOML file.
        batch_size: how many requests the function gets at once.
        out: folder of the records.
        options: as in :func:`evaluate_folder`.
    """
    if not callable(images):
        return evaluate_folder(Path(images), protocol=protocol, name=name, out=out, **options)  # type: ignore[arg-type]
    import tempfile

    own = getattr(images, "__name__", "callable")
    name = safe_name(name or ("callable" if own == "<lambda>" else own))
    with tempfile.TemporaryDirectory() as scratch:
        _synthesize_outside(images, Path(scratch), protocol, batch_size, options)
        return evaluate_folder(Path(scratch), protocol=protocol, name=name, out=out, **options)  # type: ignore[arg-type]


def _synthesize_outside(
    function: Callable[..., np.ndarray],
    folder: Path,
    protocol: str,
    batch_size: int,
    options: dict[str, object],
) -> None:
    from PIL import Image

    rules = load_protocol(protocol).with_overrides(size=options.get("size"), data=options.get("data"))  # type: ignore[arg-type]
    source: Sources = options.get("source")  # type: ignore[assignment]
    requests, store = asked(rules, str(options.get("budget", "standard")), source, Reporter())
    requests = requests[(requests["given"] == "label") & (requests["source"] >= 0)]
    if not len(requests):
        raise UsageError(
            f"{rules.name} asks for nothing by its label alone, so a function cannot answer it; "
            "give a folder, made from 'fesbench protocols requests --sources'"
        )
    table = wanted(requests, store).drop(columns=["file", "source_file", "target_landmarks"])
    for start in range(0, len(table), batch_size):
        batch = table.iloc[start : start + batch_size]
        given = store.images[requests["source"].to_numpy()[start : start + batch_size]]
        made = np.asarray(function(given, batch.to_dict("records")))
        if made.shape != given.shape or made.dtype != np.uint8:
            raise DataError(
                f"the function returned {made.dtype} {made.shape} for {given.shape}; it must return uint8 "
                "images of the sources' shape"
            )
        for name, image in zip(batch["request"], made, strict=True):
            Image.fromarray(image).save(folder / f"{name}.png")


def _cell(name: str, bench: Bench) -> Cell:
    return Cell(
        method=name,
        protocol=bench.protocol.name,
        protocol_hash=bench.protocol.hash,
        data=bench.store.data,
        data_fingerprint=bench.store.fingerprint,
        preset=EXTERNAL,
        budget=bench.budget,
        seed=0,
    )


def _answered(folder: Path, requests: pd.DataFrame) -> pd.DataFrame:
    """The requests of every group that the folder answers; whole groups or an error."""
    names = [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    known = {f"{request}.png" for request in requests["request"]}
    extra = [name for name in names if name not in known]
    stems = Counter(Path(name).stem for name in names)
    double = [stem for stem, count in stems.items() if count > 1]
    if double:
        raise DataError(f"{folder}: more than one file for {_listed(double)}; keep one .png a request")
    if extra:
        raise DataError(
            f"{folder}: {len(extra)} files answer no request: {_listed(extra)}; "
            "'fesbench protocols requests' lists the wanted names (mind --budget, --size and --data)"
        )
    present = set(names)
    answered = (requests["request"] + ".png").isin(present)
    groups = requests[["task", "domain"]].apply(tuple, axis=1)
    wanted_groups = set(groups[answered])
    if not wanted_groups:
        raise DataError(f"{folder} holds none of the {len(requests)} requested images")
    chosen = requests[groups.isin(wanted_groups)].reset_index(drop=True)
    missing = [name for name in chosen["request"] + ".png" if name not in present]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(chosen)} images are missing: {_listed(missing)}")
    return chosen


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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _copy_images(folder: Path, requests: pd.DataFrame, target: Path, size: int) -> None:
    """Bring checked images into the record's folder, as 8-bit RGB PNG."""
    from PIL import Image

    from fesbench.evaluation import load_images

    images = load_images(folder, requests, size)
    target.mkdir(parents=True, exist_ok=True)
    for name, image in zip(requests["request"], images, strict=True):
        Image.fromarray(image).save(target / f"{name}.png")
