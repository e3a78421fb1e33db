"""The weights manager: which pretrained files are here, and whether they are the right ones.

A file is used only after its sha256 was checked. A download goes to a temporary name, is checked, then
renamed; a bad file never stays. Offline is a normal state: ``FESBENCH_OFFLINE=1`` never opens a socket.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fesbench.errors import UnknownNameError, WeightsError
from fesbench.extractors.weights_download import Progress, copy_checked, download, temporary_beside
from fesbench.extractors.weights_pins import Pins
from fesbench.extractors.weights_table import TABLE, WeightsEntry

__all__ = ["TABLE", "WeightsEntry", "WeightsManager", "WeightsStatus", "offline"]


_DIGESTS: dict[tuple[Path, int, int], str] = {}
"""sha256 by path, size and time of change: a file is read once a process, however many managers ask."""


def offline() -> bool:
    """Whether ``FESBENCH_OFFLINE`` forbids every network connection."""
    return os.environ.get("FESBENCH_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


@dataclass(frozen=True)
class WeightsStatus:
    """What is known about one entry on this machine.

    Attributes:
        entry: the table's row.
        present: a file is there and is the right one.
        path: where the file lies (also when it is a wrong one), or None.
        sha256: the digest of the file that is there, or None.
        pinned: the right digest was learned from the first file added, not from the table.
        problem: why it cannot be used, with the remedy; None when present.
    """

    entry: WeightsEntry
    present: bool
    path: Path | None
    sha256: str | None
    pinned: bool
    problem: str | None

    def __str__(self) -> str:
        """One line for a person."""
        if not self.present:
            return f"{self.entry.name}: {self.problem}"
        mark = ", pinned on first use" if self.pinned else ""
        return f"{self.entry.name}: checked ({str(self.sha256)[:12]}{mark}), {self.path}"


class WeightsManager:
    """Weights under ``home/weights``, and those that come inside installed packages."""

    def __init__(self, home: Path, table: Mapping[str, WeightsEntry] | None = None) -> None:
        self.home = Path(home)
        self.folder = self.home / "weights"
        self.table = dict(TABLE if table is None else table)
        self._pins = Pins(self.folder / "pinned.json")

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
            WeightsError: absent, or its sha256 is not the right one; says the command that mends it.
        """
        status = self.status(name)
        if status.path is None or not status.present:
            raise WeightsError(f"weights '{name}': {status.problem}")
        return status.path

    def available(self, name: str) -> str | None:
        """None when the checked file is here, else ``weights: <name>`` and the one command that gets it."""
        status = self.status(name)
        return None if status.present else f"weights: {name} ({status.entry.remedy})"

    def sha256(self, name: str) -> str | None:
        """The digest that the file must have: the table's, or the pinned one, or None where none is known."""
        return self.entry(name).sha256 or self._pins.get(name)

    def status(self, name: str) -> WeightsStatus:
        """Look at one entry's file and check it."""
        entry = self.entry(name)
        wanted = self.sha256(name)
        pinned = entry.sha256 is None and wanted is not None
        found = self._locate(entry)
        if found is None:
            problem = f"{entry.file} is not here; get it with: {entry.remedy}"
            return WeightsStatus(entry, False, None, None, pinned, problem)
        digest = self._digest(found)
        if wanted is None:
            problem = f"{found} was never checked; move it elsewhere and run: fesbench weights add FILE"
        elif digest != wanted:
            problem = (
                f"{found} has sha256 {digest[:12]}..., expected {wanted[:12]}...; "
                f"remove it and get the right one with: {entry.remedy}"
            )
        else:
            return WeightsStatus(entry, True, found, digest, pinned, None)
        return WeightsStatus(entry, False, found, digest, pinned, problem)

    def list(self) -> Sequence[WeightsStatus]:
        """The status of every entry, in the table's order; each file that is there is checked."""
        return [self.status(name) for name in self.table]

    def verify(self) -> Sequence[WeightsStatus]:
        """The status of every file that is there, read anew from the disk."""
        _DIGESTS.clear()
        return [status for status in self.list() if status.path is not None]

    def pull(self, name: str, progress: Progress | None = None) -> Path:
        """Fetch a file unless the right one is here already.

        Args:
            name: an entry's name.
            progress: called with (bytes received, bytes in all or None).

        Raises:
            WeightsError: offline, unreachable, damaged, not the right file, no space; nothing bad is left.
        """
        status = self.status(name)
        if status.present and status.path is not None:
            return status.path
        entry = status.entry
        if not entry.urls:
            raise WeightsError(f"weights '{name}' come with a Python package; get them with: {entry.remedy}")
        if offline():
            raise WeightsError(
                f"FESBENCH_OFFLINE is set, so weights '{name}' are not fetched; "
                f"bring the file from {entry.urls[0]} by other means and run: fesbench weights add FILE"
            )
        self._make_folder()
        failures = []
        for url in entry.urls:
            try:
                with temporary_beside(self.folder / entry.file) as temporary:
                    digest = download(url, temporary, entry.bytes, progress)
                    self._accept(entry, temporary, digest, origin=url)
                return self.path(name)
            except WeightsError as error:
                failures.append(str(error))
        reasons = "; ".join(failures)
        raise WeightsError(
            f"weights '{name}' could not be fetched: {reasons}. Check the network, "
            f"or bring {entry.file} by other means and run: fesbench weights add FILE"
        )

    def add(self, file: Path, name: str | None = None, progress: Progress | None = None) -> WeightsStatus:
        """Take in a file that was brought by other means, known by its sha256, else by its name.

        An entry without a known sha256 is pinned to the first file that is added for it, and marked so.

        Raises:
            WeightsError: unreadable, a web page, or not the file that the entry asks for.
        """
        file = Path(file)
        try:
            digest = self._digest(file)
        except OSError as error:
            raise WeightsError(
                f"{file} cannot be read ({error.strerror}); give the path of a weights file"
            ) from None
        entry = self._recognize(file, digest, name)
        self._make_folder()
        with temporary_beside(self.folder / entry.file) as temporary:
            copied = copy_checked(file, temporary, entry.bytes, progress)
            self._accept(entry, temporary, copied, origin=str(file.name))
        return self.status(entry.name)

    def _recognize(self, file: Path, digest: str, name: str | None) -> WeightsEntry:
        if name is not None:
            return self.entry(name)
        for entry in self.table.values():
            if self.sha256(entry.name) == digest:
                return entry
        for entry in self.table.values():
            if entry.file == file.name or any(url.endswith("/" + file.name) for url in entry.urls):
                return entry
        files = ", ".join(entry.file for entry in self.table.values())
        raise WeightsError(f"{file} is none of the known weights by content or name; known files are {files}")

    def _accept(self, entry: WeightsEntry, temporary: Path, digest: str, *, origin: str) -> None:
        """Rename a complete temporary file into place if it is the right one."""
        wanted = self.sha256(entry.name)
        if wanted is not None and digest != wanted:
            raise WeightsError(
                f"{origin} is not the file of weights '{entry.name}': sha256 {digest[:12]}..., "
                f"expected {wanted[:12]}...; nothing was kept"
            )
        if wanted is None:
            # Pinned before the rename: a file that lies in the folder always has a digest to answer to.
            self._pins.set(entry.name, digest, temporary.stat().st_size, origin)
        os.replace(temporary, self.folder / entry.file)

    def _locate(self, entry: WeightsEntry) -> Path | None:
        own = self.folder / entry.file
        if own.is_file():
            return own
        if entry.package is None:
            return None
        module, inside = entry.package
        # Never imported: the package of dlib's files needs pkg_resources, which setuptools has dropped.
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            return None
        packaged = Path(spec.origin).parent / inside
        return packaged if packaged.is_file() else None

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
