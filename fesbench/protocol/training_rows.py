"""Which images of a subset are trained on: by methods, by the judge, by the action-unit regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.card import Problem
from fesbench.methods.clips import Clip, find_clips
from fesbench.methods.sampling import Rows
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS, PEAK

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol


def labelled_rows(
    protocol: Protocol,
    store: AlignedStore,
    split: Split,
    subset: str,
    *,
    intensities: bool = False,
    domain: str = "in",
) -> np.ndarray:
    """Rows of a subset that are trained on: with a protocol label at its peak (where the protocol has none,
    with action units), in-distribution; with ``intensities`` also below the peak, or of another domain.
    """
    if not protocol.labels:
        return coded_rows(store, split, subset)
    table = store.manifest.table
    rows = split.rows(store.manifest, subset)
    keep = (table["domain"] == domain) & table["expression"].isin(protocol.labels)
    peak = (table["expression"] == "neutral") | (table["intensity"] >= PEAK) | intensities
    return rows[(keep & peak).to_numpy()[rows]]


def labelled_clips(
    protocol: Protocol, store: AlignedStore, split: Split, subset: str, *, domain: str = "in"
) -> list[Clip]:
    """The clips of a subset that end in a label of the protocol; `Clip.label` indexes EXPRESSIONS."""
    table = store.manifest.table
    shown = (table["domain"] == domain) & table["expression"].isin(EXPRESSIONS)
    rows = split.rows(store.manifest, subset)
    rows = rows[shown.to_numpy()[rows]]
    codes = np.array(
        [EXPRESSIONS.index(name) for name in table["expression"].to_numpy()[rows]], dtype=np.int64
    )
    clips = find_clips(table, Rows(rows, codes), neutral=EXPRESSIONS.index("neutral"))
    return [clip for clip in clips if EXPRESSIONS[clip.label] in protocol.labels]


def unlabelled_rows(protocol: Protocol, store: AlignedStore, split: Split) -> np.ndarray:
    """Rows of the training subjects in the domains that the protocol grants without labels: int64 (U,)."""
    rows = split.rows(store.manifest, "train")
    granted = store.manifest.table["domain"].isin(protocol.data.unlabelled).to_numpy()
    found: np.ndarray = rows[granted[rows]]
    return found


def coded_rows(store: AlignedStore, split: Split, subset: str) -> np.ndarray:
    """Rows of a subset whose image codes a unit, in-distribution, at any intensity."""
    rows = split.rows(store.manifest, subset)
    coded = ~np.isnan(store.manifest.action_units).all(axis=1)
    found: np.ndarray = rows[((store.manifest.table["domain"] == "in").to_numpy() & coded)[rows]]
    return found


def coded_units(protocol: Protocol, store: AlignedStore, split: Split) -> tuple[int, ...]:
    """FACS numbers of the action units that the training rows code; one that is 0 in all of them teaches
    nothing and counts as not coded, and so does one that the images of other subsets alone show.
    """
    codes = store.manifest.action_units[labelled_rows(protocol, store, split, "train")]
    shown = (np.nan_to_num(codes) > 0).any(axis=0)
    return tuple(unit for unit, some in zip(ACTION_UNITS, shown, strict=True) if some)


def problem_of(protocol: Protocol, store: AlignedStore, split: Split, seed: int) -> Problem:
    """What a method is built for under a protocol.

    Args:
        protocol: gives the labels.
        store: gives the size, and the action units that its training rows code.
        split: who trains.
        seed: of the initial weights and everything else that is drawn.
    """
    return Problem(store.size, tuple(protocol.labels), coded_units(protocol, store, split), seed)
