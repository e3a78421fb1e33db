"""Who sees what: every balance that the design promises, over drawn sizes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.errors import UsageError
from fesbench.study.design import DESTROYED, PANEL, REAL, Trial, design, traps_of

REQUESTS = {f"s{who}_{label}": f"s{who}" for who in range(12) for label in range(7)}


@settings(max_examples=40, deadline=None)
@given(
    methods=st.integers(2, 4), raters=st.integers(1, 9), pairs=st.integers(3, 40), seed=st.integers(0, 1000)
)
def test_everything_is_balanced(methods: int, raters: int, pairs: int, seed: int) -> None:
    names = [f"m{k}" for k in range(methods)]
    trials = design(names, REQUESTS, raters=raters, pairs=pairs, seed=seed)
    assert [len(mine) for mine in trials] == [pairs] * raters
    shown: Counter[tuple[str, frozenset[str]]] = Counter()
    for mine in trials:
        votes = [trial for trial in mine if trial.kind == "vote"]
        items = Counter((t.request, frozenset((t.left, t.right))) for t in votes)
        assert set(items.values()) == {1}  # nobody is asked twice but by a repeat
        shown += items
        couples = Counter(couple for _, couple in items)
        counts = [couples[frozenset(couple)] for couple in combinations(names, 2)]
        assert max(counts) - min(counts) <= 1
        repeats = [t for t in mine if t.kind == "repeat"]
        destroyed = [t for t in mine if t.kind == "destroyed"]
        assert len(repeats) == len(destroyed) == traps_of(pairs) // 2
        assert all({t.left, t.right} == {REAL, DESTROYED} for t in destroyed)
        for again in repeats:
            first = Trial("vote", again.request, again.right, again.left)
            assert mine.index(first) < mine.index(again)
    if len(shown) < methods * (methods - 1) // 2 * len(REQUESTS):
        assert max(shown.values()) <= min(PANEL, raters)
    assert max(shown.values()) - min(shown.values()) <= 1
    sides = Counter((t.left, t.right) for mine in trials for t in mine if t.kind == "vote")
    for a, b in combinations(names, 2):
        assert abs(sides[a, b] - sides[b, a]) <= raters + 2


def test_sides_are_even_over_a_study() -> None:
    trials = design(["a", "b", "c"], REQUESTS, raters=12, pairs=40, seed=0)
    sides = Counter((t.left, t.right) for mine in trials for t in mine if t.kind == "vote")
    for a, b in combinations("abc", 2):
        assert abs(sides[a, b] - sides[b, a]) <= 8  # of 144
    subjects = Counter(REQUESTS[t.request] for mine in trials for t in mine if t.kind == "vote")
    assert (
        max(subjects.values()) - min(subjects.values()) <= 9
    )  # a request is shown under three pairs, thrice


def test_a_seed_decides() -> None:
    one, two, other = (design(["a", "b"], REQUESTS, raters=3, pairs=20, seed=seed) for seed in (1, 1, 2))
    assert one == two != other


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UsageError, match="at least two methods"):
        design(["a"], REQUESTS, raters=3, pairs=20, seed=0)
    with pytest.raises(UsageError, match="36 votes a rater need as many items; 5 requests"):
        design(["a", "b"], dict(list(REQUESTS.items())[:5]), raters=12, pairs=40, seed=0)
    with pytest.raises(UsageError, match="at least one rater and three pairs"):
        design(["a", "b"], REQUESTS, raters=3, pairs=2, seed=0)
