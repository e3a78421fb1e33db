"""What is known about one weights file on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fesbench.extractors.weights_entry import WeightsEntry


@dataclass(frozen=True)
class WeightsStatus:
    """What is known about one entry on this machine.

    Attributes:
        entry: the table's row.
        present: a file is there and is the right one.
        path: where the file lies (also when it is a wrong one), or None.
        sha256: the digest of the file that is there, or None.
        pinned: the right digest was learned from the first file added, not from the table.
        problem: why it is not present, with the remedy; None when present.
        license_problem: terms that were not accepted yet, with the remedy, or None.
    """

    entry: WeightsEntry
    present: bool
    path: Path | None
    sha256: str | None
    pinned: bool
    problem: str | None
    license_problem: str | None

    @property
    def word(self) -> str:
        """``yes``, ``pinned``, ``license`` (not accepted), ``no``, or ``wrong`` (another file lies there)."""
        if not self.present:
            return "no" if self.path is None else "wrong"
        if self.license_problem:
            return "license"
        return "pinned" if self.pinned else "yes"

    def as_dict(self) -> dict[str, Any]:
        """The row and its status, for JSON."""
        status = {"present": self.present, "status": self.word, "path": self.path and str(self.path)}
        return {**asdict(self.entry), **status, "problem": self.problem or self.license_problem}

    def __str__(self) -> str:
        """One line for a person."""
        if not self.present:
            return f"{self.entry.name}: {self.problem}"
        mark = ", pinned on first use" if self.pinned else ""
        terms = f"; {self.license_problem}" if self.license_problem else ""
        return f"{self.entry.name}: checked ({str(self.sha256)[:12]}{mark}), {self.path}{terms}"
