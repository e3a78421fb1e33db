"""Which images of one subject belong together: its neutral face, and its expressions at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.sampling import Rows

if TYPE_CHECKING:
    import pandas as pd


def occasions(table: pd.DataFrame, images: Rows, neutral: int) -> list[tuple[str, object]]:
    """What images must share to be of one subject at one time.

    Args:
        table: columns identity, sequence and take of a store.
        images: to be joined.
        neutral: label of neutral images.

    Returns:
        For each image its subject, and its sequence where that holds a neutral image, else its take.
    """
    rows, labels = images.rows, images.labels
    identities, sequences = table["identity"].to_numpy(), table["sequence"].to_numpy()
    takes = table["take"].to_numpy()
    with_neutral = {(identities[r], sequences[r]) for r in rows[labels == neutral] if sequences[r] != ""}
    places = [(identities[row], sequences[row], int(takes[row])) for row in rows.tolist()]
    return [
        (identity, sequence if (identity, sequence) in with_neutral else take)
        for identity, sequence, take in places
    ]


def find_pairs(table: pd.DataFrame, images: Rows, neutral: int) -> Rows:
    """Every expressive image with a neutral one of its sequence, where that has one, else of its take.

    The k-th image of a label joins the k-th neutral one; where these are fewer, they serve again.

    Args:
        table: columns identity, sequence, take, frame of a store.
        images: what may be joined.
        neutral: label of neutral images.

    Returns:
        Rows (n, 2) of the neutral and of the expressive image, in the order of the latter, with its label.
    """
    rows, labels, frames = images.rows, images.labels, table["frame"].to_numpy()
    shared = occasions(table, images, neutral)
    neutrals: dict[tuple[str, object], list[int]] = {}
    peaks: dict[tuple[tuple[str, object], int], list[int]] = {}
    for at in np.lexsort((rows, frames[rows])).tolist():
        row, label = int(rows[at]), int(labels[at])
        if label == neutral:
            neutrals.setdefault(shared[at], []).append(row)
        else:
            peaks.setdefault((shared[at], label), []).append(row)
    found = [
        (neutrals[occasion][rank % len(neutrals[occasion])], row, label)
        for (occasion, label), members in peaks.items()
        if occasion in neutrals
        for rank, row in enumerate(members)
    ]
    ordered = np.array(sorted(found, key=lambda item: item[1]), dtype=np.int64).reshape(-1, 3)
    return Rows(ordered[:, :2], ordered[:, 2])
