"""Who sees what: pairs of methods, sides and subjects balanced over raters, with traps between.

A design is drawn from a seed alone. An *item* is one request under one pair of methods; it is shown to
`PANEL` raters (more where there are few items), so that their agreement can be measured. Within a rater and
over all of them every pair of methods comes up equally often (plus or minus one), each side shows each of the
two equally often, and the requests of one subject follow one another only by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from fesbench.errors import UsageError

PANEL = 3
"""Raters that see the same item, at least."""
TRAP_SHARE = 0.1
"""Of a rater's trials; at least one of each kind."""
REAL, DESTROYED = "real", "destroyed"
Kind = Literal["vote", "destroyed", "repeat"]


@dataclass(frozen=True)
class Trial:
    """Two images of one request, side by side.

    Attributes:
        kind: "vote"; "destroyed", a trap of the real image beside a ruined one; "repeat", an earlier vote
            with its sides swapped.
        request: whose images are shown.
        left, right: method of either side; of a trap `REAL` and `DESTROYED`.
    """

    kind: Kind
    request: str
    left: str
    right: str


def traps_of(pairs: int) -> int:
    """How many of a rater's trials are traps: half of them destroyed images, half repeats.

    >>> traps_of(40), traps_of(10)
    (4, 2)
    """
    return max(2, 2 * round(TRAP_SHARE * pairs / 2))


def design(
    methods: Sequence[str], requests: Mapping[str, str], *, raters: int, pairs: int, seed: int
) -> list[list[Trial]]:
    """The trials of every rater, in the order in which they are shown.

    Args:
        methods: two or more.
        requests: request -> subject.
        raters: how many.
        pairs: trials a rater, traps included.
        seed: of all that is drawn.

    Raises:
        UsageError: fewer than two methods, or more votes asked for than there are different items.
    """
    if len(methods) < 2:
        raise UsageError("a study compares at least two methods; name them with --methods a,b")
    votes = pairs - traps_of(pairs)
    if votes < 1 or raters < 1:
        raise UsageError(f"--raters {raters} --pairs {pairs}: at least one rater and three pairs are needed")
    rng = np.random.default_rng(seed)
    couples = list(combinations(methods, 2))
    order = _subjects_in_turn(requests, rng)
    panel = min(PANEL, raters)
    # whole rounds of all pairs of methods, so that the last item and the first follow each other like any two
    most = len(couples) * len(order)
    count = min(most, len(couples) * -(-max(raters, panel) * votes // (panel * len(couples))))
    if votes > most:
        raise UsageError(
            f"{votes} votes a rater need as many items; {len(order)} requests under {len(couples)} pairs of "
            f"methods give {most}: ask for less with --pairs"
        )
    shown = np.zeros(count, dtype=int)
    trials = []
    for rater in range(raters):
        mine = []
        for place in range(votes):
            item = (rater * votes + place) % count
            pair = couples[item % len(couples)]
            swapped = (shown[item] + item // len(couples)) % 2
            shown[item] += 1
            left, right = pair[::-1] if swapped else pair
            mine.append(Trial("vote", order[item // len(couples)], left, right))
        trials.append(_with_traps([mine[k] for k in rng.permutation(votes)], order, pairs - votes, rng))
    return trials


def _subjects_in_turn(requests: Mapping[str, str], rng: np.random.Generator) -> list[str]:
    """All requests, drawn, the subjects taking turns."""
    own: dict[str, list[str]] = {}
    for request in sorted(requests):
        own.setdefault(requests[request], []).append(request)
    for mine in own.values():
        rng.shuffle(mine)
    subjects = [sorted(own)[k] for k in rng.permutation(len(own))]
    rounds = max(map(len, own.values()))
    return [own[who][turn] for turn in range(rounds) for who in subjects if turn < len(own[who])]


def _with_traps(
    votes: list[Trial], requests: Sequence[str], traps: int, rng: np.random.Generator
) -> list[Trial]:
    """Repeats of the first half go into the second; destroyed images anywhere."""
    half = max(1, len(votes) // 2)
    trials = list(votes)
    for chosen in rng.permutation(half)[: traps // 2]:
        again = votes[chosen]
        place = int(rng.integers(half, len(trials) + 1))
        trials.insert(place, Trial("repeat", again.request, again.right, again.left))
    for number in range(traps - traps // 2):
        sides = (REAL, DESTROYED) if number % 2 else (DESTROYED, REAL)
        request = requests[int(rng.integers(len(requests)))]
        trials.insert(int(rng.integers(len(trials) + 1)), Trial("destroyed", request, *sides))
    return trials
