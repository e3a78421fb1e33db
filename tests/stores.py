"""Tiny stores made row by row, for tests of what is asked and who is tested: no faces, no rendering."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.writer import StoreWriter
from fesbench.protocol.protocol import Protocol
from fesbench.vocabulary import ACTION_UNITS

SIZE = 16


def picture(name: str, size: int = SIZE) -> np.ndarray:
    """An image that no other name has: blocks of noise from the name, uint8 (size, size, 3)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((size // 8, size // 8, 1), np.uint8))


def tiny_store(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    data: str = "tiny",
    size: int = SIZE,
    units: Mapping[int, float] | None = None,
) -> AlignedStore:
    """A store of these manifest rows.

    Args:
        path: folder to make.
        rows: ``image`` and ``identity`` at least; ``look`` names the image where that is not the image.
        data: the data set's name.
        size: pixels.
        units: action units that every image codes; None = none.
    """
    coded = np.full(len(ACTION_UNITS), np.nan, np.float32)
    for unit, value in (units or {}).items():
        coded[ACTION_UNITS.index(unit)] = value
    with StoreWriter(path, size=size) as writer:
        for row in rows:
            values = dict(row)
            look = picture(str(values.pop("look", values["image"])), size)
            values.setdefault("sha256", hashlib.sha256(str(values["image"]).encode()).hexdigest())
            writer.add(look, values, landmarks=np.full((68, 2), 5.0, np.float32), action_units=coded)
        return writer.finish({}, data=data, alignment="none@1")


def shot(who: str, what: str, **more: Any) -> dict[str, Any]:
    """A still of one subject: a manifest row with a name of its own."""
    extra = "_".join(str(value) for value in more.values())
    level = 0.0 if what == "neutral" else 1.0
    row = {"image": f"{who}/{what}_{extra}.png", "identity": who, "expression": what, "intensity": level}
    return {**row, **more}


def sequence(who: str, number: int, what: str) -> list[dict[str, Any]]:
    """Two neutral and two peak frames of one sequence; no peak where ``what`` is ""."""
    name = f"{who}_{number:03d}"
    shown = [("neutral", 0.0, 1), ("neutral", 0.0, 2)] + ([(what, 1.0, 8), (what, 1.0, 9)] if what else [])
    return [
        {
            "image": f"{name}_{frame}.png",
            "identity": who,
            "expression": label,
            "intensity": level,
            "sequence": name,
            "frame": frame,
            "take": frame % 2,
        }
        for label, level, frame in shown
    ]


def protocol(**sections: Any) -> Protocol:
    """A protocol on "tiny" data; sections replace or complete the plain ones."""
    plain: dict[str, Any] = {
        "id": "test",
        "version": 1,
        "title": "t",
        "summary": "s",
        "data": {"set": "tiny", "size": SIZE, "alignment": "none@1", "pairing": "take"},
        "split": {"rule": "names", "test_names": ["c"], "validation_names": ["b"]},
        "tasks": [{"kind": "expression"}],
        "metrics": {"required": ["ECS"], "gallery": "none", "reference": "halves"},
        "budget": {"standard_steps": 4},
    }
    return Protocol.model_validate({**plain, **sections})
