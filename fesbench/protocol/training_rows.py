"""Which images of a subset are trained on: by methods, by the judge, by the action-unit regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol


def labelled_rows(protocol: Protocol, store: AlignedStore, split: Split, subset: str) -> np.ndarray:
    """Rows of a subset that are trained on: with a protocol label at its peak (where the protocol has none,
    with action units), in-distribution.
    """
    if not protocol.labels:
        return coded_rows(store, split, subset)
    table = store.manifest.table
    rows = split.rows(store.manifest, subset)
    keep = (table["domain"] == "in") & table["expression"].isin(protocol.labels)
    peak = (table["expression"] == "neutral") | (table["intensity"] >= 0.9)
    return rows[(keep & peak).to_numpy()[rows]]


def coded_rows(store: AlignedStore, split: Split, subset: str) -> np.ndarray:
    """Rows of a subset whose image codes a unit, in-distribution, at any intensity."""
    rows = split.rows(store.manifest, subset)
    coded = ~np.isnan(store.manifest.action_units).all(axis=1)
    found: np.ndarray = rows[((store.manifest.table["domain"] == "in").to_numpy() & coded)[rows]]
    return found
