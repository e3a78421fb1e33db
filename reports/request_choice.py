"""Which requests have their values and images in a report whose size is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def in_turn(requests: Sequence[str], values: Mapping[tuple[str, str], pd.Series]) -> list[str]:
    """Every request of one task and domain, those that a reader will open first before the others.

    Alternately: the worst and the best of each row by each metric (rank by rank, all rows and metrics), and a
    spread that no result can move, by the hash of the request's name.

    Args:
        requests: their names.
        values: by row and metric, indexed by request; higher is better. NaN is neither worst nor best.

    >>> import pandas as pd
    >>> in_turn(["a", "b", "c", "d"], {("m", "SSIM"): pd.Series([0.2, 0.9, 0.5, 0.1], list("abcd"))})
    ['d', 'c', 'b', 'a']
    """
    spread = sorted(requests, key=lambda name: (sha256(name.encode()).hexdigest(), name))
    return list(_alternate(_extremes(set(requests), values.values()), spread))


def _extremes(known: set[str], columns: Iterable[pd.Series]) -> list[str]:
    ladders = []
    for column in columns:
        kept = column[column.notna() & column.index.isin(known)].sort_index()
        rising = kept.index[np.argsort(kept.to_numpy(), kind="stable")]
        ladders.append([name for pair in zip(rising, rising[::-1], strict=True) for name in pair])
    rungs = zip_longest(*ladders)
    return list(dict.fromkeys(name for rung in rungs for name in rung if name is not None))


def _alternate(first: Sequence[str], second: Sequence[str]) -> Iterator[str]:
    """One of each in turn, each the next that was not given yet."""
    given: set[str] = set()
    sources = [iter(first), iter(second)]
    while sources:
        for source in list(sources):
            name = next((name for name in source if name not in given), None)
            if name is None:
                sources.remove(source)
            else:
                given.add(name)
                yield name


def merged(parts: Iterable[Sequence[tuple[int, str]]]) -> list[tuple[int, str]]:
    """Several lists as one, one of each in turn.

    >>> merged([[(0, "a"), (0, "b")], [(1, "c")]])
    [(0, 'a'), (1, 'c'), (0, 'b')]
    """
    return [item for item in chain.from_iterable(zip_longest(*parts)) if item is not None]
