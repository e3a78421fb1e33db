"""Features on disk, filed by content: the sha256 of an image's decoded pixels, never a name that was typed.

One SQLite file in write-ahead mode: a killed process loses at most the chunk in the making, and several
processes may share it. A damaged file is set aside with a warning and built anew; a row that does not match
its own checksum counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fesbench.errors import DataError
from fesbench.extractors.base import (
    DerivedExtractor,
    Extractor,
    Features,
    Network,
    PairExtractor,
    check_inputs,
)

_CHUNK = 64
"""Images between two commits; a kill loses no more, 2.5 s of the slowest extractor."""

_WAIT_SECONDS = 60.0
_ASK = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    extractor TEXT NOT NULL, content BLOB NOT NULL,
    valid INTEGER NOT NULL, vector BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (extractor, content)
) WITHOUT ROWID
"""

_SIGNS_OF_DAMAGE = ("malformed", "not a database", "no such column", "columns but", "has no column")

Row = tuple[bool, np.ndarray]


class FeatureCache:
    """Features of images, computed once an extractor and content."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._broken = False

    def get(
        self,
        extractor: Extractor,
        images: np.ndarray,
        landmarks: np.ndarray | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        """Features of images, from the cache where it has them.

        Args:
            extractor: who computes what is missing.
            images: uint8 (N, H, W, 3); a memory map is read a chunk at a time.
            landmarks: float (N, 68, 2) pixels; used, and part of the key, where the extractor needs them.
            on_progress: called with (done, in all).

        Raises:
            DataError: images or landmarks that the extractor cannot read.
        """
        if isinstance(extractor, DerivedExtractor):
            found = self.get(extractor.base, images, landmarks, on_progress)
            return Features(extractor.derive(found.values), found.valid, extractor.signature)
        used = landmarks if extractor.needs_landmarks else None
        check_inputs(extractor.name, images, used, needs_landmarks=extractor.needs_landmarks)
        keys = [content_key(image, None if used is None else used[i]) for i, image in enumerate(images)]

        def compute(part: list[int]) -> tuple[np.ndarray, np.ndarray]:
            return extractor.extract(np.asarray(images[part]), None if used is None else used[part])

        if not keys:
            values, valid = extractor.extract(images, used)
            return Features(values, valid, extractor.signature)
        return self._collect(extractor, keys, compute, on_progress)

    def get_pairs(
        self,
        extractor: PairExtractor,
        first: np.ndarray,
        second: np.ndarray,
        pairs: np.ndarray,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        """Values of pairs of images, filed by the contents of both, whichever comes first.

        Args:
            extractor: who computes what is missing.
            first: uint8 (N, H, W, 3).
            second: uint8 (M, H, W, 3).
            pairs: int (P, 2), a row of each.
            on_progress: called with (done, in all).

        Returns:
            values float32 (P, 1); every pair is valid.

        Raises:
            DataError: images that the extractor cannot read.
        """
        left, right = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
        a = {int(i): content_key(first[i]) for i in left}
        b = {int(j): content_key(second[j]) for j in right}
        keys = [b"".join(sorted((a[int(i)], b[int(j)]))) for i, j in pairs]

        def compute(part: list[int]) -> tuple[np.ndarray, np.ndarray]:
            found = extractor.compare(first[pairs[part, 0]], second[pairs[part, 1]])
            return found[:, None], np.ones(len(part), dtype=bool)

        if not keys:
            return Features(np.zeros((0, 1), np.float32), np.zeros(0, dtype=bool), extractor.signature)
        return self._collect(extractor, keys, compute, on_progress)

    def _collect(
        self,
        network: Network,
        keys: list[bytes],
        compute: Callable[[list[int]], tuple[np.ndarray, np.ndarray]],
        on_progress: Callable[[int, int], None] | None,
    ) -> Features:
        """Values by key, computed and kept where the file has none; ``compute`` gets places in ``keys``."""
        rows = self._read(network.cache_key, set(keys))
        # Equal images are computed once.
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in rows}
        missing = sorted(first.values())
        done = len(keys) - len(missing)
        if on_progress is not None:
            on_progress(done, len(keys))
        for start in range(0, len(missing), _CHUNK):
            part = missing[start : start + _CHUNK]
            values, valid = compute(part)
            fresh = {keys[i]: _as_row(values[k], bool(valid[k]), network.name) for k, i in enumerate(part)}
            self._write(network.cache_key, fresh)
            rows.update(fresh)
            done += len(part)
            if on_progress is not None:
                on_progress(done, len(keys))
        stacked = np.stack([rows[key][1] for key in keys])
        return Features(stacked, np.array([rows[key][0] for key in keys], dtype=bool), network.signature)

    def _read(self, extractor: str, keys: set[bytes]) -> dict[bytes, Row]:
        if self._broken or not keys:
            return {}
        wanted, rows = sorted(keys), {}
        for attempt in (1, 2):
            try:
                with self._open() as connection:
                    for start in range(0, len(wanted), _ASK):
                        part = wanted[start : start + _ASK]
                        marks = ",".join("?" * len(part))
                        found = connection.execute(
                            "SELECT content, valid, vector, crc FROM features "
                            f"WHERE extractor = ? AND content IN ({marks})",
                            (extractor, *part),
                        )
                        for content, valid, vector, crc in found:
                            if _crc(extractor, content, valid, vector) == crc:
                                rows[content] = (
                                    bool(valid),
                                    np.frombuffer(vector, dtype="<f4").astype(np.float32),
                                )
                return rows
            except sqlite3.DatabaseError as error:
                if not self._repair(error, last=attempt == 2):
                    break
        return rows

    def _write(self, extractor: str, rows: dict[bytes, Row]) -> None:
        if self._broken:
            return
        records = []
        for content, (valid, vector) in rows.items():
            blob = vector.astype("<f4").tobytes()
            records.append((extractor, content, int(valid), blob, _crc(extractor, content, valid, blob)))
        for attempt in (1, 2):
            try:
                with self._open() as connection, connection:
                    connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", records)
                return
            except sqlite3.DatabaseError as error:
                if not self._repair(error, last=attempt == 2):
                    return

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one use: SQLite's must not cross threads or forks, and opening is cheap."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
            yield connection
        finally:
            connection.close()

    def _repair(self, error: sqlite3.DatabaseError, *, last: bool) -> bool:
        """Set a damaged file aside; where the disk is at fault, say so and go on without keeping.

        Returns:
            whether to try again.
        """
        damaged = any(sign in str(error) for sign in _SIGNS_OF_DAMAGE)
        if damaged and not last:
            aside = self.path.with_name(self.path.name + ".damaged")
            warnings.warn(
                f"the feature cache {self.path} is damaged ({error}); it is set aside as {aside.name}",
                stacklevel=4,
            )
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(aside)
            for extra in ("-wal", "-shm"):
                self.path.with_name(self.path.name + extra).unlink(missing_ok=True)
            return True
        self._broken = True
        warnings.warn(
            f"the feature cache {self.path} cannot be used ({error}); features are computed and not kept. "
            "Free some space there, or set FESBENCH_HOME to a writable folder",
            stacklevel=4,
        )
        return False


def content_key(image: np.ndarray, landmarks: np.ndarray | None = None) -> bytes:
    """The sha256 of an image's shape and decoded RGB bytes, and of its landmarks where they decide the crop.

    Args:
        image: uint8 (H, W, 3).
        landmarks: float (68, 2) pixels, or None.
    """
    digest = hashlib.sha256(struct.pack("<3I", *image.shape))
    digest.update(np.ascontiguousarray(image).tobytes())
    if landmarks is not None:
        digest.update(b"landmarks")
        digest.update(np.ascontiguousarray(landmarks, dtype="<f4").tobytes())
    return digest.digest()


def _as_row(values: np.ndarray, valid: bool, name: str) -> Row:
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"extractor '{name}' gave a feature that is not a vector of finite numbers")
    return valid, np.asarray(values, dtype=np.float32)


def _crc(extractor: str, content: bytes, valid: bool | int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(extractor.encode() + content + bytes([int(valid)])))
