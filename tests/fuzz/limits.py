"""A bound on the time and the memory of a block, so that a hang or a bomb is a failure of its own."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

SECONDS = 20.0
BYTES = 1 << 30


class HangError(BaseException):
    """No `Exception`: a reader that passes over everything must not pass over this."""


def _ring(*_: object) -> NoReturn:
    raise HangError(f"still reading after {SECONDS:g} s")


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Raise `HangError` after `SECONDS`; memory beyond `BYTES` more than now raises MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
