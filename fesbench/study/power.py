"""How many raters it takes to show that one method is preferred to another."""

from __future__ import annotations

import math

from scipy.stats import norm

from fesbench.errors import UsageError
from fesbench.study.design import traps_of

LEVEL, POWER = 0.05, 0.8
TASTE = 0.1
"""Assumed share of the variance of an answer that is the rater's own taste."""


def raters_needed(preference: float, *, methods: int, pairs: int) -> int:
    """Raters for a two-sided test at 5 % with 80 % power of one pair of methods.

    A rater answers v = votes / (pairs of methods) times about the two, and is one draw of all raters::

        n = (z_.975 + z_.8)^2 p (1 - p) (t + (1 - t) / v) / (p - 1/2)^2

    with t the share of the variance between raters, `TASTE`. Ties make answers vary less, so that fewer do.

    Args:
        preference: p, how often the better one is preferred, ties half; in (0.5, 1).
        methods: in the study.
        pairs: trials a rater, traps included.

    Raises:
        UsageError: a preference outside (0.5, 1), fewer than two methods or three pairs.
    """
    if not 0.5 < preference < 1:
        raise UsageError(
            f"a preference of {100 * preference:g} % is none; give more than 50 and less than 100"
        )
    if methods < 2 or pairs <= traps_of(pairs):
        raise UsageError("a study has at least two methods and three pairs a rater")
    votes = (pairs - traps_of(pairs)) / math.comb(methods, 2)
    spread = preference * (1 - preference) * (TASTE + (1 - TASTE) / votes)
    z = norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)
    return max(2, math.ceil(z**2 * spread / (preference - 0.5) ** 2))
