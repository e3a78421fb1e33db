"""Writing a store in constant memory, so that a killed run resumes.

While it is written the store is a folder ``<name>.partial`` with two growing files: the images (a .npy whose
header is patched at the end) and a journal with one line an entry, written after its image. What the journal
does not name, or names with another hash than the image has, never happened.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fesbench.data.images import write_png
from fesbench.data.store.aligned import (
    FAILED,
    HASHES,
    IMAGES,
    INFO,
    MANIFEST,
    SCHEMA,
    SHOWN_FAILURES,
    AlignedStore,
    files_fingerprint,
    fingerprint_of,
    image_digest,
)
from fesbench.data.store.manifest import Manifest, manifest_of
from fesbench.errors import DataError
from fesbench.files import atomic_write, atomic_write_bytes, writing
from fesbench.vocabulary import ACTION_UNITS, N_LANDMARKS

_HEADER = 128
_JOURNAL = "journal.jsonl"


class StoreWriter:
    """Appends entries in a fixed order: each is an image with its row, or a file that was skipped.

    Args:
        path: where the finished store will stand.
        size: side of the images, in pixels.

    Attributes:
        done: how many entries are written, those of an earlier, killed run included; go on from there.

    Raises:
        DataError: the folder cannot be written.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        self.path, self.size = Path(path), size
        self.work = self.path.with_name(f"{self.path.name}.partial")
        self.done = 0
        self.rows = 0
        with writing(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
            for name in (IMAGES, _JOURNAL):
                (self.work / name).touch()
            self._images = open(self.work / IMAGES, "r+b")  # noqa: SIM115 - closed by close()
            self._journal = open(self.work / _JOURNAL, "r+b")  # noqa: SIM115 - closed by close()
            self._resume()

    @property
    def _image_bytes(self) -> int:
        return self.size * self.size * 3

    def add(
        self,
        image: np.ndarray,
        row: Mapping[str, Any],
        *,
        landmarks: np.ndarray | None = None,
        action_units: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> None:
        """Append one image.

        Args:
            image: uint8 (size, size, 3).
            row: the manifest's columns; what is left out takes the manifest's defaults.
            landmarks: float (68, 2), pixels of ``image``; None = unknown.
            action_units: float (len(ACTION_UNITS),) in [0, 1]; None = unknown.
            scale: how many pixels one of its source has become, along a side; see `scales`.

        Raises:
            DataError: wrong shape or dtype, or the disk is full (what is written stays and is resumed).
        """
        if image.shape != (self.size, self.size, 3) or image.dtype != np.uint8:
            raise DataError(
                f"image '{row.get('image')}' must be uint8 ({self.size}, {self.size}, 3), "
                f"found {image.dtype} {image.shape}"
            )
        line = {
            "row": dict(row),
            "pixels": image_digest(image).hex(),
            "landmarks": _pack(landmarks, N_LANDMARKS * 2),
            "action_units": _pack(action_units, len(ACTION_UNITS)),
            "scale": scale,
        }
        with writing(self.work):
            self._images.write(np.ascontiguousarray(image).tobytes())
            self._images.flush()
        self._log(line)
        self.rows += 1

    def scales(self) -> list[float]:
        """The scale of every image added so far, by earlier, killed runs too."""
        found = [line.get("scale", 1.0) for line, _ in self._lines() if "skip" not in line]
        self._journal.seek(0, os.SEEK_END)
        return found

    def skip(
        self, image: str, reason: str, *, key: str = "unreadable", picture: np.ndarray | None = None
    ) -> None:
        """Note an entry that gives no image.

        Args:
            image: its name.
            reason: why, in words.
            key: why, as one of `fesbench.data.alignment.recipes.REASONS`; they are counted.
            image: uint8 (h, w, 3), a small form of it; the first few are kept for a subject to look at.
        """
        nth = self.done - self.rows
        if picture is not None and nth < SHOWN_FAILURES:
            write_png(self.work / FAILED / f"{nth:02d}.png", picture)
        self._log({"skip": image, "reason": reason, "key": key})

    def _log(self, line: Mapping[str, Any]) -> None:
        with writing(self.work):
            self._journal.write(json.dumps(line).encode() + b"\n")
            self._journal.flush()
        self.done += 1

    def finish(self, info: Mapping[str, Any], *, data: str, alignment: str) -> AlignedStore:
        """Seal the store: all or nothing, by renaming its folder.

        Args:
            info: what ``store.json`` keeps beside the writer's own fields.
            data: the data set's name.
            alignment: the recipe's name.

        Raises:
            DataError: not one image was added, or the disk is full.
        """
        manifest, digests, failures, reasons = self._collect()
        if not len(manifest):
            named = "; ".join(f"{f['image']}: {f['reason']}" for f in failures[:3])
            raise DataError(
                f"data '{data}' gave not a single usable image"
                + (f" ({len(failures)} skipped: {named})" if failures else "")
                + "; check the folder it was read from"
            )
        content = {
            **info,
            "schema": SCHEMA,
            "data": data,
            "size": self.size,
            "alignment": alignment,
            "rows": len(manifest),
            "fingerprint": fingerprint_of(manifest, digests),
            "files": files_fingerprint(manifest),
            "failures": failures,
            "reasons": reasons,
        }
        with writing(self.work):
            self._images.seek(0)
            self._images.write(_header((len(manifest), self.size, self.size, 3)))
            self._images.flush()
            os.fsync(self._images.fileno())
        self.close()
        manifest.save(self.work / MANIFEST)
        atomic_write(self.work / HASHES, lambda stream: np.save(stream, digests))
        atomic_write_bytes(self.work / INFO, json.dumps(content, indent=1).encode())
        with writing(self.path):
            os.replace(self.work, self.path)
            (self.path / _JOURNAL).unlink()
        return AlignedStore.open(self.path)

    def discard(self) -> None:
        """Forget everything written so far."""
        self.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def close(self) -> None:
        """Close the files; a later writer of the same path goes on from here."""
        self._images.close()
        self._journal.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a full disk may refuse once more when the buffers are closed; the first error is the one to tell
        try:
            self.close()
        except OSError:
            if error is None:
                raise

    def _resume(self) -> None:
        if (self.work / IMAGES).stat().st_size < _HEADER:
            self._images.write(_header((0, self.size, self.size, 3)))
        self._images.seek(_HEADER)
        kept = 0
        for line, end in self._lines():
            if "skip" not in line:
                if image_digest_of(self._images.read(self._image_bytes)) != line["pixels"]:
                    break
                self.rows += 1
            self.done += 1
            kept = end
        self._journal.truncate(kept)
        self._journal.seek(kept)
        end = _HEADER + self.rows * self._image_bytes
        self._images.truncate(end)
        self._images.seek(end)

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The journal's whole lines with the offset behind each; stops at the first torn one."""
        self._journal.seek(0)
        end = 0
        for raw in self._journal:
            try:
                line = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                line = None
            if not isinstance(line, dict):
                return
            end += len(raw)
            yield line, end

    def _collect(self) -> tuple[Manifest, np.ndarray, list[dict[str, str]], dict[str, int]]:
        rows: list[dict[str, Any]] = []
        digests, landmarks, units = [], [], []
        failures: list[dict[str, str]] = []
        reasons: Counter[str] = Counter()
        for line, _ in self._lines():
            if "skip" in line:
                failures.append({"image": line["skip"], "reason": line["reason"], "key": line["key"]})
                reasons[line["key"]] += 1
                continue
            rows.append(line["row"])
            digests.append(np.frombuffer(bytes.fromhex(line["pixels"]), np.uint8))
            landmarks.append(_unpack(line["landmarks"], N_LANDMARKS * 2))
            units.append(_unpack(line["action_units"], len(ACTION_UNITS)))
        n = len(rows)
        manifest = manifest_of(
            rows,
            np.reshape(np.array(units, np.float32), (n, len(ACTION_UNITS))),
            np.reshape(np.array(landmarks, np.float32), (n, N_LANDMARKS, 2)),
        )
        return (
            manifest,
            np.reshape(np.array(digests, np.uint8), (n, 32)),
            failures,
            dict(sorted(reasons.items())),
        )


def image_digest_of(content: bytes) -> str:
    """Sha256 (hex) of an image's raw RGB bytes."""
    return image_digest(np.frombuffer(content, np.uint8)).hex()


def _header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 .npy header of a fixed length, so that it can be patched when the count is known."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    body = text.encode("latin1").ljust(_HEADER - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + body


def _pack(values: np.ndarray | None, count: int) -> str | None:
    """Float32 bytes as base64: exact, and NaN has no JSON."""
    if values is None:
        return None
    flat = np.asarray(values, "<f4").reshape(-1)
    if flat.size != count:
        raise DataError(f"expected {count} values for landmarks or action units, found {flat.size}")
    return base64.b64encode(flat.tobytes()).decode("ascii")


def _unpack(text: str | None, count: int) -> np.ndarray:
    if text is None:
        return np.full(count, np.nan, np.float32)
    return np.frombuffer(base64.b64decode(text), "<f4")
