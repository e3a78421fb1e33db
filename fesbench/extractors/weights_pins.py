"""Digests learned from the first file that was added, for weights whose publisher gives none."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from fesbench.errors import WeightsError
from fesbench.extractors.weights_download import temporary_beside


class Pins:
    """A small JSON file: name -> sha256, size, origin, time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> str | None:
        """The pinned digest of a name, or None."""
        row = self._read().get(name)
        return None if row is None else str(row["sha256"])

    def set(self, name: str, sha256: str, size: int, origin: str) -> None:
        """Pin a name to a digest, atomically."""
        rows = self._read()
        pinned_at = datetime.now(UTC).isoformat(timespec="seconds")
        rows[name] = {"sha256": sha256, "bytes": size, "origin": origin, "pinned_at": pinned_at}
        with temporary_beside(self.path) as temporary:
            temporary.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            rows = json.loads(text)
            intact = isinstance(rows, dict) and all(
                isinstance(row, dict) and isinstance(row.get("sha256"), str) for row in rows.values()
            )
        except ValueError:
            intact = False
        if not intact:
            raise WeightsError(f"{self.path} is damaged; remove it and add the weights again")
        return rows
