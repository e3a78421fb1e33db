"""Writing files so that a crash never leaves half of one, and saying plainly why a write failed."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from fesbench.errors import DataError

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free space, or point FESBENCH_HOME (or --out) at another disk, and run "
    "the same command again: what is done is kept",
    errno.EDQUOT: "the disk quota is used up; free space, or point FESBENCH_HOME (or --out) elsewhere, and "
    "run the same command again: what is done is kept",
    errno.EACCES: "permission denied; make the folder writable or choose another one",
    errno.EPERM: "permission denied; make the folder writable or choose another one",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another one",
    errno.EEXIST: "a file of this name is in the way; move it or choose another folder",
}


def write_error(path: Path, error: OSError) -> DataError:
    """The error that tells a subject why ``path`` could not be written, and what to do."""
    reason = error.strerror or str(error)
    return DataError(f"cannot write {path}: {_REMEDIES.get(error.errno or 0, reason)}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``DataError`` that names ``path`` and the remedy."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through a temporary neighbor, so that ``path`` is either the old or the whole new file.

    Raises:
        DataError: the disk is full, or the folder not writable.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            # mkstemp makes files private; results are as readable as any other file of the user
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Like `atomic_write`, for content that is already in memory."""
    atomic_write(path, lambda stream: stream.write(content))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def locked(path: Path, waits: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold ``path`` (a lock file) for the block; a second process waits, a killed one leaves no lock behind.

    Args:
        path: the lock file.
        waits: called before a wait.

    Raises:
        DataError: the lock file cannot be written.
    """
    with lock(path, wait=False) as held:
        if held:
            yield
            return
    if waits is not None:
        waits()
    with lock(path, wait=True):
        yield


@contextlib.contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[bool]:
    """As `locked`, where ``wait``; else the block is told at once whether it holds the lock.

    Raises:
        DataError: the lock file cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system: doing the same thing twice at once is then up to the user
        yield True
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "wb")  # noqa: SIM115 - closed below, after the block that it guards
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
            held = True  # a file system without locks (some of clusters): as where there is no fcntl
        else:
            held = True
        yield held


def fesbench_home() -> Path:
    """The cache folder: ``$FESBENCH_HOME``, or ``~/.cache/fesbench``; created when absent.

    Raises:
        DataError: the folder cannot be created or written.
    """
    home = Path(os.environ.get("FESBENCH_HOME") or "~/.cache/fesbench").expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot create {home} ({error.strerror}); set FESBENCH_HOME to a writable folder"
        ) from None
    if not os.access(home, os.W_OK):
        raise DataError(f"{home} is not writable; set FESBENCH_HOME to a writable folder")
    return home
