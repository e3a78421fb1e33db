"""Votes -> abilities: Bradley-Terry with ties as half a win for each, intervals over raters and subjects.

Source of the model: Bradley and Terry, *Rank analysis of incomplete block designs* (1952), P(i over j) =
s_i / (s_i + s_j); fitted by `choix` (Maystre and Grossglauser, 2015). A tie counts half for either side,
which keeps the order of methods and draws abilities together where people cannot tell. Intervals are
percentiles of a bootstrap that draws raters and subjects anew, both at once (Owen, *The pigeonhole
bootstrap*, 2007): it is conservative, because either drawing also carries the noise of single answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fesbench.errors import WeightsError

DRAWS = 1000
_PRIOR = 0.05
"""A little of a win for everybody against everybody: who never wins has a finite ability."""


@dataclass(frozen=True)
class Vote:
    """One answer to one question.

    Attributes:
        rater: who gave it.
        subject: who is shown.
        first, second: methods.
        won: 1 = first, 0 = second, 0.5 = tie.
    """

    rater: str
    subject: str
    first: str
    second: str
    won: float


@dataclass(frozen=True)
class Ability:
    """How often a method is preferred.

    Attributes:
        method: its id.
        value: log ability, mean 0 over the methods; a difference d means preferred with 1 / (1 + exp(-d)).
        low, high: 95 % interval.
        share: of its votes won, ties half, in [0, 1].
        votes: in how many it stood.
    """

    method: str
    value: float
    low: float
    high: float
    share: float
    votes: int


@dataclass(frozen=True)
class Gap:
    """First minus second, in log ability, with its 95 % interval."""

    first: str
    second: str
    value: float
    low: float
    high: float


def abilities(votes: Sequence[Vote], methods: Sequence[str], *, seed: int) -> tuple[list[Ability], list[Gap]]:
    """Abilities with intervals, best first, and every pair's difference.

    Args:
        votes: at least one.
        methods: who may stand in them.
        seed: of the bootstrap.
    """
    place = {name: number for number, name in enumerate(methods)}
    wins = np.zeros((len(votes), len(methods), len(methods)))
    for number, vote in enumerate(votes):
        i, j = place[vote.first], place[vote.second]
        wins[number, i, j], wins[number, j, i] = vote.won, 1 - vote.won
    value = fit(wins.sum(axis=0))
    weights = _crossed_weights([v.rater for v in votes], [v.subject for v in votes], seed)
    flat = wins.reshape(len(votes), -1)
    drawn = np.array([fit(row.reshape(wins.shape[1:])) for row in weights @ flat])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    won, stood = wins.sum(axis=(0, 2)), (wins + wins.transpose(0, 2, 1)).sum(axis=(0, 2))
    found = [
        Ability(
            name,
            float(value[k]),
            float(low[k]),
            float(high[k]),
            float(won[k] / max(1, stood[k])),
            int(stood[k]),
        )
        for name, k in place.items()
    ]
    gaps = []
    for a, b in combinations(methods, 2):
        spread = drawn[:, place[a]] - drawn[:, place[b]]
        bounds = np.percentile(spread, [2.5, 97.5])
        gaps.append(Gap(a, b, float(value[place[a]] - value[place[b]]), float(bounds[0]), float(bounds[1])))
    return sorted(found, key=lambda one: (-one.value, one.method)), gaps


def fit(wins: np.ndarray) -> np.ndarray:
    """Log abilities, mean 0.

    Args:
        wins: float (M, M), how often the row's method was preferred to the column's, >= 0.

    Raises:
        WeightsError: `choix` is not installed.
    """
    try:
        import choix
    except ImportError:
        raise WeightsError(
            "reading a study needs choix; install it with: pip install 'fesbench[study]'"
        ) from None
    prior = _PRIOR * (1 - np.eye(len(wins)))
    found: np.ndarray = choix.ilsr_pairwise_dense(wins + prior)
    return found - found.mean()


def _crossed_weights(raters: Sequence[str], subjects: Sequence[str], seed: int) -> np.ndarray:
    """How often each vote counts in each draw: float64 (DRAWS, N)."""
    rng = np.random.default_rng(seed)
    weights = np.ones((DRAWS, len(raters)))
    for units in (raters, subjects):
        names, index = np.unique(np.array(units), return_inverse=True)
        weights *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)[:, index]
    return weights
