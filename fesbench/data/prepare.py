"""From a data set to its aligned store: built once, found again by what it was built from."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fesbench.data.alignment.recipes import Recipe, alignment
from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import DatasetAdapter, Plan
from fesbench.data.preparing import Aligned, Job, LeftOut, aligned_chunks
from fesbench.data.store.aligned import INFO, SCHEMA, AlignedStore, read_info
from fesbench.data.store.writer import StoreWriter
from fesbench.errors import DataError, FesbenchError
from fesbench.files import atomic_write_bytes, fesbench_home, locked

Progress = Callable[[int, int, str], None]
"""(entries done, entries in all, what is being done)."""

_CHUNK = 32
_ENLARGED = 1.05
"""Images that grow by no more than this count as they are."""
_SOURCES = "sources.json"


def prepare(
    data: str,
    *,
    size: int,
    alignment: str,
    source: Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    verify: bool = False,
    workers: int | None = None,
) -> AlignedStore:
    """Build a data set's store under ``$FESBENCH_HOME/stores``, or open the one that is there.

    Constant memory in the number of images; a killed run resumes. A folder that was given once
    is remembered: later calls may leave ``source`` out.

    Args:
        data: name of the data set.
        size: side of the aligned images, in pixels.
        alignment: recipe, such as "none@1" or "dlib68-128@1:opencv".
        source: the user's copy of the data set.
        options: of the data set's adapter.
        progress: called after each chunk of images.
        verify: check every hash of a store that is there already.
        workers: processes that read and align; None: one a core. The result does not depend on it.

    Raises:
        UnknownNameError: unknown data set, alignment, detector or option.
        DataError: data absent or unusable, disk full, folder not writable, store damaged.
    """
    adapter, recipe = dataset(data), _recipe(alignment)
    if size < 8:
        raise DataError(f"size {size} is too small for a face; ask for 32 pixels or more")
    known = adapter.check_options(options or {})
    stores = fesbench_home() / "stores"
    if adapter.needs_source and source is None:
        source = remembered(data)
        if source is not None and not source.is_dir():
            # the copy was unmounted or moved; what was made from it is still good
            return _made_from(source, data=data, size=size, alignment=alignment, options=known)
    plan = adapter.plan(None if source is None else Path(source).resolve(), known, size)
    path = stores / f"{data}-{_key(data, plan.fingerprint, size, alignment, known)}"
    with locked(path.with_name(f"{path.name}.lock")):
        if path.exists():
            store = AlignedStore.open(path, verify=verify)
        else:
            store = _build(path, adapter, plan, recipe, size, known, source, progress, workers)
    if source is not None:
        _remember(data, Path(source).resolve())
    return store


def prepared_stores(data: str) -> list[Path]:
    """The folders of everything that was prepared from a data set, in a fixed order."""
    pattern = re.compile(rf"{re.escape(data)}-[0-9a-f]{{16}}")
    stores = fesbench_home() / "stores"
    return sorted(path for path in stores.glob("*") if path.is_dir() and pattern.fullmatch(path.name))


def prepared_last(data: str) -> Path | None:
    """The folder of what was prepared from a data set last; None: nothing whole is there."""
    whole = [path for path in prepared_stores(data) if (path / INFO).is_file()]
    return max(whole, key=lambda path: (path / INFO).stat().st_mtime, default=None)


def _recipe(name: str) -> Recipe:
    return alignment(name)


def _key(data: str, fingerprint: str, size: int, alignment: str, options: Mapping[str, Any]) -> str:
    content = json.dumps([SCHEMA, data, fingerprint, size, alignment, dict(options)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _build(
    path: Path,
    adapter: DatasetAdapter,
    plan: Plan,
    recipe: Recipe,
    size: int,
    options: Mapping[str, Any],
    source: Path | None,
    progress: Progress | None,
    workers: int | None,
) -> AlignedStore:
    info: dict[str, Any] = {
        "options": dict(options),
        "source": None if source is None else str(Path(source).resolve()),
        "counts": [dataclasses.asdict(count) for count in plan.facts.counts],
        "notes": list(plan.facts.notes),
        "not_understood": dataclasses.asdict(plan.facts.not_understood),
    }

    def tell() -> None:
        if progress is not None:
            progress(writer.done, len(plan), f"preparing {adapter.name}")

    with StoreWriter(path, size=size) as writer:
        tell()
        job = Job(plan, recipe.name, size)
        chunks = aligned_chunks(job, writer.done, chunk=_CHUNK, workers=workers)
        with contextlib.closing(chunks):
            for chunk in chunks:
                _write(writer, chunk)
                tell()
        info["notes"] += _enlarged(writer.scales(), size)
        return writer.finish(info, data=adapter.name, alignment=recipe.name)


def _enlarged(scales: Sequence[float], size: int) -> list[str]:
    """A sentence on the images whose faces are smaller in their files than here, or none."""
    larger = [scale for scale in scales if scale > _ENLARGED]
    if not larger:
        return []
    return [
        f"{len(larger)} of {len(scales)} images are ENLARGED to {size} px, {median(larger):.1f} times in the "
        "middle: they are as blurred as their files are small, and figures of sharpness and distances (FID, "
        "QualiCLIP) stand beside no other data; '--size' takes fewer pixels"
    ]


def _write(writer: StoreWriter, chunk: list[Aligned | LeftOut]) -> None:
    for entry in chunk:
        if isinstance(entry, LeftOut):
            writer.skip(entry.image, entry.reason, key=entry.key, picture=entry.picture)
        else:
            writer.add(
                entry.image,
                entry.row,
                landmarks=entry.landmarks,
                action_units=entry.action_units,
                scale=entry.scale,
            )


def remembered(data: str) -> Path | None:
    """The folder from which a data set was prepared last; None: from none.

    Raises:
        DataError: what is remembered is damaged.
    """
    path = fesbench_home() / _SOURCES
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return Path(known[data]) if data in known else None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and prepare with --from again") from None


def _remember(data: str, source: Path) -> None:
    path = fesbench_home() / _SOURCES
    with locked(path.with_name(f"{_SOURCES}.lock")):
        if remembered(data) == source:
            return
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        atomic_write_bytes(path, json.dumps({**known, data: str(source)}, indent=1).encode())


def _made_from(source: Path, **wanted: Any) -> AlignedStore:
    """The newest store that was made from a folder which is gone now."""
    found = []
    for path in prepared_stores(wanted["data"]):
        try:
            info = read_info(path)
        except FesbenchError:
            continue  # unfinished or damaged: not a candidate, and the message below says what to do
        if info.get("source") == str(source) and all(info.get(key) == wanted[key] for key in wanted):
            found.append(path)
    if not found:
        raise DataError(
            f"{source}, from where data '{wanted['data']}' was prepared, is gone, and no store was made from "
            f"it at size {wanted['size']} with alignment {wanted['alignment']}; run 'fesbench data prepare "
            f"{wanted['data']} --from DIR'"
        )
    return AlignedStore.open(max(found, key=lambda path: (path / INFO).stat().st_mtime))
