"""Which images of one subject make a pair: its neutral face, and its expression at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.sampling import Rows

if TYPE_CHECKING:
    import pandas as pd


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
    rows, labels = images.rows, images.labels
    identities, sequences = table["identity"].to_numpy(), table["sequence"].to_numpy()
    takes, frames = table["take"].to_numpy(), table["frame"].to_numpy()
    neutrals: dict[tuple[str, object], list[int]] = {}
    peaks: dict[tuple[str, object, int], list[int]] = {}
    order = np.lexsort((rows, frames[rows]))
    with_neutral = {(identities[r], sequences[r]) for r in rows[labels == neutral] if sequences[r] != ""}
    for row, label in zip(rows[order].tolist(), labels[order].tolist(), strict=True):
        identity, sequence = identities[row], sequences[row]
        within: object = sequence if (identity, sequence) in with_neutral else int(takes[row])
        if label == neutral:
            neutrals.setdefault((identity, within), []).append(row)
        else:
            peaks.setdefault((identity, within, label), []).append(row)
    found = [
        (neutrals[identity, within][rank % len(neutrals[identity, within])], row, label)
        for (identity, within, label), members in peaks.items()
        if (identity, within) in neutrals
        for rank, row in enumerate(members)
    ]
    ordered = np.array(sorted(found, key=lambda item: item[1]), dtype=np.int64).reshape(-1, 3)
    return Rows(ordered[:, :2], ordered[:, 2])
