"""Counts and repeats of an aligned store, for those who look at their copy of a data set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore


def tally(store: AlignedStore) -> dict[str, Any]:
    """Counts of a store: by expression (images, subjects), by subject, by every column that tells apart."""
    table = store.manifest.table
    labels = [name or "(unlabelled)" for name in table["expression"]]
    identities: dict[str, set[str]] = {}
    for label, who in zip(labels, table["identity"], strict=True):
        identities.setdefault(label, set()).add(who)
    found: dict[str, Any] = {
        "images": len(store),
        "expressions": {
            label: {"images": count, "identities": len(identities[label])}
            for label, count in Counter(labels).items()
        },
        "identities_known": store.manifest.identities_known,
    }
    if store.manifest.identities_known:
        each = Counter(table["identity"].tolist())
        numbers = sorted(each.values())
        found["identities"] = {
            "identities": len(each),
            "fewest": numbers[0],
            "median": float(np.median(numbers)),
            "most": numbers[-1],
            "images": dict(sorted(each.items())),
        }
    for column in ("part", "pose", "gaze", "lighting", "domain"):
        values = Counter(value or "(none)" for value in table[column])
        if len(values) > 1:
            found[column] = dict(values.most_common())
    return found


def repeats(store: AlignedStore, groups: np.ndarray, examples: int = 5) -> dict[str, Any]:
    """Duplicates by file and by image, with the first groups by name.

    Args:
        store: the data.
        groups: what `fesbench.data.splits.duplicates.duplicate_groups` found.
        examples: how many groups to name.
    """
    from fesbench.data.splits.duplicates import group_list

    table = store.manifest.table
    files = Counter(sha256 for sha256 in table["sha256"] if sha256)
    together = group_list(groups)
    who, names = table["identity"].tolist(), table["image"].tolist()
    across = [rows for rows in together if len({who[row] for row in rows}) > 1]
    return {
        "by_file": sum(count - 1 for count in files.values()),
        "by_image": sum(len(rows) - 1 for rows in together),
        "groups": len(together),
        "groups_of_several_identities": len(across),
        "examples": [[names[row] for row in rows[:4]] for rows in (across or together)[:examples]],
    }
