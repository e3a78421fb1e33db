"""Small facts kept beside the weights: digests learned from the first file, accepted licenses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from fesbench.errors import WeightsError
from fesbench.files import atomic_write_bytes, locked
from fesbench.weights.entry import WeightsEntry


class JsonTable:
    """A JSON file of rows by name, each with a time; written atomically, by one process at a time."""

    def __init__(self, path: Path, *, key: str, remedy: str) -> None:
        self.path = path
        self._key = key
        self._remedy = remedy

    def read(self) -> dict[str, dict[str, object]]:
        """All rows; none where there is no file.

        Raises:
            WeightsError: the file is damaged.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            rows = json.loads(text)
            intact = isinstance(rows, dict) and all(
                isinstance(row, dict) and isinstance(row.get(self._key), str) for row in rows.values()
            )
        except ValueError:
            intact = False
        if not intact:
            raise WeightsError(f"{self.path} is damaged; {self._remedy}")
        return rows

    def set(self, name: str, row: Mapping[str, object]) -> dict[str, object]:
        """Write one row, and return it with its time.

        Raises:
            DataError: the folder cannot be written.
        """
        written = {**row, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        with locked(lock_of(self.path)):
            rows = {**self.read(), name: written}
            atomic_write_bytes(self.path, (json.dumps(rows, indent=2, sort_keys=True) + "\n").encode())
        return written


class Pins:
    """Digests of files whose publisher gives none: name -> sha256, size, origin, time."""

    def __init__(self, path: Path) -> None:
        self._table = JsonTable(path, key="sha256", remedy="remove it and add the weights again")

    def get(self, name: str) -> str | None:
        """The pinned digest of a name, or None."""
        row = self._table.read().get(name)
        return None if row is None else str(row["sha256"])

    def set(self, name: str, sha256: str, size: int, origin: str) -> None:
        """Pin a name to a digest."""
        self._table.set(name, {"sha256": sha256, "bytes": size, "origin": origin})


def lock_of(file: Path) -> Path:
    """The lock of a file in the weights folder; it lies apart, so that the folder holds weights alone.

    The lock is the operating system's: it ends with its holder, however that one ends.
    """
    return file.parent.parent / "locks" / f"weights-{file.name}.lock"


VARIABLE = "FESBENCH_ACCEPT_LICENSES"


class Licenses:
    """A small JSON file: name -> license, how and when it was accepted."""

    def __init__(self, path: Path) -> None:
        self._table = JsonTable(path, key="license", remedy="remove it and accept the licenses again")

    def accepted(self, entry: WeightsEntry) -> dict[str, str] | None:
        """The acceptance of these very terms, or None.

        A name in ``FESBENCH_ACCEPT_LICENSES`` (comma-separated) accepts, and is written down.
        """
        row = self._table.read().get(entry.name)
        if row is not None and row["license"] == entry.license:
            return {key: str(value) for key, value in row.items()}
        if entry.name in (name.strip() for name in os.environ.get(VARIABLE, "").split(",")):
            return self.accept(entry, how=VARIABLE)
        return None

    def accept(self, entry: WeightsEntry, how: str) -> dict[str, str]:
        """Write down that the terms were accepted, and how."""
        row = {"license": entry.license, "how": how}
        return {key: str(value) for key, value in self._table.set(entry.name, row).items()}

    def problem(self, entry: WeightsEntry) -> str | None:
        """None when the weights may be used; else their terms and the ways to accept them."""
        if not entry.non_commercial or self.accepted(entry) is not None:
            return None
        return (
            f"license: {entry.license}; accept it with: fesbench weights pull {entry.name} --accept-license "
            f"(or {VARIABLE}={entry.name})"
        )
