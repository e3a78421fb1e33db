from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fesbench.data.splits.assign import (
    SUBSETS,
    Split,
    split_by_hash,
    split_by_index,
    split_table,
    subset_by_hash,
)
from fesbench.data.store.manifest import Manifest, manifest_of
from fesbench.errors import DataError, LeakageError
from fesbench.vocabulary import ACTION_UNITS

NAMES = st.sets(st.text("abcdef0123456789", min_size=1, max_size=6), min_size=40, max_size=80)


def manifest(rows: list[tuple[str, str]]) -> Manifest:
    n = len(rows)
    return manifest_of(
        [{"image": str(k), "identity": who, "expression": what} for k, (who, what) in enumerate(rows)],
        np.zeros((n, len(ACTION_UNITS))),
        np.zeros((n, 68, 2)),
    )


def split_or_skip(people: set[str], seed: int, validation: float, test: float) -> Split:
    try:
        return split_by_hash(people, seed=seed, validation=validation, test=test)
    except DataError:
        assume(False)
        raise


def test_a_side_is_the_documented_hash() -> None:
    position = int(hashlib.sha256(b"7:S005").hexdigest()[:16], 16) / 2**64
    for test in (position - 1e-6, position + 1e-6):
        expected = "test" if position < test else "validation"
        assert subset_by_hash("S005", seed=7, validation=0.2, test=test) == expected
    assert subset_by_hash("S005", seed=7, validation=0.0, test=position - 1e-6) == "train"


@given(NAMES, st.integers(0, 99))
def test_sides_are_disjoint_and_hold_everybody(people: set[str], seed: int) -> None:
    split = split_or_skip(people, seed, 0.15, 0.2)
    assert split.train | split.validation | split.test == people
    assert len(split.train) + len(split.validation) + len(split.test) == len(people)


@given(NAMES, st.text("xyz", min_size=1, max_size=9))
def test_one_more_person_moves_nobody_else(people: set[str], newcomer: str) -> None:
    before = split_or_skip(people, 0, 0.15, 0.2)
    after = split_by_hash([*people, newcomer], seed=0, validation=0.15, test=0.2)
    for subset in SUBSETS:
        assert after.subset(subset) - {newcomer} == before.subset(subset)


@given(NAMES, st.randoms())
def test_order_and_repetition_do_not_matter(people: set[str], random: object) -> None:
    shuffled = sorted(people) * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = split_or_skip(people, 3, 0.15, 0.2)
    assert split_by_hash(shuffled, seed=3, validation=0.15, test=0.2).hash == first.hash


@given(NAMES)
def test_a_larger_test_side_holds_the_smaller_one(people: set[str]) -> None:
    small = split_or_skip(people, 0, 0.0, 0.15)
    assert small.test <= split_by_hash(people, seed=0, validation=0.0, test=0.4).test


def test_fractions_are_met_on_many_subjects() -> None:
    people = [f"p{k}" for k in range(20000)]
    split = split_by_hash(people, seed=1, validation=0.1, test=0.2)
    # 4 standard deviations of a binomial count
    assert abs(len(split.test) - 4000) < 4 * np.sqrt(20000 * 0.2 * 0.8)
    assert abs(len(split.validation) - 2000) < 4 * np.sqrt(20000 * 0.1 * 0.9)


def test_the_hash_tells_assignments_apart() -> None:
    a = Split(frozenset("ab"), frozenset("c"), frozenset("d"))
    assert a.hash == Split(frozenset("ba"), frozenset("c"), frozenset("d")).hash
    assert a.hash != Split(frozenset("ab"), frozenset("d"), frozenset("c")).hash
    assert len(a.hash) == 64


def test_a_subject_on_two_sides_is_refused_by_name() -> None:
    with pytest.raises(LeakageError, match="both train and test: S005"):
        Split(frozenset({"S005", "S006"}), frozenset(), frozenset({"S005"}))


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.0, 1.0)])
def test_impossible_fractions(validation: float, test: float) -> None:
    with pytest.raises(DataError, match="fractions"):
        split_by_hash(["a", "b"], seed=0, validation=validation, test=test)


def test_a_side_that_stays_empty_is_told() -> None:
    with pytest.raises(DataError, match=r"of 1 subjects .* puts nobody into"):
        split_by_hash(["only"], seed=0, validation=0.1, test=0.2)
    with pytest.raises(DataError, match="of 0 subjects"):
        split_by_hash([], seed=0, validation=0.1, test=0.2)


def test_by_index_takes_the_order_given() -> None:
    split = split_by_index(["c", "a", "d", "b", "e"], train=2, validation=1, test=1)
    assert (split.train, split.validation, split.test) == ({"c", "a"}, {"d"}, {"b"})
    with pytest.raises(DataError, match=r"asks for 2 \+ 2 \+ 2 subjects and the data has 5"):
        split_by_index(["c", "a", "d", "b", "e"], train=2, validation=2, test=2)
    with pytest.raises(DataError, match="stands twice"):
        split_by_index(["c", "c"], train=1, validation=0, test=1)


def test_rows_and_table() -> None:
    data = manifest([("a", "neutral"), ("b", "anger"), ("a", "anger"), ("c", ""), ("z", "anger")])
    split = Split(frozenset("a"), frozenset("b"), frozenset("c"))
    assert split.rows(data, "train").tolist() == [0, 2]
    assert split.rows(data, "test").tolist() == [3]
    with pytest.raises(DataError, match="not 'dev'"):
        split.rows(data, "dev")
    table = split_table(data, split).set_index("expression")
    assert table.index.tolist() == ["neutral", "anger", "(unlabelled)", "all"]
    assert table.loc["anger", ["train", "train_people", "validation", "test"]].tolist() == [1, 1, 1, 0]
    assert table.loc["all", ["train", "train_people", "validation", "test", "test_people"]].tolist() == [
        2,
        1,
        1,
        1,
        1,
    ]
