"""How many subjects a difference needs before a paired test will see it.

With K subjects, a true mean difference ``effect`` and standard deviation ``sd`` of the difference over
subjects, Student's paired t rejects "no difference" with probability

    power(K) = P(|T| > t(1 - level/2, K - 1))

with T noncentral t of K - 1 degrees of freedom and noncentrality effect sqrt(K) / sd.

Source: Cohen, *Statistical Power Analysis for the Behavioral Sciences*, 2nd ed. 1988, chapter 2.
"""

from __future__ import annotations

import math

from fesbench.errors import UsageError

POWER, LEVEL = 0.8, 0.05
_MOST = 10**9


def power_of(effect: float, sd: float, subjects: int, level: float = LEVEL) -> float:
    """Probability that a two-sided paired t-test over subjects sees a true difference.

    >>> round(power_of(effect=0.5, sd=1.0, subjects=34), 3)
    0.808
    """
    from scipy.stats import nct, t

    if subjects < 2:
        return 0.0
    cut = t.ppf(1 - level / 2, subjects - 1)
    shift = abs(effect) / sd * math.sqrt(subjects)
    # The lower tail from above: scipy's cdf is NaN far below a noncentral t.
    return float(nct.sf(cut, subjects - 1, shift) + nct.sf(cut, subjects - 1, -shift))


def subjects_needed(effect: float, sd: float, *, power: float = POWER, level: float = LEVEL) -> int:
    """The fewest subjects with which a difference is seen with the stated power.

    Args:
        effect: the true difference, not 0.
        sd: of the difference over subjects, > 0.
        power: probability of seeing it, between ``level`` and 1.
        level: of the test.

    Raises:
        UsageError: no such number.

    >>> subjects_needed(effect=0.5, sd=1.0)
    34
    """
    if not (math.isfinite(effect) and effect and math.isfinite(sd) and sd > 0 and level < power < 1):
        raise UsageError(f"no number of subjects follows from effect {effect}, sd {sd} and power {power}")
    low, high = 1, 2
    while power_of(effect, sd, high, level) < power:
        low, high = high, 2 * high
        if high > _MOST:
            raise UsageError(f"a difference of {effect} with sd {sd} needs more than {_MOST} subjects")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(effect, sd, middle, level) >= power else (middle, high)
    return high


def smallest_effect(sd: float, subjects: int, *, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest true difference that so many subjects (>= 2) show with the stated power.

    >>> round(smallest_effect(sd=1.0, subjects=34), 2)
    0.5
    """
    from scipy.optimize import brentq

    most = sd / math.sqrt(subjects)
    while power_of(most, sd, subjects, level) < power:
        most *= 2
    return float(brentq(lambda effect: power_of(effect, sd, subjects, level) - power, 1e-9 * sd, most))
