"""Where a protocol's trained networks are kept between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fesbench.errors import WeightsError
from fesbench.files import writing
from fesbench.judges.stored import StoredNetwork
from fesbench.progress import Reporter

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore

T = TypeVar("T", bound=StoredNetwork[Any])


def kept(
    path: Path, kind: type[T], store: AlignedStore, fits: Callable[[T], bool], reporter: Reporter
) -> T | None:
    """The network that an earlier run trained on this very data; None: train one."""
    if not path.exists():
        return None
    try:
        found = kind.load(path)
    except WeightsError as error:
        reporter.note(f"{error}; it is trained again", warning=True)
        return None
    return found if found.facts.data_fingerprint == store.fingerprint and fits(found) else None


def keep(made: StoredNetwork[Any], path: Path) -> None:
    """Write a network for later runs.

    Raises:
        DataError: the folder cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save(path)
