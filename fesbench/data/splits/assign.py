"""Disjoint splits: subjects go to one subset, images follow. Who is unknown is a subject for each image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError, LeakageError

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.manifest import Manifest

SUBSETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Who trains, who validates, who is tested.

    Raises:
        LeakageError: an identity stands in two subsets.

    >>> split = Split(train=frozenset("ab"), validation=frozenset("c"), test=frozenset("d"))
    >>> sorted(split.subset("train")), split.hash[:8]
    (['a', 'b'], 'da5fe372')
    """

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]

    def __post_init__(self) -> None:
        for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
            both = sorted(self.subset(first) & self.subset(second))
            if both:
                raise LeakageError(
                    f"{len(both)} identities are in both {first} and {second}: {', '.join(both[:10])}; "
                    "give each identity one subset"
                )

    def subset(self, name: str) -> frozenset[str]:
        """The identities of "train", "validation" or "test".

        Raises:
            DataError: no such subset.
        """
        if name not in SUBSETS:
            raise DataError(f"a split has the subsets {', '.join(SUBSETS)}, not '{name}'")
        return getattr(self, name)

    @property
    def hash(self) -> str:
        """Sha256 (hex) of the sorted assignment: equal exactly where every subject has the same subset."""
        assignment = sorted((identity, name) for name in SUBSETS for identity in self.subset(name))
        return hashlib.sha256(json.dumps(assignment).encode()).hexdigest()

    def rows(self, manifest: Manifest, subset: str) -> np.ndarray:
        """The manifest's row numbers in a subset, int64, ascending."""
        identities = self.subset(subset)
        return np.array(
            [row for row, who in enumerate(manifest.table["identity"]) if who in identities], dtype=np.int64
        )


def position(identity: str, seed: int) -> float:
    """Where a subject stands in [0, 1), from nothing but its name: sha256 of "seed:identity" as a number.

    >>> round(position("S005", 0), 4)
    0.8732
    """
    digest = hashlib.sha256(f"{seed}:{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def subset_by_hash(identity: str, *, seed: int, validation: float, test: float) -> str:
    """The subset of one subject by its `position`.

    Below ``test`` it is tested, below ``test + validation`` it validates, else it trains. A larger fraction
    therefore only adds subjects to a subset, and another subject in the data moves nobody.

    >>> [subset_by_hash(f"a{k:04d}", seed=0, validation=0.1, test=0.2) for k in range(4)]
    ['train', 'test', 'train', 'test']
    """
    place = position(identity, seed)
    return "test" if place < test else "validation" if place < test + validation else "train"


def fold_by_hash(identity: str, *, seed: int, folds: int) -> int:
    """The fold of one subject by its `position`: the same number decides hold-out and folds, so that the
    subjects of a 10 % hold-out are those of fold 0 of ten.

    >>> [fold_by_hash(f"a{k:04d}", seed=0, folds=10) for k in range(4)]
    [4, 1, 8, 1]
    """
    return int(position(identity, seed) * folds)


def split_by_hash(identities: Iterable[str], *, seed: int, validation: float, test: float) -> Split:
    """Split real subjects by hash thresholds; the order and repetitions of ``identities`` do not matter.

    Raises:
        DataError: fractions that leave nobody to train on, or a subset that should have subjects has none.

    >>> split = split_by_hash([f"a{k:04d}" for k in range(100)], seed=0, validation=0.1, test=0.2)
    >>> len(split.train), len(split.validation), len(split.test)
    (72, 12, 16)
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(f"validation {validation} and test {test} must be fractions that sum to less than 1")
    known = set(identities)
    subsets = {who: subset_by_hash(who, seed=seed, validation=validation, test=test) for who in known}
    split = split_of(subsets)
    wanted = {"train": 1.0, "validation": validation, "test": test}
    for name in SUBSETS:
        if wanted[name] > 0 and not split.subset(name):
            raise DataError(
                f"of {len(known)} subjects the hash split (seed {seed}) puts nobody into {name}; "
                "bring more subjects or use another split seed"
            )
    return split


def split_by_fold(fold_of: Mapping[str, int], fold: int) -> Split:
    """Test one fold, validate on the next that has subjects, train on the others.

    Args:
        fold_of: every subject's fold.
        fold: the one to test.

    Returns:
        A split whose test subset is empty where nobody is in that fold.

    Raises:
        DataError: fewer than three folds have subjects.

    >>> split = split_by_fold({"a": 0, "b": 1, "c": 2, "d": 2}, fold=1)
    >>> sorted(split.test), sorted(split.validation), sorted(split.train)
    (['b'], ['c', 'd'], ['a'])
    """
    used = sorted(set(fold_of.values()))
    if len(used) < 3:
        raise DataError(
            f"only {len(used)} of the folds have subjects; k-fold splits need three, to test, validate, train"
        )
    following = next((other for other in used if other > fold), used[0])
    subsets = {fold: "test", following: "validation"}
    return split_of({who: subsets.get(number, "train") for who, number in fold_of.items()})


def split_of(subsets: Mapping[str, str]) -> Split:
    """The split of a mapping from subject to subset; subjects with any other take no part.

    >>> sorted(split_of({"a": "train", "b": "test", "c": "train", "d": ""}).train)
    ['a', 'c']
    """
    return Split(
        **{name: frozenset(who for who, subset in subsets.items() if subset == name) for name in SUBSETS}
    )


def split_by_index(identities_in_order: Sequence[str], *, train: int, validation: int, test: int) -> Split:
    """Split by position: the first ``train`` subjects train, the next validate, the next are tested.

    Raises:
        DataError: there are fewer subjects than that, or a name stands twice.

    >>> sorted(split_by_index("abcd", train=2, validation=1, test=1).train)
    ['a', 'b']
    """
    order = list(identities_in_order)
    if len(set(order)) != len(order):
        raise DataError("an identity stands twice in the order to split; give each once")
    if len(order) < train + validation + test:
        raise DataError(
            f"the split asks for {train} + {validation} + {test} subjects and the data has {len(order)}; "
            "prepare more identities or ask for fewer"
        )
    ends = np.cumsum([train, validation, test])
    return Split(
        train=frozenset(order[: ends[0]]),
        validation=frozenset(order[ends[0] : ends[1]]),
        test=frozenset(order[ends[1] : ends[2]]),
    )


def split_table(manifest: Manifest, split: Split) -> pd.DataFrame:
    """Images and subjects by expression and subset.

    Returns:
        One row an expression (in order of first appearance; "(unlabelled)" where there is no label), columns
        ``expression, train, train_people, validation, validation_people, test, test_people``; a last row
        "all".
    """
    import pandas as pd

    labels = np.array([name or "(unlabelled)" for name in manifest.table["expression"]], dtype=object)
    identities = manifest.table["identity"].to_numpy(dtype=object)
    table = []
    for label in [*dict.fromkeys(labels), "all"]:
        line: dict[str, object] = {"expression": label}
        for name in SUBSETS:
            rows = split.rows(manifest, name)
            rows = rows if label == "all" else rows[labels[rows] == label]
            line[name], line[f"{name}_people"] = len(rows), len(set(identities[rows]))
        table.append(line)
    return pd.DataFrame(table)
