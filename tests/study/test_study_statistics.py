"""Agreement by published examples, abilities by known ones, and the number of raters by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from fesbench.errors import UsageError
from fesbench.study import abilities as module
from fesbench.study.abilities import Gap, Vote, abilities, fit
from fesbench.study.agreement import alpha
from fesbench.study.power import TASTE, raters_needed
from fesbench.study.results import groups

TRUE = np.array([0.6, 0.0, -0.6])
METHODS = ["good", "fair", "poor"]


def test_agreement_as_in_krippendorffs_examples() -> None:
    # Computing Krippendorff's Alpha-Reliability (2011): B, binary; C, nominal; D, four raters with gaps
    binary = zip("0100000010", "1110010000", strict=True)
    assert alpha(binary) == pytest.approx(0.095, abs=5e-4)
    assert alpha(zip("aabbdcccedda", "babbbcccedddd", strict=False)) == pytest.approx(0.692, abs=5e-4)
    rows = ("123321412...", "1233224125.3", ".3332342251.", "1233244125 1.".replace(" ", ""))
    columns = [[row[k] for row in rows if row[k] != "."] for k in range(12)]
    assert alpha(columns) == pytest.approx(0.743, abs=5e-4)


def test_agreement_has_no_value_without_chance() -> None:
    assert math.isnan(alpha([["a"], ["b"]]))
    assert math.isnan(alpha([["a", "a"], ["a", "a"]]))
    assert alpha([["a", "b"], ["a", "b"]]) < 0


def test_the_fit_is_the_likeliest() -> None:
    wins = np.array([[0, 12.5, 20], [7.5, 0, 14], [4, 6, 0]])

    def unlikely(free: np.ndarray) -> float:
        ability = np.array([0.0, *free])
        gap = ability[:, None] - ability[None, :]
        prior = module._PRIOR * (1 - np.eye(3))
        return float(((wins + prior) * np.log1p(np.exp(-gap))).sum())

    best = np.array([0.0, *minimize(unlikely, np.zeros(2), tol=1e-12).x])
    assert fit(wins) == pytest.approx(best - best.mean(), abs=1e-4)


def simulated(
    rng: np.random.Generator, raters: int = 10, subjects: int = 12, taste: float = 0.4
) -> list[Vote]:
    """Raters with tastes of their own, subjects that suit one method better than another, and ties."""
    own, suits = rng.normal(0, taste, (raters, 3)), rng.normal(0, 0.3, (subjects, 3))
    votes = []
    for rater in range(raters):
        for _ in range(36):
            i, j = rng.choice(3, 2, replace=False)
            who = int(rng.integers(subjects))
            ability = TRUE + own[rater] + suits[who]
            gap = ability[i] - ability[j] + rng.logistic()
            won = 0.5 if abs(gap) < 0.2 else float(gap > 0)
            votes.append(Vote(str(rater), str(who), METHODS[i], METHODS[j], won))
    return votes


def test_known_abilities_are_recovered_and_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 150)
    rng = np.random.default_rng(0)
    # what the model would find with endless raters: tastes and ties flatten it
    many, _ = abilities(simulated(rng, raters=400, subjects=400), METHODS, seed=0)
    target = {one.method: one.value for one in many}
    assert [one.method for one in many] == METHODS
    covered = []
    for _ in range(25):
        found, gaps = abilities(simulated(rng), METHODS, seed=0)
        covered += [one.low <= target[one.method] <= one.high for one in found]
        covered += [gap.low <= target[gap.first] - target[gap.second] <= gap.high for gap in gaps]
    assert np.mean(covered) >= 0.93
    assert sum(one.votes for one in found) == 2 * 360


def test_groups_part_where_the_leader_is_preferred() -> None:
    gaps = [Gap("a", "b", 0.2, -0.1, 0.5), Gap("c", "a", -0.9, -1.4, -0.4), Gap("b", "c", 0.7, 0.1, 1.2)]
    assert groups(["a", "b", "c"], gaps) == {"a": 1, "b": 1, "c": 2}


@pytest.mark.parametrize(("preference", "methods", "pairs"), [(0.6, 3, 40), (0.55, 2, 20), (0.7, 4, 40)])
def test_so_many_raters_show_the_preference(preference: float, methods: int, pairs: int) -> None:
    n = raters_needed(preference, methods=methods, pairs=pairs)
    rng = np.random.default_rng(1)
    votes = max(1, round((pairs - 4) / math.comb(methods, 2)))
    scale = 1 / TASTE - 1
    shares = rng.binomial(votes, rng.beta(preference * scale, (1 - preference) * scale, (4000, n))) / votes
    z = (shares.mean(axis=1) - 0.5) / (shares.std(axis=1, ddof=1) / math.sqrt(n))
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.09)


def test_no_preference_is_refused() -> None:
    for wrong in (0.5, 1.0, 0.2):
        with pytest.raises(UsageError, match="more than 50"):
            raters_needed(wrong, methods=3, pairs=40)
    with pytest.raises(UsageError, match="two methods"):
        raters_needed(0.6, methods=1, pairs=40)
