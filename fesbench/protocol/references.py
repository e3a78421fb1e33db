"""The real images that generated ones are compared with: galleries, neutral images, reference sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesbench.protocol.image_index import RequestIndex
from fesbench.protocol.tasks.base import GALLERY_TAKE

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol


def gallery_rows(protocol: Protocol, store: AlignedStore, split: Split) -> tuple[np.ndarray, list[str]]:
    """One neutral row per test subject from another take or sequence, and the subjects who have none."""
    index = RequestIndex(protocol, store, sorted(split.test))
    rows = {who: index.gallery(who) for who in index.people}
    missing = [who for who, row in rows.items() if row < 0]
    return np.array([row for row in rows.values() if row >= 0], dtype=np.int64), missing


def neutral_rows(table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """For each image the same subject's neutral one: the first of its sequence, else of its take and domain.

    Args:
        table: the manifest's.
        rows: int (N,), rows of the table; -1 = none.

    Returns:
        int64 (N,), -1 where there is none.
    """
    take = table["take"].where(table["sequence"] == "", -1)
    shown = [table["identity"], table["domain"], table["sequence"], take]
    occasion = table.groupby(shown, sort=False).ngroup().to_numpy()
    frames = table["frame"][table["expression"] == "neutral"].sort_values(kind="stable")
    first = np.full(len(table), -1)
    # of several the last one stays, so the first frame is written last
    first[occasion[frames.index[::-1]]] = frames.index[::-1]
    return np.where(rows >= 0, first[occasion[rows]], -1)


def reference_rows(
    protocol: Protocol, store: AlignedStore, split: Split, group: pd.DataFrame
) -> tuple[np.ndarray, str]:
    """The real images that a distribution metric compares a group of requests with, and the rule's name.

    ``test-real-other-take``: the same subjects and expressions in the other take. Where the data has no other
    take (styles, compounds, CK+): ``test-real``, the target images themselves. ``source-domain``: where a
    domain has no target images, the sources; a distance to them says how far the domain was left, not how
    real the images are.
    """
    if protocol.metrics.reference == "other-take":
        index = RequestIndex(protocol, store, sorted(split.test))
        rows = [
            index.find(r.identity, r.target_expression, r.domain, take=GALLERY_TAKE, intensity=r.intensity)
            for r in group.itertuples()
            if not r.second_expression
        ]
        if rows and min(rows) >= 0:
            return np.array(sorted(set(rows)), dtype=np.int64), "test-real-other-take"
    target = group["target"].to_numpy()
    if not (target >= 0).any():
        sources = group["source"].to_numpy()
        return np.unique(sources[sources >= 0]), "source-domain"
    return np.unique(target[target >= 0]), "test-real"
