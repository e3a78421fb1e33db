"""The aligned store: a data set's images, aligned and resized once, as one memory-mapped array."""

from __future__ import annotations

import functools
import hashlib
import json
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.store.manifest import Manifest
from fesbench.errors import DataError

SCHEMA = 2
IMAGES, MANIFEST, INFO, HASHES = "images.npy", "manifest.parquet", "store.json", "hashes.npy"
FAILED, SHOWN_FAILURES = "failed", 24
"""Folder of small forms of the first images that could not be used, and how many of them at most."""


@dataclass(frozen=True)
class AlignedStore:
    """A prepared data set.

    Attributes:
        path: its folder.
        images: uint8 (N, size, size, 3) RGB, memory-mapped, read-only.
        manifest: row i describes ``images[i]``.
        size: side of the square images, in pixels.
        alignment: the named recipe, such as "dlib68-128-gray@1".
        data: the data set's registry name.
        fingerprint: sha256 (hex) over the sorted hashes of all images with their landmarks and labels; the
            same data prepared the same way has the same fingerprint, wherever it lay.
        info: what preparing reported: ``options``, ``source``, ``failures`` (image, reason), ``reasons``
            (key -> how many failures), ``counts`` (what, found, expected), ``notes``, ``not_understood``
            (count, first), ``files`` (see `files`).
    """

    path: Path
    images: np.ndarray
    manifest: Manifest
    size: int
    alignment: str
    data: str
    fingerprint: str
    info: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.manifest)

    @functools.cached_property
    def files(self) -> str:
        """Sha256 (hex) over the sorted sha256 of the files used: equal for two labs that hold the same."""
        return files_fingerprint(self.manifest)

    @classmethod
    def open(cls, path: Path, *, verify: bool = False) -> AlignedStore:
        """Open a store; sizes and counts are always checked, every hash with ``verify``.

        Raises:
            DataError: absent, truncated, inconsistent, or (``verify``) changed since it was written.
        """
        path = Path(path)
        info = read_info(path)
        manifest = Manifest.load(path / MANIFEST)
        n, size = info["rows"], info["size"]
        images = _open_array(path / IMAGES, (n, size, size, 3))
        if len(manifest) != n:
            raise _damaged(path, f"its manifest has {len(manifest)} rows and its images are {n}")
        store = cls(
            path=path,
            images=images,
            manifest=manifest,
            size=size,
            alignment=str(info["alignment"]),
            data=str(info["data"]),
            fingerprint=str(info["fingerprint"]),
            info=info,
        )
        if verify:
            store._verify()
        return store

    def _verify(self) -> None:
        stored = _open_array(self.path / HASHES, (len(self), 32))
        for row in range(len(self)):
            if image_digest(self.images[row]) != stored[row].tobytes():
                raise _damaged(
                    self.path, f"image '{self.manifest.table['image'].iloc[row]}' (row {row}) has changed"
                )
        if fingerprint_of(self.manifest, np.asarray(stored)) != self.fingerprint:
            raise _damaged(self.path, "its labels or landmarks have changed")


def read_info(path: Path) -> dict[str, Any]:
    """The content of a store's ``store.json``.

    Raises:
        DataError: there is no store, or a damaged one, or one of another version of fesbench.
    """
    if not (path / INFO).is_file():
        raise DataError(f"{path} is no prepared store ({INFO} is missing); run 'fesbench data prepare' first")
    try:
        info = json.loads((path / INFO).read_text(encoding="utf-8"))
        if info["schema"] != SCHEMA:
            raise _damaged(path, f"it has schema {info['schema']}, this fesbench reads {SCHEMA}")
        absent = {"data", "size", "alignment", "fingerprint", "rows"} - info.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"{INFO} is not readable: {error}") from None
    if absent:
        raise _damaged(path, f"{INFO} lacks {', '.join(sorted(absent))}")
    if any(type(info[name]) is not int or info[name] < 0 for name in ("rows", "size")):
        raise _damaged(path, f"{INFO} gives its rows or size as no whole number")
    return info


def image_digest(image: np.ndarray) -> bytes:
    """Sha256 (32 bytes) of an image's RGB bytes.

    >>> image_digest(np.zeros((1, 1, 3), np.uint8)).hex()[:8]
    '709e80c8'
    """
    return hashlib.sha256(image.tobytes()).digest()


def fingerprint_of(manifest: Manifest, digests: np.ndarray) -> str:
    """Sha256 (hex) over sorted row hashes: pixels, labels, action units and landmarks.

    Args:
        manifest: N rows.
        digests: uint8 (N, 32), the sha256 of each image's pixels.
    """
    columns = (
        "sha256",
        "identity",
        "expression",
        "intensity",
        "sequence",
        "frame",
        "take",
        "pose",
        "domain",
        "part",
    )
    labels = zip(*(manifest.table[name].tolist() for name in columns), strict=True)
    rows = []
    for row, values in enumerate(labels):
        digest = hashlib.sha256(digests[row].tobytes())
        digest.update(json.dumps(values).encode())
        digest.update(manifest.action_units[row].astype("<f4").tobytes())
        digest.update(manifest.landmarks[row].astype("<f4").tobytes())
        rows.append(digest.digest())
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()


def files_fingerprint(manifest: Manifest) -> str:
    """Sha256 (hex) over the sorted sha256 (hex, one a line) of the files that gave the images."""
    return hashlib.sha256("\n".join(sorted(manifest.table["sha256"])).encode()).hexdigest()


def _open_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # np.load would also open a zip
    except FileNotFoundError:
        raise _damaged(path.parent, f"{path.name} is missing") from None
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise _damaged(path.parent, f"{path.name} is truncated or unreadable ({error})") from None
    if array.shape != shape or array.dtype != np.uint8:
        raise _damaged(path.parent, f"{path.name} holds {array.dtype} {array.shape} and should hold {shape}")
    return array


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"the store {path} is damaged: {what}; delete that folder and prepare the data again")
