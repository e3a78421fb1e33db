"""Krippendorff's alpha for nominal answers: agreement of any number of raters, with gaps.

Source: Krippendorff, *Computing Krippendorff's Alpha-Reliability* (2011), sections B to D::

    alpha = 1 - D_o / D_e
    D_o = sum of off-diagonal coincidences / n
    D_e = sum_{c != k} n_c n_k / (n (n - 1))

where an item answered by m >= 2 raters adds 1 / (m - 1) to the coincidences of each ordered pair of its
answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def alpha(items: Iterable[Sequence[Hashable]]) -> float:
    """Agreement beyond chance.

    Args:
        items: the answers to each item, one a rater that gave one; items with fewer than two say nothing.

    Returns:
        1 = all agree, 0 = as by chance, below 0 = against one another; NaN where no item was answered twice
        or all answers are the same, so that chance cannot be told.

    >>> round(alpha(["aab", "bb", "aa"]), 3)
    0.5
    """
    totals: Counter[Hashable] = Counter()
    agreed = 0.0
    for answers in items:
        m = len(answers)
        if m < 2:
            continue
        counts = Counter(answers)
        totals.update(counts)
        agreed += sum(c * (c - 1) for c in counts.values()) / (m - 1)
    n = sum(totals.values())
    expected = sum(c * (n - c) for c in totals.values())
    if expected == 0:
        return math.nan
    return 1 - (n - agreed) * (n - 1) / expected
