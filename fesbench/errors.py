"""Errors that a user can fix, each with the exit code that a script can tell apart.

Library code raises these and never exits; the command line prints the message without a traceback
(``--debug`` shows it). A message is one plain sentence that names the file or key, and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK, EXIT_CRASH, EXIT_USAGE, EXIT_WORSE, EXIT_CELLS_FAILED, EXIT_NOT_COMPARABLE = range(6)


class FesbenchError(Exception):
    """Base of all errors that a user can fix."""

    exit_code = EXIT_USAGE


class UsageError(FesbenchError):
    """A wrong option, name or combination."""


class UnknownNameError(UsageError):
    """A name that is not registered; the message gives near matches and the list."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        super().__init__(f"no {kind} '{name}'.{hint} Known: {', '.join(names) or 'none'}.")


class DataError(FesbenchError):
    """Images, labels or folders that are missing, unreadable or inconsistent."""


class ProtocolError(FesbenchError):
    """A protocol file that cannot be used; names file, key and remedy."""


class WeightsError(FesbenchError):
    """A weights file that is missing, damaged or not the one that was asked for."""


class MethodError(FesbenchError):
    """A method that broke its contract (wrong shape, NaN, missing requirement)."""


class RecordError(FesbenchError):
    """A record that cannot be read or does not fit what is asked of it."""


class LeakageError(DataError):
    """The same subject or image in two subsets of a split."""


class NotComparableError(FesbenchError):
    """Two scores whose comparison keys differ."""

    exit_code = EXIT_NOT_COMPARABLE
