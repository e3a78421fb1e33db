"""One store out of two or more: the data that is trained on, then sets that are only tested on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.writer import StoreWriter
from fesbench.errors import DataError
from fesbench.files import fesbench_home, locked
from fesbench.vocabulary import UNKNOWN_IDENTITY

Progress = Callable[[int, int, str], None]
_CHUNK = 256
_NAMED = 10


@dataclass(frozen=True)
class Part:
    """A store that is tested on.

    Attributes:
        store: aligned at the main store's size.
        domain: the name of its domain; "" keeps its own.
    """

    store: AlignedStore
    domain: str


def join_stores(main: AlignedStore, tested: Sequence[Part], progress: Progress | None = None) -> AlignedStore:
    """The images of several stores in one, built once under ``$FESBENCH_HOME/stores``.

    The names of the tested sets' images, subjects and sequences begin with "<set>.", so that nobody of them
    is mistaken for somebody of the main set.

    Raises:
        DataError: sizes differ, or a tested set leaves its images in the domain "in".
    """
    for part in tested:
        if part.store.size != main.size:
            raise DataError(f"'{part.store.data}' is {part.store.size} px and '{main.data}' {main.size} px")
        if not part.domain and "in" in set(part.store.manifest.table["domain"]):
            raise DataError(
                f"'{part.store.data}' does not tell its domains apart; name one for it in [[data.test_sets]]"
            )
    content = [main.fingerprint, *((p.store.data, p.store.fingerprint, p.domain) for p in tested)]
    key = hashlib.sha256(json.dumps([content, main.size]).encode()).hexdigest()[:16]
    name = "+".join((main.data, *(part.store.data for part in tested)))
    path = fesbench_home() / "stores" / f"{name}-{key}"
    with locked(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return AlignedStore.open(path)
        total = sum(_entries(store) for store in (main, *(part.store for part in tested)))
        with StoreWriter(path, size=main.size) as writer:
            _copy(writer, main, "", "", 0, total, progress)
            before = _entries(main)
            for part in tested:
                _copy(writer, part.store, f"{part.store.data}.", part.domain, before, total, progress)
                before += _entries(part.store)
            info = _info(main, tested)
            return writer.finish(info, data=name, alignment=_alignment(main, tested))


def _entries(store: AlignedStore) -> int:
    """Images, and those that could not be used."""
    return len(store) + len(store.info.get("failures", []))


def _copy(
    writer: StoreWriter,
    store: AlignedStore,
    prefix: str,
    domain: str,
    before: int,
    total: int,
    progress: Progress | None,
) -> None:
    """Append a store's rows, and what it left out, behind what an earlier, killed run has written."""
    manifest = store.manifest
    for row in range(max(0, writer.done - before), len(store)):
        values: dict[str, Any] = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in manifest.table.iloc[row].to_dict().items()
        }
        if prefix:
            who = values["identity"]
            # "?" stays in front: whoever is unknown stays unknown
            known = not who.startswith(UNKNOWN_IDENTITY)
            values["identity"] = f"{prefix}{who}" if known else f"{UNKNOWN_IDENTITY}{prefix}{who[1:]}"
            values["image"] = f"{prefix}{values['image']}"
            values["sequence"] = f"{prefix}{values['sequence']}" if values["sequence"] else ""
            values["domain"] = domain or values["domain"]
        writer.add(
            np.asarray(store.images[row]),
            values,
            landmarks=manifest.landmarks[row],
            action_units=manifest.action_units[row],
        )
        if progress is not None and (row + 1) % _CHUNK == 0:
            progress(before + row + 1, total, "joining stores")
    failures = store.info.get("failures", [])
    for failure in failures[max(0, writer.done - before - len(store)) :]:
        writer.skip(f"{prefix}{failure['image']}", failure["reason"], key=failure["key"])


def _alignment(main: AlignedStore, tested: Sequence[Part]) -> str:
    """All recipes that were used, the main store's first."""
    return "&".join(dict.fromkeys((main.alignment, *(part.store.alignment for part in tested))))


def _info(main: AlignedStore, tested: Sequence[Part]) -> dict[str, Any]:
    stores = [main, *(part.store for part in tested)]
    unknown = [store.info.get("not_understood", {}) for store in stores]
    return {
        "options": {},
        "source": None,
        "joined": [
            {"data": store.data, "fingerprint": store.fingerprint, "source": store.info.get("source")}
            for store in stores
        ],
        "counts": [
            {**count, "what": f"{store.data}: {count['what']}"}
            for store in stores
            for count in store.info.get("counts", [])
        ],
        "notes": [f"{store.data}: {note}" for store in stores for note in store.info.get("notes", [])],
        "not_understood": {
            "count": sum(odd.get("count", 0) for odd in unknown),
            "first": [name for odd in unknown for name in odd.get("first", [])][:_NAMED],
        },
    }
