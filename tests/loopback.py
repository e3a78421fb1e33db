"""A server on this machine that answers as it is told, with ranges where it is told to keep them."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """What it answers by path, and what it was asked."""

    url: str
    answers: dict[str, Answer]
    asked: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            known.ranges.append(self.headers.get("Range"))
            known.answers[self.path](self)

        def log_message(self, *arguments: Any) -> None:
            return

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Server(f"http://127.0.0.1:{listener.server_port}", {})
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        listener.shutdown()
        listener.server_close()


def answer(body: bytes, *, length: int | None = None, status: int = 200, **headers: str) -> Answer:
    """A fixed answer; ``length`` -1 sends no Content-Length."""

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        if length is None or length >= 0:
            request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return respond


def ranged(body: bytes, *, etag: str | None = '"v1"', cut: int | None = None, shift: int = 0) -> Answer:
    """An answer that honors Range under If-Range.

    Args:
        body: the whole file.
        etag: its version; None tells none, and answers every range.
        cut: break the connection after so many bytes of this answer.
        shift: begin so many bytes beside what was asked for.
    """

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        start = 0
        if (
            asked is not None and request.headers.get("If-Range") == etag
        ):  # None for both: not asked, not told
            start = int(asked.removeprefix("bytes=").rstrip("-")) + shift
            if start >= len(body):
                request.send_response(416)
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag is None:
            request.send_header("Accept-Ranges", "bytes")
        else:
            request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        request.wfile.write(body[start:] if cut is None else body[start : start + cut])

    return respond
