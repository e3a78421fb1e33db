"""One file over HTTP, under a temporary name, with every way in which that goes wrong said plainly.

A download that breaks off goes on where it stopped, if the server says by an ETag or a date that the file is
still the same one, or if its digest is known; what was received is checked whole all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from fesbench.errors import WeightsError
from fesbench.files import writing

Progress = Callable[[int, int | None], None]
"""Called with bytes so far and bytes in all (None when nobody says)."""

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_STALE = 24 * 3600.0
_LARGEST = 4 << 30
"""No weights file in the table comes near it; an endless answer stops here."""

_REMEDIES = {
    401: "the address wants a login",
    403: "the address refuses this machine",
    404: "the file is gone from there",
    429: "the server asks to wait: try again later",
    500: "the server has a fault: try again later",
    502: "the server has a fault: try again later",
    503: "the server is overloaded: try again later",
}


class NetworkError(WeightsError):
    """Unreachable, refused or broken off; what has come so far is good as far as anybody knows."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def offline() -> bool:
    """Whether ``FESBENCH_OFFLINE`` forbids every network connection."""
    return os.environ.get("FESBENCH_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """A name in the target's folder for a file in the making; whatever is left under it is removed.

    Leftovers of killed processes are removed once they are a day old.
    """
    for leftover in target.parent.glob(f".{target.name}.*.part"):
        # Another process may sweep at the same time.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.lstat().st_mtime > _STALE:
                leftover.unlink()
    temporary = target.parent / f".{target.name}.{os.getpid()}-{time.monotonic_ns()}.part"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def download(
    url: str,
    to: Path,
    size: int | None,
    progress: Progress | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    known: bool = False,
) -> str:
    """Fetch a URL into a file, going on with what an earlier attempt has left there.

    Args:
        url: http or https.
        to: a temporary path that no other process writes. After trouble with the network it stays,
            with a note beside it, if it can be resumed; after every other error it is removed.
        size: the expected bytes, None when unknown.
        progress: called as the bytes come in.
        headers: further request headers.
        known: the caller knows the digest, so that parts may be joined without the server's word for it.

    Returns:
        the sha256 of the whole file, hex.

    Raises:
        WeightsError: offline, unreachable, refused, redirected in circles, a web page, truncated.
        DataError: no space, or no right to write.
    """
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"{url} is not an http(s) address")
    if offline():
        raise WeightsError(f"FESBENCH_OFFLINE is set, so {url} is not fetched")
    note = to.with_name(to.name + ".json")
    validator = _resumable(url, to, note)
    asked = {"User-Agent": "fesbench", "Accept-Encoding": "identity", **(headers or {})}
    if validator is not None:
        asked["Range"] = f"bytes={to.stat().st_size}-"
        if validator:
            asked["If-Range"] = validator
    try:
        digest = _fetch(url, to, note, size, progress, asked, known)
    except (NetworkError, KeyboardInterrupt):
        if not note.exists():
            to.unlink(missing_ok=True)
        raise
    except BaseException:
        to.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        raise
    note.unlink(missing_ok=True)
    return digest


def copy_checked(file: Path, to: Path, size: int | None, progress: Progress | None) -> str:
    """Copy a local file; the same checks as :func:`download`. Returns the sha256, hex."""
    with file.open("rb") as stream:
        expected = size if size is not None else file.stat().st_size
        digest, received = receive(stream, to, str(file), expected, progress)
    if size is not None and received != size:
        raise WeightsError(
            f"{file} has {received} bytes, expected {size}; it is another file, or a part of it"
        )
    return digest


def receive(
    stream: _Readable,
    to: Path,
    origin: str,
    expected: int | None,
    progress: Progress | None = None,
    start: int = 0,
) -> tuple[str, int]:
    """Write a stream to a new file, or behind the first ``start`` bytes of one.

    Returns:
        the sha256 of the whole file, hex, and its size in bytes.

    Raises:
        DataError: it cannot be written.
        WeightsError: a web page, or more bytes than expected.
    """
    digest, received = hashlib.sha256(), start
    with writing(to):
        out = to.open("a+b" if start else "w+b")
        out.seek(0)
        while kept := out.read(_CHUNK):
            digest.update(kept)
    with out:
        while chunk := stream.read(_CHUNK):
            if received == 0:
                refuse_web_page(chunk, origin)
            received += len(chunk)
            if received > (expected if expected is not None else _LARGEST):
                raise WeightsError(f"{origin} has more than the expected {expected or _LARGEST} bytes")
            digest.update(chunk)
            with writing(to):
                out.write(chunk)
            if progress is not None:
                progress(received, expected)
        with writing(to):
            _flush(out)
    return digest.hexdigest(), received


@contextmanager
def opened(url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
    """An answer to a GET; the network's errors inside the block become sentences.

    Raises:
        NetworkError: unreachable, refused, redirected in circles, or broken inside the block.
        WeightsError: redirected away from https, or packed on the way.
    """
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT) as answer:
            encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding != "identity":
                raise WeightsError(
                    f"{url} comes packed ({encoding}), which was not asked for: "
                    "something on the way changes files"
                )
            yield answer
    except urllib.error.HTTPError as error:
        error.close()
        reason = " ".join(str(error.reason).split())
        remedy = _REMEDIES.get(error.code)
        raise NetworkError(
            f"{url} answers {error.code} ({reason}){f'; {remedy}' if remedy else ''}"
        ) from error
    except urllib.error.URLError as error:
        raise NetworkError(f"{url} cannot be reached ({error.reason})") from None
    except TimeoutError:
        raise NetworkError(f"{url} did not answer within {_TIMEOUT:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise NetworkError(f"the connection to {url} broke ({error or type(error).__name__})") from None


def refuse_web_page(start: bytes, origin: str) -> None:
    """Refuse a page in place of a file.

    Raises:
        WeightsError: the bytes begin like HTML or XML.
    """
    head = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        raise WeightsError(f"{origin} is a web page, not a weights file (a network's login page, perhaps)")


def _fetch(
    url: str,
    to: Path,
    note: Path,
    size: int | None,
    progress: Progress | None,
    headers: dict[str, str],
    known: bool,
) -> str:
    try:
        with opened(url, headers) as answer:
            start = _starts_at(answer, to) if "Range" in headers else 0
            announced = answer.headers.get("Content-Length")
            total = start + int(announced) if announced and announced.isdigit() else None
            if size is not None and total is not None and total != size:
                refuse_web_page(answer.read(512), url)
                raise WeightsError(f"{url} offers {total} bytes, expected {size}")
            if start == 0:
                _remember(url, note, answer.headers, known)
            digest, received = receive(answer, to, url, size or total, progress, start)
    except WeightsError as error:
        cause = error.__cause__
        if "Range" in headers and isinstance(cause, urllib.error.HTTPError) and cause.code == 416:
            # What lies here is as long as the file or longer: not a beginning of it.
            whole = {name: value for name, value in headers.items() if name not in ("Range", "If-Range")}
            return _fetch(url, to, note, size, progress, whole, known)
        raise
    expected = size if size is not None else total
    if expected is not None and received != expected:
        raise NetworkError(f"{url} broke off after {received} of {expected} bytes")
    return digest


def _resumable(url: str, to: Path, note: Path) -> str | None:
    """The validator ("" for none needed) of an attempt to go on with; None, and a clean place, otherwise."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["url"] == url and to.stat().st_size > 0:
            return str(known["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or half of one: the attempt was killed while it began
    to.unlink(missing_ok=True)
    note.unlink(missing_ok=True)
    return None


def _remember(url: str, note: Path, headers: Message, known: bool) -> None:
    """Note what lets a later attempt prove that it continues the same file."""
    note.unlink(missing_ok=True)
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if validator or (known and headers.get("Accept-Ranges") == "bytes"):
        with writing(note):
            note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _starts_at(answer: http.client.HTTPResponse, to: Path) -> int:
    """The offset of the first byte that the answer holds: 0 where the server sends the whole file."""
    if answer.status != http.client.PARTIAL_CONTENT:
        return 0
    kept = to.stat().st_size
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {kept}-"):
        raise WeightsError(f"{answer.url} sent another part of the file than was asked for; pull again")
    return kept


def _flush(out: BinaryIO) -> None:
    """On disk before the rename, so that a power cut leaves no hollow file under the final name."""
    out.flush()
    os.fsync(out.fileno())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http: a pinned digest would be worth what the wire is."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https://") and not newurl.startswith("https://"):
            raise WeightsError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
