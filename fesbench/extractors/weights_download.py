"""One file over HTTP, to a temporary name, with every way in which that goes wrong said plainly."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from fesbench.errors import WeightsError

Progress = Callable[[int, int | None], None]
"""Called with bytes so far and bytes in all (None when nobody says)."""

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_STALE = 24 * 3600.0
_LARGEST = 4 << 30
"""No weights file in the table comes near it; an endless answer stops here."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """A name in the target's folder for a file in the making; whatever is left under it is removed.

    Leftovers of killed processes are removed once they are a day old.
    """
    for leftover in target.parent.glob(f".{target.name}.*.part"):
        if time.time() - leftover.lstat().st_mtime > _STALE:
            leftover.unlink(missing_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}-{time.monotonic_ns()}.part"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def download(url: str, to: Path, size: int | None, progress: Progress | None) -> str:
    """Fetch a URL into a file.

    Args:
        url: http or https.
        to: a temporary path; the caller removes it on error.
        size: the expected bytes, None when unknown.
        progress: called as the bytes come in.

    Returns:
        the sha256 of what was received, hex.

    Raises:
        WeightsError: unreachable, refused, redirected in circles, a web page, truncated, no space.
    """
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"{url} is not an http(s) address")
    request = urllib.request.Request(url, headers={"User-Agent": "fesbench"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            announced = answer.headers.get("Content-Length")
            total = int(announced) if announced and announced.isdigit() else None
            if size is not None and total is not None and total != size:
                _refuse_web_page(answer.read(512), url)
                raise WeightsError(f"{url} offers {total} bytes, expected {size}")
            digest, received = _receive(answer, to, url, size or total, progress)
    except urllib.error.HTTPError as error:
        error.close()
        raise WeightsError(f"{url} answers {error.code} ({' '.join(str(error.reason).split())})") from None
    except urllib.error.URLError as error:
        raise WeightsError(f"{url} cannot be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"the connection to {url} broke ({error or type(error).__name__})") from None
    expected = size if size is not None else total
    if expected is not None and received != expected:
        raise WeightsError(f"{url} broke off after {received} of {expected} bytes")
    return digest


def copy_checked(file: Path, to: Path, size: int | None, progress: Progress | None) -> str:
    """Copy a local file; the same checks as :func:`download`. Returns the sha256, hex."""
    with file.open("rb") as stream:
        expected = size if size is not None else file.stat().st_size
        digest, received = _receive(stream, to, str(file), expected, progress)
    if size is not None and received != size:
        raise WeightsError(
            f"{file} has {received} bytes, expected {size}; it is another file, or a part of it"
        )
    return digest


def _receive(
    stream: _Readable, to: Path, origin: str, expected: int | None, progress: Progress | None
) -> tuple[str, int]:
    digest, received = hashlib.sha256(), 0
    with _writing(to):
        out = to.open("xb")
    with out:
        while chunk := stream.read(_CHUNK):
            if received == 0:
                _refuse_web_page(chunk, origin)
            received += len(chunk)
            if received > (expected if expected is not None else _LARGEST):
                raise WeightsError(f"{origin} has more than the expected {expected or _LARGEST} bytes")
            digest.update(chunk)
            with _writing(to):
                out.write(chunk)
            if progress is not None:
                progress(received, expected)
        with _writing(to):
            _flush(out)
    return digest.hexdigest(), received


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    """Errors of our own disk, told apart from those of the network."""
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable"
        raise WeightsError(
            f"cannot write in {to.parent} ({error.strerror or error}); {remedy} or change FESBENCH_HOME"
        ) from None


def _flush(out: BinaryIO) -> None:
    """On disk before the rename, so that a power cut leaves no hollow file under the final name."""
    out.flush()
    os.fsync(out.fileno())


def _refuse_web_page(start: bytes, origin: str) -> None:
    head = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        raise WeightsError(f"{origin} is a web page, not a weights file (a network's login page, perhaps)")
