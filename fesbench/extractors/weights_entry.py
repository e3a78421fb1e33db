"""A row of the table of pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass

from fesbench.extractors.weights_packages import PackageSource


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
        package: a package of the Python package index that carries the file.
        non_commercial: the terms exclude commercial use: they are shown and accepted before the first use.
        sha256_prefix: the beginning of the digest, where the file's own name states it.
        page: where a person finds it, for a file that no program may fetch.
    """

    name: str
    file: str
    urls: tuple[str, ...]
    bytes: int | None
    sha256: str | None
    license: str
    citation: str
    needed_by: tuple[str, ...]
    package: PackageSource | None = None
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
