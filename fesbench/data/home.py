"""Where fesbench keeps what it prepares and computes once: stores, features, weights."""

from __future__ import annotations

import os
from pathlib import Path

from fesbench.errors import DataError


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
