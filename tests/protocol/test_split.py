"""Who is tested: every split rule on hand-made data, and that folds and hold-out are one rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.splits.assign import fold_by_hash, position, split_by_fold, subset_by_hash
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError, ProtocolError
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.split import assignment, build_split, refuse_one_subject, rule_in_words
from tests.stores import protocol, shot, tiny_store

PEOPLE = [f"p{number:02d}" for number in range(40)]


@pytest.fixture
def crowd(tmp_path: Path) -> AlignedStore:
    """Forty subjects, one neutral image each."""
    return tiny_store(tmp_path / "crowd", [shot(who, "neutral") for who in PEOPLE])


def ruled(**split: Any) -> Protocol:
    return protocol(split=split)


def test_fold_zero_of_ten_is_the_ten_percent_hold_out(crowd: AlignedStore) -> None:
    hold_out = build_split(ruled(rule="hash", validation=0.1, test=0.1), crowd)
    first = build_split(ruled(rule="hash", folds=10).folds()[0], crowd)
    assert first.test == hold_out.test
    assert first.validation == hold_out.validation
    assert first.train == hold_out.train


@given(who=st.text(min_size=1), seed=st.integers(0, 99))
def test_hold_out_and_folds_are_nested_for_everybody(who: str, seed: int) -> None:
    tested = subset_by_hash(who, seed=seed, validation=0.1, test=0.2) == "test"
    assert tested == (fold_by_hash(who, seed=seed, folds=10) in (0, 1))
    assert 0 <= position(who, seed) < 1


@given(people=st.sets(st.text("abc123", min_size=1, max_size=5), min_size=1), newcomer=st.text(min_size=1))
def test_one_more_person_moves_nobody_to_another_fold(people: set[str], newcomer: str) -> None:
    before = {who: fold_by_hash(who, seed=0, folds=5) for who in people}
    after = {who: fold_by_hash(who, seed=0, folds=5) for who in people | {newcomer}}
    assert {who: after[who] for who in people} == before


def test_in_a_k_fold_form_everybody_is_tested_once_and_by_nobody_who_saw_them(crowd: AlignedStore) -> None:
    rules = ruled(rule="hash", folds=5)
    tested: list[str] = []
    for fold in rules.folds():
        split = build_split(fold, crowd)
        tested += split.test
        assert split.train
        assert split.validation
        assert split.train | split.validation | split.test == set(PEOPLE)
    assert sorted(tested) == PEOPLE
    assert build_split(rules, crowd).test == set(PEOPLE)


def test_the_fold_behind_validates_and_empty_folds_are_passed_over() -> None:
    fold_of = {"a": 0, "b": 2, "c": 5, "d": 5}
    split = split_by_fold(fold_of, 2)
    assert (split.test, split.validation, split.train) == ({"b"}, {"c", "d"}, {"a"})
    assert split_by_fold(fold_of, 5).validation == {"a"}
    with pytest.raises(DataError, match="need three"):
        split_by_fold({"a": 0, "b": 1}, 0)


def test_people_by_name(crowd: AlignedStore) -> None:
    split = build_split(ruled(rule="names", test_names=["p03", "absent"], validation_names=["p07"]), crowd)
    assert (split.test, split.validation) == ({"p03"}, {"p07"})
    assert len(split.train) == 38
    with pytest.raises(DataError, match=r"no subject that the protocol tests \(nobody"):
        build_split(ruled(rule="names", test_names=["nobody"], validation_names=["p07"]), crowd)


def test_who_is_not_named_may_validate_by_hash(crowd: AlignedStore) -> None:
    rules = ruled(rule="names", test_names=["p03", "p04"], validation=0.25)
    split = build_split(rules, crowd)
    assert split.test == {"p03", "p04"}
    assert split.validation == {who for who in PEOPLE if position(who, 0) < 0.25} - split.test
    assert "2 subjects tested by name, 25% of the others validate" in rule_in_words(rules.split)


def test_folds_by_name_leave_out_whom_they_do_not_name(crowd: AlignedStore) -> None:
    rules = ruled(rule="names", fold_names=[["p00"], ["p01", "p02"], ["p03"]])
    assert assignment(rules, crowd) == {"p00": "0", "p01": "1", "p02": "1", "p03": "2"}
    last = build_split(rules.folds()[2], crowd)
    assert (last.test, last.validation, last.train) == ({"p03"}, {"p00"}, {"p01", "p02"})


def test_ranges_count_sorted_people(crowd: AlignedStore) -> None:
    split = build_split(ruled(rule="index", train=30, validation=4, test=6), crowd)
    assert split.test == set(PEOPLE[34:])
    assert split.validation == set(PEOPLE[30:34])


def test_an_empty_side_is_told(tmp_path: Path) -> None:
    few = tiny_store(tmp_path / "few", [shot("x", "neutral"), shot("y", "neutral")])
    with pytest.raises(DataError, match=r"subset of 'tiny' is empty with 2 subjects"):
        build_split(ruled(rule="hash", validation=0.1, test=0.1), few)


def anonymous(name: str, **more: Any) -> dict[str, Any]:
    return {"image": name, "identity": f"?{name}", "expression": "neutral", **more}


def test_unknown_people_are_not_split_by_identity(tmp_path: Path) -> None:
    store = tiny_store(tmp_path / "web", [anonymous("1"), shot("a", "neutral")])
    with pytest.raises(DataError, match="of 1 images of 'tiny' nobody knows who is shown"):
        build_split(ruled(rule="hash", validation=0.1, test=0.1), store)


def test_known_people_are_not_split_by_image(crowd: AlignedStore) -> None:
    with pytest.raises(DataError, match="says who is shown"):
        build_split(ruled(by="image", rule="hash", validation=0.1, test=0.1), crowd)


def test_near_duplicates_stand_on_one_side(tmp_path: Path) -> None:
    rows = [anonymous(str(k), look=f"look {k // 4}") for k in range(160)]
    store = tiny_store(tmp_path / "web", rows)
    rules = ruled(by="image", rule="hash", validation=0.2, test=0.3)
    subsets = assignment(rules, store)
    assert len(subsets) == 160
    for k in range(0, 160, 4):
        assert len({subsets[f"?{k + j}"] for j in range(4)}) == 1
        assert subsets[f"?{k}"] == subset_by_hash(str(k), seed=0, validation=0.2, test=0.3)
    assert set(subsets.values()) == {"train", "validation", "test"}


def test_dropped_duplicates_leave_one(tmp_path: Path) -> None:
    rows = [anonymous(str(k), look=f"look {k // 4}") for k in range(80)]
    rules = ruled(by="image", rule="hash", validation=0.2, test=0.3, duplicates="drop")
    assert set(assignment(rules, tiny_store(tmp_path / "web", rows))) == {f"?{k}" for k in range(0, 80, 4)}
    assert "near-duplicates leave one behind" in rule_in_words(rules.split)


@pytest.mark.parametrize(("duplicates", "kept"), [("drop", {"?b"}), ("together", {"?a", "?b"})])
def test_what_the_owner_put_on_two_sides_is_trained_on(
    tmp_path: Path, duplicates: str, kept: set[str]
) -> None:
    rows = [
        anonymous("a", part="test", look="same"),
        anonymous("b", part="train", look="same"),
        anonymous("c", part="validation"),
        anonymous("d", part="test"),
        anonymous("e", part=""),
    ]
    rules = ruled(by="image", rule="official", duplicates=duplicates)
    split = build_split(rules, tiny_store(tmp_path / "web", rows))
    assert (split.train, split.validation, split.test) == (kept, {"?c"}, {"?d"})


def imported(path: Path, text: str, rules: Protocol | None = None) -> Protocol:
    path.write_text(text)
    return (rules or protocol()).with_overrides(split=path)


def test_a_file_gives_the_sides_and_names_itself(crowd: AlignedStore, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rules = imported(path, "identity,subset\np00,train\np01,validation\np02,test\nelse,train\n")
    split = build_split(rules, crowd)
    assert (split.train, split.validation, split.test) == ({"p00"}, {"p01"}, {"p02"})
    assert rules.name == f"test@1+split={rules.split.digest[:8]}"
    assert rules.hash != protocol().hash
    again = imported(
        tmp_path / "copy.csv", "subset,identity\ntest,p02\ntrain,else\ntrain,p00\nvalidation,p01\n"
    )
    assert (again.name, again.hash) == (rules.name, rules.hash)
    other = imported(tmp_path / "other.csv", "identity,subset\np00,train\np02,validation\np01,test\n")
    assert other.hash != rules.hash
    path.write_text("identity,subset\np00,test\np01,validation\np02,train\n")
    with pytest.raises(DataError, match="has changed since it was given"):
        build_split(rules, crowd)


def test_a_file_of_other_people_is_refused(crowd: AlignedStore, tmp_path: Path) -> None:
    rules = imported(tmp_path / "s.csv", "identity,subset\nx,train\ny,test\nz,validation\n")
    with pytest.raises(DataError, match="names nobody of this data"):
        build_split(rules, crowd)


def test_a_file_of_folds_makes_a_k_fold_form(crowd: AlignedStore, tmp_path: Path) -> None:
    lines = "".join(f"{who},{k % 4}\n" for k, who in enumerate(PEOPLE))
    rules = imported(tmp_path / "folds.csv", f"identity,subset\n{lines}")
    assert rules.split.n_folds == 4
    assert "imported file" in rule_in_words(rules.split)
    first = build_split(rules.folds()[0], crowd)
    assert first.test == set(PEOPLE[::4])
    assert first.validation == set(PEOPLE[1::4])


def test_folds_do_not_go_with_sets_that_are_tested_once(tmp_path: Path) -> None:
    rules = protocol(
        data={
            "set": "tiny",
            "size": 16,
            "alignment": "none@1",
            "pairing": "take",
            "test_sets": [{"set": "other", "alignment": "none@1", "domain": "far"}],
        }
    )
    with pytest.raises(ProtocolError, match="holds folds"):
        imported(tmp_path / "folds.csv", "identity,subset\na,0\nb,1\nc,2\n", rules)


def test_one_test_subject_is_refused_with_the_forms_that_test_everybody(tmp_path: Path) -> None:
    few = tiny_store(tmp_path / "few", [shot(who, "neutral") for who in "abcd"])
    alone = ruled(rule="names", test_names=["c"], validation_names=["b"])
    with pytest.raises(DataError, match=r"tests one subject of this data, 'c'.*folder/5fold.*--split FILE"):
        refuse_one_subject(alone, build_split(alone, few))
    named = alone.model_copy(update={"id": "mug"})
    with pytest.raises(DataError, match="mug/5fold@1"):
        refuse_one_subject(named, build_split(named, few))
    two = ruled(rule="names", test_names=["c", "d"], validation_names=["b"])
    refuse_one_subject(two, build_split(two, few))
    folds = ruled(rule="names", fold_names=[["a"], ["b"], ["c"], ["d"]])
    refuse_one_subject(folds, build_split(folds, few))
    for fold in folds.folds():
        refuse_one_subject(fold, build_split(fold, few))
