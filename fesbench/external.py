"""Score images that fesbench did not make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.bench import Bench, build_bench
from fesbench.budget import parse_budget
from fesbench.cell import REFERENCE, CellPlan
from fesbench.environment import describe_environment
from fesbench.errors import DataError, UsageError
from fesbench.progress import Reporter
from fesbench.protocol import Protocol, load_protocol
from fesbench.record import Cell, Record

if TYPE_CHECKING:
    import pandas as pd

EXTERNAL = "external"


def wanted(protocol: Protocol, budget: str, source: Path | None, reporter: Reporter) -> pd.DataFrame:
    """The request table with a ``file`` column and the path-free facts that an outside program needs."""
    from fesbench.bench import build_split, open_store
    from fesbench.requests import build_requests

    store = open_store(protocol, source, reporter)
    requests, _ = build_requests(protocol, store, build_split(protocol, store), parse_budget(budget).text)
    shown = requests.drop(columns=["target", "noise_seed"])
    shown.insert(1, "file", shown["request"] + ".png")
    shown["source_image"] = store.manifest.table["image"].to_numpy()[shown["source"]]
    return shown


def write_sources(
    protocol: Protocol, source: Path | None, table: pd.DataFrame, folder: Path, reporter: Reporter
) -> None:
    """Write each request's source image as ``<request>.png``, for programs that read files."""
    from PIL import Image

    from fesbench.bench import open_store

    store = open_store(protocol, source, reporter)
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in zip(table["file"], table["source"], strict=True):
        Image.fromarray(store.images[row]).save(folder / name)


def evaluate_folder(
    folder: Path,
    *,
    protocol: str,
    data: str | None = None,
    source: Path | None = None,
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
        UsageError: the folder does not exist, or the name is a registered method's.
    """
    from fesbench.engines.local import run_cells
    from fesbench.evaluation import score_cell
    from fesbench.method import methods

    reporter = reporter or Reporter()
    known = methods()
    name = name or folder.resolve().name
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the folder that holds <request>.png images")
    if name in known:
        raise UsageError(f"'{name}' is a method of fesbench; choose another --name for these images")
    budget = parse_budget(budget).text
    rules = load_protocol(protocol).with_overrides(size=size, data=data)
    bench = build_bench(rules, budget=budget, out=out, source=source, reporter=reporter)
    requests = _answered(folder, bench.requests)
    record = Record(cell=_cell(name, bench), trained_on="unknown", card={"id": name, "title": name})
    record.not_run = bench.not_run
    record.judge = bench.judge_card
    record.environment = describe_environment()
    target = bench.out / record.cell.folder
    _copy_images(folder, requests, target / "images", bench.store.size)
    requests.to_csv(target / "requests.csv", index=False)
    references = [CellPlan(kind, REFERENCE, budget, 0) for kind in known.values() if kind.card.reference]
    try:
        run_cells(references, bench, reporter, device="auto")
        with reporter.stage(f"{name}: score") as stage:
            score_cell(bench, record, requests, target, stage.update_what)
    finally:
        bench.close()
    record.status = "scored"
    record.save(target)
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
            dictionary each with target_expression, intensity, ...) that returns uint8 (N, S, S, 3).
        protocol: name or TOML file.
        batch_size: how many requests the function gets at once.
        out: folder of the records.
        options: as in :func:`evaluate_folder`.
    """
    if not callable(images):
        return evaluate_folder(Path(images), protocol=protocol, name=name, out=out, **options)  # type: ignore[arg-type]
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        _synthesize_outside(images, Path(scratch), protocol, batch_size, options)
        name = name or getattr(images, "__name__", "callable")
        return evaluate_folder(Path(scratch), protocol=protocol, name=name, out=out, **options)  # type: ignore[arg-type]


def _synthesize_outside(
    function: Callable[..., np.ndarray],
    folder: Path,
    protocol: str,
    batch_size: int,
    options: dict[str, object],
) -> None:
    from PIL import Image

    from fesbench.bench import open_store

    rules = load_protocol(protocol).with_overrides(size=options.get("size"), data=options.get("data"))  # type: ignore[arg-type]
    source: Path | None = options.get("source")  # type: ignore[assignment]
    table = wanted(rules, str(options.get("budget", "standard")), source, Reporter())
    store = open_store(rules, source, Reporter())
    for start in range(0, len(table), batch_size):
        batch = table.iloc[start : start + batch_size]
        given = store.images[batch["source"].to_numpy()]
        made = np.asarray(function(given, batch.drop(columns=["source", "driver"]).to_dict("records")))
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
