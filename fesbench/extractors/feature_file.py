"""One SQLite file of features in write-ahead mode: what a killed process wrote before is kept.

Several processes of one machine may share it. A damaged file is set aside with a warning and built anew; a
row that does not match its own checksum counts as absent.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fesbench.extractors.table import Row

MOST = 500
"""Keys that may be asked for at once."""

_WAIT_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    extractor TEXT NOT NULL, content BLOB NOT NULL,
    valid INTEGER NOT NULL, vector BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (extractor, content)
) WITHOUT ROWID
"""
_NEXT = (
    "SELECT extractor, content, valid, vector, crc FROM features "
    "WHERE (extractor, content) > (?, ?) ORDER BY extractor, content LIMIT ?"
)
_SIGNS_OF_DAMAGE = ("malformed", "not a database", "no such column", "columns but", "has no column")

_Record = tuple[str, bytes, int, bytes, int]


class FeatureFile:
    """Rows of features by extractor and key.

    Args:
        path: of the file, made when it is first used.
        known: another file, of which rows are read that this one does not have.

    Attributes:
        broken: whether it was found that the file cannot be used.
    """

    def __init__(self, path: Path, known: FeatureFile | None = None) -> None:
        self.path = Path(path)
        self._known = known
        self.broken = False

    def read(self, extractor: str, keys: list[bytes]) -> dict[bytes, Row]:
        """The rows of up to `MOST` keys that this file has, or the known one."""
        rows = self._read(extractor, keys)
        others = [key for key in keys if key not in rows]
        if self._known and others and self._known.path.exists():  # what is only read is not made either
            rows |= self._known.read(extractor, others)
        return rows

    def _read(self, extractor: str, keys: list[bytes]) -> dict[bytes, Row]:
        if self.broken:
            return {}
        for attempt in (1, 2):
            try:
                rows = {}
                with self._open() as connection:
                    marks = ",".join("?" * len(keys))
                    found = connection.execute(
                        "SELECT content, valid, vector, crc FROM features "
                        f"WHERE extractor = ? AND content IN ({marks})",
                        (extractor, *keys),
                    )
                    for content, valid, vector, crc in found:
                        if _crc(extractor, content, valid, vector) == crc:
                            rows[content] = bool(valid), np.frombuffer(vector, dtype="<f4").astype(np.float32)
                return rows
            except sqlite3.DatabaseError as error:
                if not self._repair(error, last=attempt == 2):
                    break
        return {}

    def write(self, extractor: str, rows: dict[bytes, Row]) -> None:
        """Keep rows by key."""
        records = []
        for content, (valid, vector) in rows.items():
            blob = vector.astype("<f4").tobytes()
            records.append((extractor, content, int(valid), blob, _crc(extractor, content, valid, blob)))
        self._write(records)

    def _write(self, records: list[_Record]) -> None:
        if self.broken:
            return
        for attempt in (1, 2):
            try:
                with self._open() as connection, connection:
                    connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", records)
                return
            except sqlite3.DatabaseError as error:
                if not self._repair(error, last=attempt == 2):
                    return

    def take(self, path: Path) -> None:
        """Take over what another file of features holds, and delete that; a damaged one is set aside.

        Where this is killed halfway, or this file cannot be written, the other one stays as it is.
        """
        other = FeatureFile(path)
        last: tuple[str, bytes] = ("", b"")
        try:
            while not self.broken:
                with other._open() as connection:
                    records = connection.execute(_NEXT, (*last, MOST)).fetchall()
                if not records:
                    path.unlink()
                    return
                self._write(records)
                last = records[-1][:2]
        except sqlite3.DatabaseError as error:
            other._repair(error, last=False)

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
        self.broken = True
        warnings.warn(
            f"the feature cache {self.path} cannot be used ({error}); features are computed and not kept. "
            "Free some space there, or set FESBENCH_HOME to a writable folder",
            stacklevel=4,
        )
        return False


def _crc(extractor: str, content: bytes, valid: bool | int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(extractor.encode() + content + bytes([int(valid)])))
